//! One connection of an exported plugin, from `on_connect` to `on_disconnect`.

mod mock;

use std::cell::Cell;
use std::mem::offset_of;
use std::sync::Mutex;
use std::time::Duration;

use mock::{Answer, Call, Loaded, Mock};
use websocket_plugin::abi::*;
use websocket_plugin::{
    Closing, Handshake, Message, Plugin, Pong, Rejection, SendError, Sender, export_plugin,
};

// ------------------------------------------------------------------- every function of a sender

/// Does what it is told by text, and echoes everything else.
struct Obedient;

impl Plugin for Obedient {
    type Connection = ();

    fn connect(&self, _: &Handshake<'_>) -> Result<(), Rejection> {
        Ok(())
    }

    fn message(&self, (): &mut (), peer: &Sender, message: Message<'_>) {
        let done = match message {
            Message::Text("close") => {
                peer.close();
                Ok(())
            }
            Message::Text("close_with") => peer.close_with(4001, "bye"),
            Message::Text("ping") => peer.ping(&[1; 125]).and_then(|()| peer.pong(b"")),
            Message::Text("uncompressed") => peer
                .send_uncompressed(Message::Text("t"))
                .and_then(|()| peer.send_uncompressed(Message::Binary(b"b"))),
            Message::Text("try_send") => peer.try_send(Message::Text("tried")),
            Message::Text("timer") => peer.set_timer(Duration::from_millis(50)),
            Message::Text("no timer") => {
                peer.clear_timer();
                Ok(())
            }
            Message::Text("amount") => peer.send_text(&peer.buffered_amount().to_string()),
            other => peer.send(other),
        };
        assert_eq!(done, Ok(()));
    }
}

export_plugin!(connection_obedient_init, Obedient);

/// What the plugin asks for when it gets this text.
fn calls_after(command: &str) -> Vec<Call> {
    let (plugin, mock) = (Loaded::new(connection_obedient_init), Mock::new());
    let private = plugin.connect(&mock);
    assert_eq!(plugin.text(private, &mock, command), command.len());
    plugin.disconnect(private, &mock);
    mock.calls()
}

