//! Exported plugins, driven through their C tables by a server of the tests' own.

mod mock;

use std::panic::panic_any;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use mock::{Call, Loaded, Mock};
use websocket_plugin::abi::*;
use websocket_plugin::{Handshake, Message, Plugin, SendError, Sender, export_plugin};

// ---------------------------------------------------------------------------- a good plugin

struct Echo;

impl Plugin for Echo {
    type Connection = ();

    fn connect(&self, handshake: &Handshake<'_>) -> Option<()> {
        handshake.header("X-Refuse").is_none().then_some(())
    }

    fn message(&self, _: &mut (), peer: &Sender, message: Message<'_>) {
        match message {
            Message::Text("close") => peer.close(),
            Message::Text("close_with") => {
                assert_eq!(peer.close_with(4001, "bye"), Ok(()));
                assert_eq!(peer.close_with(1005, ""), Err(SendError::Refused));
                assert_eq!(
                    peer.close_with(4001, &"x".repeat(124)),
                    Err(SendError::TooLong)
                );
            }
            Message::Text("ping") => {
                assert_eq!(peer.ping(&[1; 125]), Ok(()));
                assert_eq!(peer.pong(b""), Ok(()));
                assert_eq!(peer.ping(&[1; 126]), Err(SendError::TooLong));
            }
            other => assert_eq!(peer.send(other), Ok(())),
        }
    }
}

export_plugin!(test_echo_init, Echo);

#[test]
fn a_table_is_of_version_0_and_complete() {
    let plugin = Loaded::new(test_echo_init).unwrap();
    let table = plugin.table();
    assert_eq!(table.version, WEBSOCKET_PLUGIN_VERSION_0);
    assert_eq!(table.size as usize, size_of::<WebSocketPlugin>());
    assert!(table.destroy.is_some() && table.on_connect.is_some());
    assert!(table.on_message.is_some() && table.on_disconnect.is_some());
}

#[test]
fn messages_of_both_types_are_delivered_and_sent() {
    let (plugin, mock) = (Loaded::new(test_echo_init).unwrap(), Mock::new());
    let private = plugin.connect(&mock);
    assert!(!private.is_null() && private != WEBSOCKET_CONNECT_ERROR);
    assert_eq!(plugin.text(private, &mock, "grüß".as_bytes()), 6);
    plugin.message(private, &mock, MESSAGE_TYPE_BINARY, &mut [0xff, 0]);
    plugin.text(private, &mock, b"");
    plugin.message(private, &mock, MESSAGE_TYPE_PING, &mut [1]);
    plugin.disconnect(private, &mock);
    assert_eq!(
        mock.calls(),
        [
            Call::Send(MESSAGE_TYPE_TEXT, "grüß".into()),
            Call::Send(MESSAGE_TYPE_BINARY, vec![0xff, 0]),
            Call::Send(MESSAGE_TYPE_TEXT, vec![]),
        ]
    );
}

#[test]
fn a_refused_handshake_is_null() {
    let plugin = Loaded::new(test_echo_init).unwrap();
    assert!(
        plugin
            .connect(&Mock::new().with_header("X-Refuse", b"1"))
            .is_null()
    );
}

#[test]
fn control_frames_and_closes_reach_the_server() {
    let (plugin, mock) = (Loaded::new(test_echo_init).unwrap(), Mock::new());
    let private = plugin.connect(&mock);
    for command in ["ping", "close_with", "close"] {
        plugin.text(private, &mock, command.as_bytes());
    }
    plugin.disconnect(private, &mock);
    assert_eq!(
        mock.calls(),
        [
            Call::Send(MESSAGE_TYPE_PING, vec![1; 125]),
            Call::Send(MESSAGE_TYPE_PONG, vec![]),
            Call::CloseWith(4001, "bye".into()),
            Call::CloseWith(1005, "".into()),
            Call::Close,
        ]
    );
}

#[test]
fn close_with_is_a_close_frame_on_a_server_without_it() {
    let (plugin, mock) = (Loaded::new(test_echo_init).unwrap(), Mock::c_module());
    let private = plugin.connect(&mock);
    // The old server takes the second Close too; the assertion in the plugin is caught.
    plugin.text(private, &mock, b"close_with");
    plugin.disconnect(private, &mock);
    assert_eq!(
        mock.calls()[0],
        Call::Send(MESSAGE_TYPE_CLOSE, b"\x0f\xa1bye".to_vec())
    );
}

#[test]
fn a_text_that_is_not_utf8_is_not_delivered_and_closes_with_1007() {
    let (plugin, mock) = (Loaded::new(test_echo_init).unwrap(), Mock::new());
    let private = plugin.connect(&mock);
    plugin.text(private, &mock, b"\xff");
    plugin.disconnect(private, &mock);
    assert_eq!(mock.calls(), [Call::CloseWith(1007, "".into())]);
}

