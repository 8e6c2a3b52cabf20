//! One connection of an exported plugin, from `on_connect` to `on_disconnect`.

mod mock;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Mutex;
use std::time::Duration;

use mock::{Answer, Call, Loaded, Mock};
use websocket_plugin::abi::*;
use websocket_plugin::{
    Closing, Handshake, Message, Plugin, Rejection, SendError, Sender, export_plugin,
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
        let (plain, sent) = match message {
            Message::Text("yes") => (Ok(()), Ok(())),
            Message::Text("would block") => (Err(Closed), Err(WouldBlock)),
            Message::Text("closed") => (Err(Closed), Err(Closed)),
            Message::Text("invalid") => (Err(Closed), Err(Invalid)),
            other => panic!("{other:?}"),
        };
        assert_eq!(peer.send_text("x"), sent);
        assert_eq!(peer.send_binary(b"x"), sent);
        assert_eq!(peer.ping(b"x"), sent);
        assert_eq!(peer.pong(b"x"), sent);
        assert_eq!(peer.set_timer(Duration::from_secs(1)), plain);
        assert_eq!(peer.close_with(1000, ""), plain);
        assert_eq!(peer.try_send(Message::Text("x")), sent);
        assert_eq!(peer.text_writer().unwrap().write("x"), sent);
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

// ------------------------------------------------------------------------ a callback in a callback

/// Does within a callback what the test has put there.
struct Nested;

type Within = Box<dyn FnOnce()>;

thread_local! {
    static WITHIN: RefCell<Option<Within>> = const { RefCell::new(None) };
    static SEEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn saw(what: impl Into<String>) {
    SEEN.with_borrow_mut(|seen| seen.push(what.into()));
}

impl Plugin for Nested {
    type Connection = String;

    fn connect(&self, _: &Handshake<'_>) -> Result<String, Rejection> {
        Ok(String::new())
    }

    fn message(&self, all: &mut String, _: &Sender, message: Message<'_>) {
        let before = all.clone();
        if let Some(within) = WITHIN.take() {
            within();
        }
        assert_eq!(*all, before);
        all.push_str(str::from_utf8(message.as_bytes()).unwrap());
        saw(all.as_str());
        assert!(!all.ends_with("panic"), "told to");
    }

    fn disconnect(&self, all: String) {
        saw(format!("disconnect {all}"));
    }
}

export_plugin!(connection_nested_init, Nested);

fn nested() -> (Rc<Loaded>, Rc<Mock>, *mut std::ffi::c_void) {
    let (plugin, mock) = (Loaded::new(connection_nested_init), Mock::new());
    let private = plugin.connect(&mock);
    (Rc::new(plugin), Rc::new(mock), private)
}

fn told(mock: &Mock, name: &str) -> bool {
    let start = format!("connection_nested_init: {name} within another callback");
    mock.lines()
        .iter()
        .any(|(_, line)| line.starts_with(&start))
}

#[test]
fn a_callback_within_one_of_the_same_connection_is_left_out_and_told() {
    let (plugin, mock, private) = nested();
    let other = Rc::new(Mock::new());
    let between = plugin.connect(&other);
    let (plugin_within, mock_within, other_within) = (plugin.clone(), mock.clone(), other.clone());
    WITHIN.set(Some(Box::new(move || {
        assert_eq!(plugin_within.text(private, &mock_within, "x"), 1);
        plugin_within.writable(private, &mock_within);
        // Nor through another connection, whose own callback is as good as any.
        let (plugin, mock) = (plugin_within.clone(), mock_within.clone());
        WITHIN.set(Some(Box::new(move || {
            plugin.text(private, &mock, "x");
        })));
        plugin_within.text(between, &other_within, "other");
    })));
    plugin.text(private, &mock, "a");
    plugin.text(private, &mock, "b");
    assert!(told(&mock, "on_message") && told(&mock, "on_writable"));
    assert_eq!(mock.lines().len(), 3);
    assert_eq!(other.lines(), []);
    plugin.disconnect(between, &other);
    plugin.disconnect(private, &mock);
    let seen = SEEN.take();
    let expected = ["other", "a", "ab", "disconnect other", "disconnect ab"];
    assert_eq!(seen, expected);
}

#[test]
fn a_connection_that_ends_within_its_callback_has_its_disconnect_behind_it() {
    for (text, seen) in [
        ("a", ["a", "disconnect a"]),
        ("panic", ["panic", "disconnect panic"]),
    ] {
        let (plugin, mock, private) = nested();
        let (plugin_within, mock_within) = (plugin.clone(), mock.clone());
        WITHIN.set(Some(Box::new(move || {
            plugin_within.close(private, &mock_within, 1000, b"", true);
            plugin_within.disconnect(private, &mock_within);
        })));
        plugin.text(private, &mock, text);
        assert!(told(&mock, "on_close") && told(&mock, "on_disconnect"));
        assert_eq!(SEEN.take(), seen);
        assert_eq!(mock.calls(), []);
    }
}
