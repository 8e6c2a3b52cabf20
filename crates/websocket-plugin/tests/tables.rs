//! The tables of an exported plugin, and those of servers of every age.

mod mock;

use std::mem::offset_of;
use std::time::Duration;

use mock::{Call, Loaded, Mock};
use websocket_plugin::abi::*;
use websocket_plugin::{Handshake, Message, Plugin, Rejection, Sender, export_plugin};

#[test]
fn a_table_is_of_version_1_and_complete() {
    let plugin = Loaded::new(tables_everything_init);
    let table = plugin.table();
    assert_eq!(table.version, WEBSOCKET_PLUGIN_VERSION_1);
    assert_eq!(table.size as usize, size_of::<WebSocketPlugin>());
    assert!(table.destroy.is_some() && table.on_connect.is_some());
    assert!(table.on_message.is_some() && table.on_disconnect.is_some());
    assert!(table.configure.is_some() && table.child_start.is_some());
    assert!(table.child_stop.is_some() && table.on_open.is_some());
    assert!(table.on_timer.is_some() && table.on_writable.is_some());
    assert!(table.on_close.is_some() && table.on_pong.is_some() && table.on_topic.is_some());
}

#[test]
fn a_server_that_cannot_be_used_is_refused() {
    let plugin = Loaded::new(tables_everything_init);
    let short = WEBSOCKET_SERVER_SIZE_C_MODULE - size_of::<usize>();
    assert!(plugin.connect_raw(std::ptr::null()).is_null());
    for mock in [
        Mock::new().with_version(2),
        Mock::new().with_size(2 * size_of::<u32>()),
        Mock::new().with_size(short),
    ] {
        assert!(plugin.connect_raw(mock.server()).is_null());
    }
}

/// Makes every call there is.
struct Everything;

impl Plugin for Everything {
    type Connection = ();

    fn connect(&self, handshake: &Handshake<'_>) -> Result<(), Rejection> {
        let peer = handshake.sender();
        let _ = (handshake.options().get("a"), handshake.variable("A"));
        let _ = (handshake.header("a"), handshake.set_header("A", "b"));
        let _ = handshake.choose_subprotocol("none");
        let _ = (
            peer.set_timer(Duration::from_secs(1)),
            peer.buffered_amount(),
        );
        match handshake.header("Refuse") {
            Some("plainly") => Err(Rejection::not_found()),
            Some(_) => Err(Rejection::not_found().body("text/plain", "no")?),
            None => Ok(()),
        }
    }

    fn message(&self, (): &mut (), peer: &Sender, message: Message<'_>) {
        let _ = (peer.try_send(message), peer.send(message));
        let _ = peer.send_uncompressed(Message::Binary(b"image"));
        if let Ok(mut writer) = peer.text_writer() {
            let _ = writer.write("part");
        }
        let _ = (
            peer.path(),
            peer.user(),
            peer.set_timer_for(1, Duration::from_secs(1)),
        );
        websocket_plugin::log::info!("a line");
        let _ = peer.close_with(4000, "bye");
    }
}

export_plugin!(tables_everything_init, Everything);

/// The ends of every table that was ever published: the C module's, the first of version 1, and today's. Those in between
/// never were, and must be borne as well.
fn published_lengths() -> impl Iterator<Item = usize> {
    (WEBSOCKET_SERVER_SIZE_C_MODULE..=size_of::<WebSocketServer>()).step_by(size_of::<usize>())
}

#[test]
fn a_shorter_table_is_used_as_far_as_it_goes() {
    assert!(published_lengths().any(|length| length == WEBSOCKET_SERVER_SIZE_VERSION_1));
    let plugin = Loaded::new(tables_everything_init);
    for length in published_lengths() {
        let mock = Mock::new().cut(length);
        let private = plugin.connect(&mock);
        plugin.text(private, &mock, "hello");
        plugin.timer(private, &mock);
        plugin.disconnect(private, &mock);
        let calls = mock.calls();
        assert!(
            calls.contains(&Call::Send(MESSAGE_TYPE_TEXT, b"hello".to_vec())),
            "{length}"
        );
        let has_close_with = length > WEBSOCKET_SERVER_SIZE_C_MODULE;
        // Without `close_with` a type with a flag is a close.
        let image = match has_close_with {
            true => MESSAGE_TYPE_BINARY | MESSAGE_TYPE_UNCOMPRESSED,
            false => MESSAGE_TYPE_BINARY,
        };
        assert!(
            calls.contains(&Call::Send(image, b"image".to_vec())),
            "{length}"
        );
        assert_eq!(
            calls.contains(&Call::CloseWith(4000, "bye".to_owned())),
            has_close_with
        );
        assert_eq!(calls.contains(&Call::Close), !has_close_with);
    }
}

#[test]
fn a_server_without_bodies_for_refusals_writes_its_own() {
    let plugin = Loaded::new(tables_everything_init);
    for length in published_lengths() {
        let mock = Mock::new()
            .with_header("Refuse", b"with a body")
            .cut(length);
        assert!(plugin.connect_raw(mock.server()).is_null());
        let whole = length > offset_of!(WebSocketServer, reject_with);
        let refused = match mock.calls().last() {
            Some(Call::RejectWith(404, kind, body)) => {
                kind == "text/plain" && body == b"no" && whole
            }
            Some(Call::Reject(404)) => !whole,
            _ => length <= offset_of!(WebSocketServer, reject),
        };
        assert!(refused, "{length}: {:?}", mock.calls());
    }
}

#[test]
fn a_longer_table_is_a_good_one() {
    let mock = Mock::new().with_size(size_of::<WebSocketServer>() + 64);
    let plugin = Loaded::new(tables_everything_init);
    plugin.disconnect(plugin.connect(&mock), &mock);
}