#[test]
fn a_server_that_cannot_be_used_is_refused() {
    let plugin = Loaded::new(test_echo_init).unwrap();
    assert!(plugin.connect_raw(std::ptr::null()).is_null());
    assert!(plugin.connect(&Mock::new().with_version(2)).is_null());
    assert!(plugin.connect(&Mock::new().with_size(16)).is_null());
}

// ------------------------------------------------------------------------------ the handshake

struct Curious;

impl Plugin for Curious {
    type Connection = ();

    fn connect(&self, handshake: &Handshake<'_>) -> Option<()> {
        assert_eq!(handshake.header("x-name"), Some("value"));
        assert_eq!(handshake.header("X-Latin1"), None);
        assert_eq!(handshake.header_bytes("X-Latin1"), Some(&b"gr\xfc\xdf"[..]));
        assert_eq!(handshake.header("X-Absent"), None);
        assert_eq!(handshake.header("X-Name\0"), None);

        assert!(handshake.set_header("X-Answer", "a\tb").is_ok());
        for (name, value) in [
            ("X-A", "1\r\nX-B: 2"),
            ("X-A", "\0"),
            ("X A", "1"),
            ("", "1"),
        ] {
            assert!(handshake.set_header(name, value).is_err());
        }

        assert_eq!(
            handshake.subprotocols().collect::<Vec<_>>(),
            ["chat", "superchat"]
        );
        assert!(!handshake.choose_subprotocol("CHAT"));
        assert!(handshake.choose_subprotocol("superchat"));
        assert_eq!(handshake.sender().send_text("early"), Ok(()));
        Some(())
    }

    fn message(&self, (): &mut (), _: &Sender, _: Message<'_>) {}
}

export_plugin!(test_curious_init, Curious);

#[test]
fn a_handshake_is_read_and_answered() {
    let plugin = Loaded::new(test_curious_init).unwrap();
    let mock = Mock::new()
        .with_header("X-Name", b"value")
        .with_header("X-Latin1", b"gr\xfc\xdf")
        .with_subprotocols(&["chat", "superchat"]);
    let private = plugin.connect(&mock);
    assert!(!private.is_null() && private != WEBSOCKET_CONNECT_ERROR);
    plugin.disconnect(private, &mock);
    assert_eq!(
        mock.calls(),
        [
            Call::HeaderSet("X-Answer".into(), "a\tb".into()),
            Call::ProtocolSet("superchat".into()),
            Call::Send(MESSAGE_TYPE_TEXT, b"early".to_vec()),
        ]
    );
}

// ------------------------------------------------------------------------------------- panics

/// Panics where it is told to, and counts what happens to it.
struct Fragile {
    place: &'static str,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    messages: AtomicUsize,
    disconnects: AtomicUsize,
    dropped_connections: AtomicUsize,
}

struct FragileConnection {
    place: &'static str,
    seen: Arc<Seen>,
}

impl Fragile {
    fn maybe(&self, here: &str) {
        assert!(self.place != here, "told to panic in {here}");
    }
}

impl Plugin for Fragile {
    type Connection = FragileConnection;

    fn connect(&self, handshake: &Handshake<'_>) -> Option<FragileConnection> {
        let _ = handshake.sender().send_text("hello");
        self.maybe("connect");
        Some(FragileConnection {
            place: self.place,
            seen: Arc::clone(&self.seen),
        })
    }

    fn message(&self, _: &mut FragileConnection, _: &Sender, _: Message<'_>) {
        self.seen.messages.fetch_add(1, Ordering::Relaxed);
        if self.place == "payload" {
            panic_any(PanicsWhenDropped);
        }
        if self.place != "connection drop" {
            self.maybe("message");
        } else {
            panic!("told to panic in message, then in drop");
        }
    }

    fn disconnect(&self, _connection: FragileConnection) {
        self.seen.disconnects.fetch_add(1, Ordering::Relaxed);
        self.maybe("disconnect");
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        self.maybe("destroy");
    }
}

impl Drop for FragileConnection {
    fn drop(&mut self) {
        self.seen
            .dropped_connections
            .fetch_add(1, Ordering::Relaxed);
        assert!(self.place != "connection drop", "told to panic in drop");
    }
}

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic_any(());
    }
}

/// An init function of its own for each place, since tests run side by side.
macro_rules! fragile {
    ($init:ident, $seen:ident, $place:literal) => {
        static $seen: Mutex<Option<Arc<Seen>>> = Mutex::new(None);
        export_plugin!($init, {
            let seen = Arc::<Seen>::default();
            *$seen.lock().unwrap() = Some(Arc::clone(&seen));
            Fragile {
                place: $place,
                seen,
            }
        });
    };
}