#[test]
fn messages_of_both_types_are_delivered_and_sent() {
    let (plugin, mock) = (Loaded::new(connection_obedient_init), Mock::new());
    let private = plugin.connect(&mock);
    assert_eq!(plugin.text(private, &mock, "grüß"), 6);
    plugin.message(private, &mock, MESSAGE_TYPE_BINARY, &[0xff, 0]);
    plugin.text(private, &mock, "");
    plugin.message(private, &mock, MESSAGE_TYPE_PING, &[1]);
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
fn control_frames_reach_the_server() {
    assert_eq!(
        calls_after("ping"),
        [
            Call::Send(MESSAGE_TYPE_PING, vec![1; 125]),
            Call::Send(MESSAGE_TYPE_PONG, vec![]),
        ]
    );
}

#[test]
fn both_ways_to_close_reach_the_server() {
    assert_eq!(calls_after("close"), [Call::Close]);
    assert_eq!(
        calls_after("close_with"),
        [Call::CloseWith(4001, "bye".into())]
    );
}

#[test]
fn an_uncompressed_message_has_the_flag() {
    assert_eq!(
        calls_after("uncompressed"),
        [
            Call::Send(MESSAGE_TYPE_TEXT | MESSAGE_TYPE_UNCOMPRESSED, b"t".into()),
            Call::Send(MESSAGE_TYPE_BINARY | MESSAGE_TYPE_UNCOMPRESSED, b"b".into()),
        ]
    );
}

#[test]
fn trying_and_timing_reach_the_server() {
    assert_eq!(
        calls_after("try_send"),
        [Call::TrySend(MESSAGE_TYPE_TEXT, b"tried".into())]
    );
    assert_eq!(calls_after("timer"), [Call::SetTimer(50)]);
    assert_eq!(calls_after("no timer"), [Call::SetTimer(0)]);
}

#[test]
fn the_buffered_amount_comes_from_the_server() {
    assert_eq!(
        calls_after("amount"),
        [Call::Send(MESSAGE_TYPE_TEXT, b"0".into())]
    );
}

// ------------------------------------------------------------------------------- the callbacks

/// Writes down what happens to it.
struct Diary;

static DIARY: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn write_down(line: impl Into<String>) {
    DIARY.lock().unwrap().push(line.into());
}

impl Plugin for Diary {
    type Connection = u32;

    fn connect(&self, _: &Handshake<'_>) -> Result<u32, Rejection> {
        Ok(0)
    }

    fn open(&self, count: &mut u32, peer: &Sender) {
        *count += 1;
        write_down(format!("open {count} {:?}", peer.send_text("hello")));
    }

    fn message(&self, count: &mut u32, peer: &Sender, message: Message<'_>) {
        *count += 1;
        peer.set_timer(Duration::ZERO).unwrap();
        write_down(format!("message {count} {message:?}"));
    }

    fn timer(&self, count: &mut u32, peer: &Sender) {
        *count += 1;
        write_down(format!("timer {count} {:?}", peer.send_text("tick")));
    }

    fn writable(&self, count: &mut u32, peer: &Sender) {
        *count += 1;
        let tried = peer.try_send(Message::Binary(b""));
        write_down(format!("writable {count} {tried:?}"));
    }

    fn closed(&self, count: &mut u32, closing: &Closing<'_>) {
        *count += 1;
        let Closing {
            code,
            reason,
            is_clean,
            ..
        } = closing;
        write_down(format!("closed {count} {code} {reason:?} {is_clean}"));
    }

    fn disconnect(&self, count: u32) {
        write_down(format!("disconnect {count}"));
    }
}

export_plugin!(connection_diary_init, Diary);

#[test]
fn every_callback_reaches_the_plugin_with_its_connection() {
    let (plugin, mock) = (Loaded::new(connection_diary_init), Mock::new());
    let private = plugin.connect(&mock);
    plugin.open(private, &mock);
    plugin.text(private, &mock, "a");
    plugin.timer(private, &mock);
    plugin.writable(private, &mock);
    plugin.close(private, &mock, 4000, "grüß".as_bytes(), true);
    plugin.disconnect(private, &mock);

    // A reason that is not UTF-8 and a code of more than 16 bits: no server has them.
    let private = plugin.connect(&mock);
    plugin.close(private, &mock, 0x1_0000, b"\xff", false);
    plugin.disconnect(private, &mock);

    assert_eq!(
        *DIARY.lock().unwrap(),
        [
            "open 1 Ok(())",
            "message 2 Text(\"a\")",
            "timer 3 Ok(())",
            "writable 4 Ok(())",
            "closed 5 4000 \"grüß\" true",
            "disconnect 5",
            "closed 1 1006 \"\" false",
            "disconnect 1",
        ]
    );
}

#[test]
fn a_plugin_with_two_functions_has_every_callback() {
    let (plugin, mock) = (Loaded::new(connection_obedient_init), Mock::new());
    let process = Mock::new();
    assert_eq!(plugin.configure(&[("any", "thing")]), None);
    plugin.child_start(&process);
    let private = plugin.connect(&mock);
    plugin.open(private, &mock);
    plugin.timer(private, &mock);
    plugin.writable(private, &mock);
    plugin.close(private, &mock, 1000, b"", true);
    plugin.disconnect(private, &mock);
    plugin.child_stop(true);
    assert_eq!(mock.calls(), []);
    assert_eq!(process.calls(), []);
}

#[test]
fn a_text_that_is_not_utf8_is_not_delivered_and_closes_with_1007() {
    let (plugin, mock) = (Loaded::new(connection_obedient_init), Mock::new());
    let private = plugin.connect(&mock);
    plugin.message(private, &mock, MESSAGE_TYPE_TEXT, b"\xff");
    plugin.disconnect(private, &mock);
    assert_eq!(mock.calls(), [Call::CloseWith(1007, "".into())]);
    assert_eq!(
        mock.lines(),
        [(
            WEBSOCKET_LOG_ERROR,
            "connection_obedient_init: the server delivered a text that is not UTF-8".into()
        )]
    );
}

// ----------------------------------------------------------------------------- tables, servers

#[test]
fn a_table_is_of_version_1_and_complete() {
    let plugin = Loaded::new(connection_obedient_init);
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
    let plugin = Loaded::new(connection_obedient_init);
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

export_plugin!(connection_everything_init, Everything);

/// The ends of every table that was ever published: the C module's, the first of version 1, and today's. Those in between
/// never were, and must be borne as well.
fn published_lengths() -> impl Iterator<Item = usize> {
    (WEBSOCKET_SERVER_SIZE_C_MODULE..=size_of::<WebSocketServer>()).step_by(size_of::<usize>())
}

#[test]
fn a_shorter_table_is_used_as_far_as_it_goes() {
    assert!(published_lengths().any(|length| length == WEBSOCKET_SERVER_SIZE_VERSION_1));
    let plugin = Loaded::new(connection_everything_init);
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
    let plugin = Loaded::new(connection_everything_init);
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
    let plugin = Loaded::new(connection_obedient_init);
    plugin.disconnect(plugin.connect(&mock), &mock);
}

// ------------------------------------------------------------------------------ refused calls

/// Makes every call that can be refused, and is told by text what the answers are.
struct Refused;

thread_local! {
    /// How often all answers were right. A callback runs on the test's thread.
    static RIGHT: Cell<u32> = const { Cell::new(0) };
}

impl Plugin for Refused {
    type Connection = ();

    fn connect(&self, _: &Handshake<'_>) -> Result<(), Rejection> {
        Ok(())
    }

    fn message(&self, (): &mut (), peer: &Sender, message: Message<'_>) {
        use SendError::{Closed, Invalid, WouldBlock};
        let (plain, tried) = match message {
            Message::Text("yes") => (Ok(()), Ok(())),
            Message::Text("would block") => (Err(Closed), Err(WouldBlock)),
            Message::Text("closed") => (Err(Closed), Err(Closed)),
            Message::Text("invalid") => (Err(Closed), Err(Invalid)),
            other => panic!("{other:?}"),
        };
        assert_eq!(peer.send_text("x"), plain);
        assert_eq!(peer.send_binary(b"x"), plain);
        assert_eq!(peer.ping(b"x"), plain);
        assert_eq!(peer.pong(b"x"), plain);
        assert_eq!(peer.set_timer(Duration::from_secs(1)), plain);
        assert_eq!(peer.close_with(1000, ""), plain);
        assert_eq!(peer.try_send(Message::Text("x")), tried);
        assert_eq!(peer.text_writer().unwrap().write("x"), tried);
        // A code that a server may have been told to allow: if not, the code is to blame.
        assert_eq!(peer.close_with(2000, ""), plain.map_err(|_| Invalid));
        RIGHT.set(RIGHT.get() + 1);
    }
}

export_plugin!(connection_refused_init, Refused);

#[test]
fn every_answer_of_the_server_reaches_the_plugin() {
    let (plugin, mock) = (Loaded::new(connection_refused_init), Mock::new());
    let private = plugin.connect(&mock);
    for (command, answer) in [
        ("yes", Answer::Yes),
        ("would block", Answer::WouldBlock),
        ("closed", Answer::Closed),
        ("invalid", Answer::Invalid),
    ] {
        mock.set_answer(answer);
        plugin.text(private, &mock, command);
    }
    plugin.disconnect(private, &mock);
    assert_eq!(RIGHT.get(), 4, "{:?}", mock.lines());
}

#[test]
fn a_table_with_holes_takes_nothing_and_crashes_nobody() {
    let mock = Mock::new().without_functions();
    let plugin = Loaded::new(connection_refused_init);
    let private = plugin.connect(&mock);
    plugin.text(private, &mock, "closed");
    plugin.disconnect(private, &mock);
    assert_eq!(RIGHT.get(), 1);
}

#[test]
fn what_can_be_known_to_be_wrong_does_not_reach_the_server() {
    let (plugin, mock) = (Loaded::new(connection_wrong_init), Mock::new());
    let private = plugin.connect(&mock);
    plugin.text(private, &mock, "all");
    plugin.disconnect(private, &mock);
    assert_eq!(mock.lines(), [], "an assertion in the plugin");
    assert_eq!(
        mock.calls(),
        [
            Call::SetTimer(1),
            Call::SetTimer(2),
            Call::SetTimer(86_400_000)
        ]
    );
}

struct Wrong;

impl Plugin for Wrong {
    type Connection = ();

    fn connect(&self, _: &Handshake<'_>) -> Result<(), Rejection> {
        Ok(())
    }

    fn message(&self, (): &mut (), peer: &Sender, _: Message<'_>) {
        let invalid = Err(SendError::Invalid);
        assert_eq!(peer.ping(&[1; 126]), invalid);
        assert_eq!(peer.pong(&[1; 126]), invalid);
        assert_eq!(peer.close_with(1000, &"x".repeat(124)), invalid);
        for code in [0, 999, 1005, 1006, 1015, 5000, u16::MAX] {
            assert_eq!(peer.close_with(code, ""), invalid);
        }
        let day = Duration::from_secs(24 * 60 * 60);
        assert_eq!(peer.set_timer(day + Duration::from_millis(1)), invalid);
        assert_eq!(peer.set_timer(Duration::MAX), invalid);
        // At once, and rounded up.
        assert_eq!(peer.set_timer(Duration::ZERO), Ok(()));
        assert_eq!(peer.set_timer(Duration::from_micros(1001)), Ok(()));
        assert_eq!(peer.set_timer(day), Ok(()));
    }
}

export_plugin!(connection_wrong_init, Wrong);

// ------------------------------------------------------------------------------ keyed timers, pongs

/// Two timers for each text, and what it has been called for.
struct Timed;

impl Plugin for Timed {
    type Connection = ();

    fn connect(&self, _: &Handshake<'_>) -> Result<(), Rejection> {
        Ok(())
    }

    fn message(&self, (): &mut (), peer: &Sender, message: Message<'_>) {
        match message {
            Message::Text("set") => {
                peer.set_timer_for(2, Duration::from_secs(60)).unwrap();
                peer.set_timer_for(1, Duration::from_millis(1)).unwrap();
                peer.set_timer(Duration::from_secs(90)).unwrap();
            }
            Message::Text("clear") => peer.clear_timer_for(2),
            Message::Text("set three") => {
                for key in [10, 11, 12] {
                    peer.set_timer_for(key, Duration::from_millis(1)).unwrap();
                }
            }
            _ => {
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
    }

    fn timer(&self, (): &mut (), peer: &Sender) {
        peer.send_text("plain").unwrap();
    }

    fn timer_for(&self, (): &mut (), peer: &Sender, key: u32) {
        peer.send_text(&format!("timer {key}")).unwrap();
        if key == 10 {
            peer.clear_timer_for(11);
            peer.set_timer_for(12, Duration::from_secs(60)).unwrap();
        }
    }

    fn pong(&self, (): &mut (), peer: &Sender, pong: &Pong<'_>) {
        peer.send_text(&format!("{:?} {:?}", pong.payload, pong.round_trip))
            .unwrap();
    }
}

export_plugin!(connection_timed_init, Timed);

fn sent(mock: &Mock) -> Vec<String> {
    let calls = mock.calls().into_iter();
    calls
        .filter_map(|call| match call {
            Call::Send(_, payload) => String::from_utf8(payload).ok(),
            _ => None,
        })
        .collect()
}

#[test]
fn several_timers_share_the_one_of_the_server() {
    let (plugin, mock) = (Loaded::new(connection_timed_init), Mock::new());
    let private = plugin.connect(&mock);
    plugin.text(private, &mock, "set");
    // The third is later than what the server has been asked for, which it is asked for again: it may be closing.
    let expected = [60_000, 1, 1].map(Call::SetTimer);
    assert_eq!(mock.calls(), expected);
    plugin.timer(private, &mock);
    assert_eq!(sent(&mock), ["timer 1"]);
    let Some(Call::SetTimer(rest)) = mock.calls().pop() else {
        panic!("no timer: {:?}", mock.calls());
    };
    assert!((1..60_000).contains(&rest), "{rest}");
    plugin.text(private, &mock, "clear");
    let Some(Call::SetTimer(rest)) = mock.calls().pop() else {
        panic!("no timer: {:?}", mock.calls());
    };
    assert!((60_000..90_000).contains(&rest), "{rest}");
    plugin.disconnect(private, &mock);
}

#[test]
fn a_timer_that_is_due_can_be_taken_back_by_one_that_was_due_before() {
    let (plugin, mock) = (Loaded::new(connection_timed_init), Mock::new());
    let private = plugin.connect(&mock);
    plugin.text(private, &mock, "set three");
    plugin.timer(private, &mock);
    assert_eq!(sent(&mock), ["timer 10"]);
    let Some(Call::SetTimer(rest)) = mock.calls().pop() else {
        panic!("no timer: {:?}", mock.calls());
    };
    assert!((2..=60_000).contains(&rest), "{rest}");
    plugin.disconnect(private, &mock);
}

#[test]
fn a_plugin_that_has_set_no_timer_is_not_called_for_one() {
    let (plugin, mock) = (Loaded::new(connection_timed_init), Mock::new());
    let private = plugin.connect(&mock);
    plugin.timer(private, &mock);
    assert_eq!(mock.calls(), []);
    plugin.disconnect(private, &mock);
}

#[test]
fn a_pong_has_its_round_trip_if_that_is_known() {
    let (plugin, mock) = (Loaded::new(connection_timed_init), Mock::new());
    let private = plugin.connect(&mock);
    plugin.pong(private, &mock, b"\x01", 1500);
    plugin.pong(private, &mock, b"", WEBSOCKET_ROUND_TRIP_UNKNOWN);
    assert_eq!(sent(&mock), ["[1] Some(1.5ms)", "[] None"]);
    plugin.disconnect(private, &mock);
}

#[test]
fn the_request_stays_readable_in_callbacks() {
    let mock = Mock::new()
        .with_variable("REQUEST_URI", b"/chat/a%20b?room=blue")
        .with_variable("QUERY_STRING", b"room=blue")
        .with_variable("REMOTE_USER", b"ada")
        .with_header("X-A", b"b");
    let plugin = Loaded::new(connection_timed_init);
    let private = plugin.connect(&mock);
    plugin.text(private, &mock, "what");
    assert_eq!(
        sent(&mock),
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

export_plugin!(connection_stale_init, Stale);

#[test]
fn a_sender_that_is_left_over_does_not_tell_of_who_has_its_memory() {
    let plugin = Loaded::new(connection_stale_init);
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
        sent(&mock),
        [
            r#"Some("ada") Some("a"), Some("ada") Some("a")"#,
            r#"None None, Some("bob") Some("b")"#,
        ]
    );
}
