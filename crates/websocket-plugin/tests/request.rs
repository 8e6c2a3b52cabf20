//! The request of a connection, as its plugin reads it in later callbacks.

mod mock;

use std::sync::Mutex;

use mock::{Loaded, Mock};
use websocket_plugin::{Handshake, Message, Plugin, Rejection, Sender, export_plugin};

/// Says what its request has.
struct Asking;

impl Plugin for Asking {
    type Connection = ();

    fn connect(&self, _: &Handshake<'_>) -> Result<(), Rejection> {
        Ok(())
    }

    fn message(&self, (): &mut (), peer: &Sender, _: Message<'_>) {
        let found = (
            peer.path(),
            peer.query("room"),
            peer.user(),
            peer.header("x-a"),
        );
        peer.send_text(&format!("{found:?}")).unwrap();
        let peer = peer.clone();
        let elsewhere = std::thread::spawn(move || peer.header("x-a"));
        assert_eq!(elsewhere.join().unwrap(), None);
    }
}

export_plugin!(request_asking_init, Asking);

#[test]
fn the_request_stays_readable_in_callbacks() {
    let mock = Mock::new()
        .with_variable("REQUEST_URI", b"/chat/a%20b?room=blue")
        .with_variable("QUERY_STRING", b"room=blue")
        .with_variable("REMOTE_USER", b"ada")
        .with_header("X-A", b"b");
    let plugin = Loaded::new(request_asking_init);
    let private = plugin.connect(&mock);
    plugin.text(private, &mock, "what");
    assert_eq!(
        mock.texts(),
        [r#"(Some("/chat/a%20b"), Some("blue"), Some("ada"), Some("b"))"#]
    );
    plugin.disconnect(private, &mock);
}

/// Keeps the sender of its first connection, and says what that one knows in the callbacks of others.
struct Stale;

static FIRST: Mutex<Option<Sender>> = Mutex::new(None);

impl Plugin for Stale {
    type Connection = ();

    fn connect(&self, handshake: &Handshake<'_>) -> Result<(), Rejection> {
        let mut first = FIRST.lock().unwrap();
        first.get_or_insert_with(|| handshake.sender().clone());
        Ok(())
    }

    fn message(&self, (): &mut (), peer: &Sender, _: Message<'_>) {
        let first = FIRST.lock().unwrap();
        let (user, header) = first
            .as_ref()
            .map(|first| (first.user(), first.header("X-A")))
            .unwrap();
        let found = format!(
            "{:?} {:?}, {:?} {:?}",
            user,
            header,
            peer.user(),
            peer.header("X-A")
        );
        peer.send_text(&found).unwrap();
    }
}

export_plugin!(request_stale_init, Stale);

#[test]
fn a_sender_that_is_left_over_does_not_tell_of_who_has_its_memory() {
    let plugin = Loaded::new(request_stale_init);
    let mock = Mock::new()
        .with_variable("REMOTE_USER", b"ada")
        .with_header("X-A", b"a");
    let (table, private) = (mock.server(), plugin.connect(&mock));
    plugin.text(private, &mock, "who");
    plugin.disconnect(private, &mock);

    // The same table again, as an allocator gives it out again.
    let mock = mock
        .with_variable("REMOTE_USER", b"bob")
        .with_header("X-A", b"b");
    assert_eq!(mock.server(), table);
    let private = plugin.connect(&mock);
    plugin.text(private, &mock, "who");
    plugin.disconnect(private, &mock);
    assert_eq!(
        mock.texts(),
        [
            r#"Some("ada") Some("a"), Some("ada") Some("a")"#,
            r#"None None, Some("bob") Some("b")"#,
        ]
    );
}