fragile!(test_panic_connect_init, CONNECT, "connect");
fragile!(test_panic_connect_old_init, CONNECT_OLD, "connect");
fragile!(test_panic_message_init, MESSAGE, "message");
fragile!(test_panic_message_old_init, MESSAGE_OLD, "message");
fragile!(test_panic_payload_init, PAYLOAD, "payload");
fragile!(test_panic_disconnect_init, DISCONNECT, "disconnect");
fragile!(
    test_panic_connection_drop_init,
    CONNECTION_DROP,
    "connection drop"
);
fragile!(test_panic_destroy_init, DESTROY, "destroy");
export_plugin!(test_panic_init_init, panicking_plugin());

fn panicking_plugin() -> Echo {
    panic!("told to panic in init")
}

fn seen(seen: &Mutex<Option<Arc<Seen>>>) -> (usize, usize, usize) {
    let seen = seen.lock().unwrap().clone().unwrap();
    (
        seen.messages.load(Ordering::Relaxed),
        seen.disconnects.load(Ordering::Relaxed),
        seen.dropped_connections.load(Ordering::Relaxed),
    )
}

#[test]
fn a_panic_in_init_is_null() {
    assert!(Loaded::new(test_panic_init_init).is_none());
}

#[test]
fn a_panic_in_connect_is_the_connect_error() {
    let (plugin, mock) = (Loaded::new(test_panic_connect_init).unwrap(), Mock::new());
    assert_eq!(plugin.connect(&mock), WEBSOCKET_CONNECT_ERROR);
    assert_eq!(plugin.connect(&Mock::new()), WEBSOCKET_CONNECT_ERROR);
}

#[test]
fn a_panic_in_connect_refuses_on_a_server_that_does_not_know_the_connect_error() {
    let (plugin, mock) = (
        Loaded::new(test_panic_connect_old_init).unwrap(),
        Mock::c_module(),
    );
    assert!(plugin.connect(&mock).is_null());
}

#[test]
fn a_panic_in_message_closes_with_1011_and_ends_all_calls_for_that_connection_only() {
    let plugin = Loaded::new(test_panic_message_init).unwrap();
    let (mock, other) = (Mock::new(), Mock::new());
    let (private, other_private) = (plugin.connect(&mock), plugin.connect(&other));
    assert_eq!(plugin.text(private, &mock, b"one"), 3);
    assert_eq!(plugin.text(private, &mock, b"two"), 3);
    assert_eq!(seen(&MESSAGE), (1, 0, 0));
    plugin.disconnect(private, &mock);
    assert_eq!(seen(&MESSAGE), (1, 0, 1));
    assert_eq!(
        mock.calls(),
        [
            Call::Send(MESSAGE_TYPE_TEXT, b"hello".to_vec()),
            Call::CloseWith(1011, "".into())
        ]
    );
    plugin.disconnect(other_private, &other);
    assert_eq!(seen(&MESSAGE), (1, 1, 2));
    assert_eq!(other.calls().len(), 1);
}

#[test]
fn a_panic_in_message_is_a_close_frame_on_a_server_without_close_with() {
    let (plugin, mock) = (
        Loaded::new(test_panic_message_old_init).unwrap(),
        Mock::c_module(),
    );
    let private = plugin.connect(&mock);
    plugin.text(private, &mock, b"one");
    plugin.disconnect(private, &mock);
    assert_eq!(
        mock.calls()[1],
        Call::Send(MESSAGE_TYPE_CLOSE, vec![3, 243])
    );
}

#[test]
fn a_panic_whose_payload_panics_is_caught_too() {
    let (plugin, mock) = (Loaded::new(test_panic_payload_init).unwrap(), Mock::new());
    let private = plugin.connect(&mock);
    plugin.text(private, &mock, b"one");
    plugin.disconnect(private, &mock);
    assert_eq!(mock.calls()[1], Call::CloseWith(1011, "".into()));
}

#[test]
fn a_panic_in_disconnect_is_caught() {
    let (plugin, mock) = (
        Loaded::new(test_panic_disconnect_init).unwrap(),
        Mock::new(),
    );
    let private = plugin.connect(&mock);
    plugin.disconnect(private, &mock);
    assert_eq!(seen(&DISCONNECT), (0, 1, 1));
}

#[test]
fn a_panic_while_the_state_is_dropped_is_caught() {
    let (plugin, mock) = (
        Loaded::new(test_panic_connection_drop_init).unwrap(),
        Mock::new(),
    );
    let private = plugin.connect(&mock);
    plugin.text(private, &mock, b"one");
    plugin.disconnect(private, &mock);
    assert_eq!(seen(&CONNECTION_DROP), (1, 0, 1));
}

#[test]
fn a_panic_in_destroy_is_caught() {
    drop(Loaded::new(test_panic_destroy_init).unwrap());
}

// -------------------------------------------------------------------------- senders and threads

/// Gives its sender away.
struct Leaky(mpsc::Sender<Sender>);

impl Plugin for Leaky {
    type Connection = Sender;

    fn connect(&self, handshake: &Handshake<'_>) -> Option<Sender> {
        self.0.send(handshake.sender().clone()).unwrap();
        handshake
            .header("X-Refuse")
            .is_none()
            .then(|| handshake.sender().clone())
    }

    fn message(&self, _: &mut Sender, _: &Sender, _: Message<'_>) {}

    fn disconnect(&self, sender: Sender) {
        assert_eq!(sender.send_text("late"), Err(SendError::Closed));
    }
}

macro_rules! leaky {
    ($init:ident, $senders:ident) => {
        static $senders: Mutex<Option<mpsc::Receiver<Sender>>> = Mutex::new(None);
        export_plugin!($init, {
            let (sender, receiver) = mpsc::channel();
            *$senders.lock().unwrap() = Some(receiver);
            Leaky(sender)
        });
    };
}

leaky!(test_outlive_init, OUTLIVE);
leaky!(test_refused_init, REFUSED);
leaky!(test_blocked_init, BLOCKED);

fn taken(senders: &Mutex<Option<mpsc::Receiver<Sender>>>) -> Sender {
    senders.lock().unwrap().as_ref().unwrap().recv().unwrap()
}

#[test]
fn a_sender_that_outlives_its_connection_says_closed_on_another_thread() {
    let (plugin, mock) = (Loaded::new(test_outlive_init).unwrap(), Mock::new());
    let private = plugin.connect(&mock);
    let sender = taken(&OUTLIVE);
    let (sent, first) = mpsc::channel();
    let busy = thread::spawn(move || {
        let mut count = 0;
        while sender.send_binary(b"x").is_ok() {
            count += 1;
            let _ = sent.send(());
        }
        assert_eq!(sender.send_text("x"), Err(SendError::Closed));
        assert_eq!(sender.send_text(""), Err(SendError::Closed));
        assert_eq!(sender.ping(b""), Err(SendError::Closed));
        assert_eq!(sender.close_with(1000, ""), Err(SendError::Closed));
        sender.close();
        count
    });
    first.recv().unwrap();
    plugin.disconnect(private, &mock);
    let calls = mock.calls().len();
    // Whatever the thread still does, it does it without the server's table.
    drop(mock);
    drop(plugin);
    assert_eq!(busy.join().unwrap(), calls);
}

#[test]
fn a_sender_of_a_refused_handshake_says_closed() {
    let plugin = Loaded::new(test_refused_init).unwrap();
    assert!(
        plugin
            .connect(&Mock::new().with_header("X-Refuse", b"1"))
            .is_null()
    );
    assert_eq!(taken(&REFUSED).send_text("x"), Err(SendError::Closed));
}

#[test]
fn disconnect_waits_for_a_send_that_the_server_has_released() {
    let (plugin, mock) = (Loaded::new(test_blocked_init).unwrap(), Mock::new());
    let private = plugin.connect(&mock);
    let sender = taken(&BLOCKED);
    mock.set_slow(true);
    let blocked = thread::spawn(move || sender.send_text("stuck"));
    mock.wait_until_a_send_blocks();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(50));
            mock.set_slow(false);
        });
        plugin.disconnect(private, &mock);
    });
    assert_eq!(blocked.join().unwrap(), Err(SendError::Closed));
}

// ------------------------------------------------------------------------- several tables

static LIVE: AtomicUsize = AtomicUsize::new(0);

struct Counted;

impl Counted {
    fn new() -> Self {
        LIVE.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Plugin for Counted {
    type Connection = ();

    fn connect(&self, _: &Handshake<'_>) -> Option<()> {
        Some(())
    }

    fn message(&self, (): &mut (), _: &Sender, _: Message<'_>) {}
}

export_plugin!(test_counted_init, Counted::new());

#[test]
fn a_plugin_lives_from_the_first_table_to_the_last() {
    let first = Loaded::new(test_counted_init).unwrap();
    let second = Loaded::new(test_counted_init).unwrap();
    assert_eq!(LIVE.load(Ordering::Relaxed), 1);
    drop(first);
    assert_eq!(LIVE.load(Ordering::Relaxed), 1);
    let mock = Mock::new();
    let private = second.connect(&mock);
    assert!(!private.is_null());
    second.disconnect(private, &mock);
    drop(second);
    assert_eq!(LIVE.load(Ordering::Relaxed), 0);
    // The next configuration.
    drop(Loaded::new(test_counted_init).unwrap());
    assert_eq!(LIVE.load(Ordering::Relaxed), 0);
}
