//! Panics, in every place where a plugin is called.

mod mock;

use std::ffi::c_void;
use std::panic::panic_any;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mock::{Call, Loaded, Mock};
use websocket_plugin::abi::*;
use websocket_plugin::{
    Closing, Delivery, Handshake, Message, Options, Plugin, Pong, Process, Rejection, Sender,
    TopicEvent, export_plugin,
};

/// Panics where it is told to, and counts what happens to it.
struct Fragile {
    place: &'static str,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    /// Calls for a connection that is open.
    calls: AtomicUsize,
    disconnects: AtomicUsize,
    dropped_connections: AtomicUsize,
    child_stops: AtomicUsize,
}

struct FragileConnection {
    place: &'static str,
    seen: Arc<Seen>,
}

impl Fragile {
    fn maybe(&self, here: &str) {
        let is_twice = self.place == "twice" && ["message", "disconnect"].contains(&here);
        assert!(self.place != here && !is_twice, "told to panic in {here}");
    }

    fn call(&self, here: &str) {
        self.seen.calls.fetch_add(1, Ordering::Relaxed);
        self.maybe(here);
    }
}

impl Plugin for Fragile {
    type Connection = FragileConnection;

    fn configure(&self, _: &Options<'_>) -> Result<(), String> {
        self.maybe("configure");
        Ok(())
    }

    fn child_start(&self, _: &Process) {
        self.maybe("child_start");
    }

    fn child_stop(&self, _: bool) {
        self.seen.child_stops.fetch_add(1, Ordering::Relaxed);
        self.maybe("child_stop");
    }

    fn connect(&self, handshake: &Handshake<'_>) -> Result<FragileConnection, Rejection> {
        let _ = handshake.sender().send_text("hello");
        if self.place == "timer" {
            handshake.sender().set_timer(Duration::ZERO).unwrap();
        }
        self.maybe("connect");
        Ok(FragileConnection {
            place: self.place,
            seen: Arc::clone(&self.seen),
        })
    }

    fn open(&self, _: &mut FragileConnection, _: &Sender) {
        self.call("open");
    }

    fn message(&self, _: &mut FragileConnection, _: &Sender, _: Message<'_>) {
        self.call("message");
        match self.place {
            "payload" => panic_any(PanicsWhenDropped),
            "connection drop" => panic!("told to panic in message, then in drop"),
            _ => {}
        }
    }

    fn timer(&self, _: &mut FragileConnection, _: &Sender) {
        self.call("timer");
    }

    fn pong(&self, _: &mut FragileConnection, _: &Sender, _: &Pong<'_>) {
        self.call("pong");
    }

    fn topic(&self, _: &mut FragileConnection, _: &Sender, _: &TopicEvent<'_>) -> Delivery {
        self.call("topic");
        Delivery::Pass
    }

    fn writable(&self, _: &mut FragileConnection, _: &Sender) {
        self.call("writable");
    }

    fn closed(&self, _: &mut FragileConnection, _: &Closing<'_>) {
        self.call("closed");
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
        let dropped = &self.seen.dropped_connections;
        dropped.fetch_add(1, Ordering::Relaxed);
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

fragile!(panics_configure_init, CONFIGURE, "configure");
fragile!(panics_child_start_init, CHILD_START, "child_start");
fragile!(panics_child_stop_init, CHILD_STOP, "child_stop");
fragile!(panics_connect_init, CONNECT, "connect");
fragile!(panics_open_init, OPEN, "open");
fragile!(panics_message_init, MESSAGE, "message");
fragile!(panics_timer_init, TIMER, "timer");
fragile!(panics_writable_init, WRITABLE, "writable");
fragile!(panics_pong_init, PONG, "pong");
fragile!(panics_topic_init, TOPIC, "topic");
fragile!(panics_closed_init, CLOSED, "closed");
fragile!(panics_payload_init, PAYLOAD, "payload");
fragile!(panics_disconnect_init, DISCONNECT, "disconnect");
fragile!(panics_twice_init, TWICE, "twice");
fragile!(panics_drop_init, DROP, "connection drop");
fragile!(panics_destroy_init, DESTROY, "destroy");
export_plugin!(panics_init_init, panicking_plugin());

fn panicking_plugin() -> Fragile {
    panic!("told to panic in init")
}

fn seen(seen: &Mutex<Option<Arc<Seen>>>) -> Arc<Seen> {
    seen.lock().unwrap().clone().unwrap()
}

/// Calls for open connections, of `disconnect`, and states that were dropped.
fn counts(seen_in: &Mutex<Option<Arc<Seen>>>) -> (usize, usize, usize) {
    let seen = seen(seen_in);
    (
        seen.calls.load(Ordering::Relaxed),
        seen.disconnects.load(Ordering::Relaxed),
        seen.dropped_connections.load(Ordering::Relaxed),
    )
}

/// What the mock's log has to say, without the places.
fn lines(mock: &Mock) -> Vec<String> {
    let lines = mock.lines().into_iter();
    lines
        .map(|(level, line)| {
            assert_eq!(level, WEBSOCKET_LOG_ERROR);
            match line.split_once(".rs:") {
                Some((_, place)) => place.split_once(": ").unwrap().1.to_owned(),
                None => line,
            }
        })
        .collect()
}

/// Those about one callback: the log of a process also gets what other tests panic with, beside no connection.
fn lines_of(process: &Mock, callback: &str) -> Vec<String> {
    let mut lines = lines(process);
    lines.retain(|line| line.contains(callback));
    lines
}

// --------------------------------------------------------------------- outside of a connection

#[test]
fn a_panic_in_init_is_null() {
    assert!(Loaded::try_new(panics_init_init).is_none());
}

#[test]
fn a_panic_in_configure_is_an_error_text() {
    let plugin = Loaded::new(panics_configure_init);
    let error = plugin.configure(&[]);
    assert_eq!(error.as_deref(), Some("the plugin panicked in configure"));
}

#[test]
fn a_panic_in_child_start_refuses_every_connection_with_an_error() {
    let (plugin, process) = (Loaded::new(panics_child_start_init), Mock::new());
    plugin.child_start(&process);
    assert_eq!(
        lines_of(&process, "child_start"),
        [
            "told to panic in child_start",
            "panics_child_start_init: panic in child_start"
        ]
    );
    for _ in 0..2 {
        let mock = Mock::new();
        let private = plugin.connect_raw(mock.server());
        assert_eq!(private, WEBSOCKET_CONNECT_ERROR);
        assert_eq!(mock.calls(), []);
    }
    plugin.child_stop(true);
    assert_eq!(seen(&CHILD_START).child_stops.load(Ordering::Relaxed), 0);
    drop(plugin);

    // The next configuration begins anew.
    let plugin = Loaded::new(panics_child_start_init);
    let mock = Mock::new();
    plugin.disconnect(plugin.connect(&mock), &mock);
}

#[test]
fn a_panic_in_child_stop_is_caught() {
    let (plugin, process) = (Loaded::new(panics_child_stop_init), Mock::new());
    plugin.child_start(&process);
    plugin.child_stop(false);
    assert_eq!(seen(&CHILD_STOP).child_stops.load(Ordering::Relaxed), 1);
    assert_eq!(lines_of(&process, "child_stop").len(), 2);
}

#[test]
fn a_panic_in_destroy_is_caught() {
    drop(Loaded::new(panics_destroy_init));
}

// ------------------------------------------------------------------------------- on_connect

#[test]
fn a_panic_in_connect_is_the_connect_error() {
    let (plugin, mock) = (Loaded::new(panics_connect_init), Mock::new());
    assert_eq!(plugin.connect_raw(mock.server()), WEBSOCKET_CONNECT_ERROR);
    assert_eq!(
        lines(&mock),
        [
            "told to panic in connect",
            "panics_connect_init: panic in on_connect"
        ]
    );
}

// ------------------------------------------------------------------------- an open connection

type Callback = fn(&Loaded, *mut c_void, &Mock);

const CALLBACKS: [(&str, Callback); 6] = [
    ("on_open", |plugin, private, mock| {
        plugin.open(private, mock);
    }),
    ("on_message", |plugin, private, mock| {
        assert_eq!(plugin.text(private, mock, "text"), 4);
    }),
    ("on_timer", |plugin, private, mock| {
        plugin.timer(private, mock);
    }),
    ("on_writable", |plugin, private, mock| {
        plugin.writable(private, mock);
    }),
    ("on_pong", |plugin, private, mock| {
        plugin.pong(private, mock, b"payload", 1);
    }),
    ("on_topic", |plugin, private, mock| {
        let event = WebSocketTopicEvent {
            size: size_of::<WebSocketTopicEvent>() as u32,
            kind: WEBSOCKET_TOPIC_MESSAGE,
            topic: c"/a".as_ptr(),
            id: c"00000000000000aa-7".as_ptr(),
            message_type: MESSAGE_TYPE_TEXT,
            buffer: b"x".as_ptr(),
            buffer_size: 1,
            count: 0,
        };
        let verdict = plugin.topic(private, mock, &event);
        assert_eq!(verdict, WEBSOCKET_TOPIC_SKIP);
    }),
];

#[test]
fn a_panic_closes_with_1011_and_ends_all_calls_for_that_connection_only() {
    for (place, (callback, panicking), init, seen) in [
        (
            "open",
            CALLBACKS[0],
            panics_open_init as extern "C" fn() -> _,
            &OPEN,
        ),
        ("message", CALLBACKS[1], panics_message_init, &MESSAGE),
        ("timer", CALLBACKS[2], panics_timer_init, &TIMER),
        ("writable", CALLBACKS[3], panics_writable_init, &WRITABLE),
        ("pong", CALLBACKS[4], panics_pong_init, &PONG),
        ("topic", CALLBACKS[5], panics_topic_init, &TOPIC),
    ] {
        let plugin = Loaded::new(init);
        let (mock, other) = (Mock::new(), Mock::new());
        let (private, other_private) = (plugin.connect(&mock), plugin.connect(&other));

        panicking(&plugin, private, &mock);
        assert_eq!(counts(seen), (1, 0, 0), "{place}");
        for (_, call) in CALLBACKS {
            call(&plugin, private, &mock);
        }
        plugin.close(private, &mock, 1011, b"", true);
        plugin.disconnect(private, &mock);
        // What others know of this connection goes with it.
        assert_eq!(counts(seen), (1, 1, 1), "{place}");
        let mut calls = mock.calls();
        calls.retain(|call| !matches!(call, Call::SetTimer(_)));
        assert_eq!(
            calls,
            [
                Call::Send(MESSAGE_TYPE_TEXT, b"hello".to_vec()),
                Call::CloseWith(1011, "".into())
            ]
        );
        let said = format!("told to panic in {place}");
        let init = format!("panics_{place}_init: panic in {callback}");
        assert_eq!(lines(&mock), [said, init]);

        plugin.disconnect(other_private, &other);
        assert_eq!(counts(seen), (1, 2, 2), "{place}");
        assert!(!other.calls().contains(&Call::CloseWith(1011, "".into())));
    }
}

#[test]
fn a_panic_in_closed_is_caught_and_closes_nothing() {
    let (plugin, mock) = (Loaded::new(panics_closed_init), Mock::new());
    let private = plugin.connect(&mock);
    plugin.close(private, &mock, 1000, b"", true);
    plugin.disconnect(private, &mock);
    assert_eq!(counts(&CLOSED), (1, 1, 1));
    assert_eq!(mock.calls().len(), 1);
}

#[test]
fn a_panic_whose_payload_panics_is_caught_too() {
    let (plugin, mock) = (Loaded::new(panics_payload_init), Mock::new());
    let private = plugin.connect(&mock);
    plugin.text(private, &mock, "one");
    plugin.disconnect(private, &mock);
    assert_eq!(counts(&PAYLOAD), (1, 1, 1));
    assert_eq!(mock.calls()[1], Call::CloseWith(1011, "".into()));
    assert_eq!(lines(&mock)[0], "(no text)");
}

#[test]
fn a_panic_in_disconnect_is_caught() {
    let (plugin, mock) = (Loaded::new(panics_disconnect_init), Mock::new());
    let private = plugin.connect(&mock);
    plugin.disconnect(private, &mock);
    assert_eq!(counts(&DISCONNECT), (0, 1, 1));
    assert_eq!(
        lines(&mock),
        [
            "told to panic in disconnect",
            "panics_disconnect_init: panic in on_disconnect"
        ]
    );
}

#[test]
fn a_second_panic_in_disconnect_ends_it() {
    let (plugin, mock) = (Loaded::new(panics_twice_init), Mock::new());
    let private = plugin.connect(&mock);
    plugin.text(private, &mock, "one");
    plugin.disconnect(private, &mock);
    assert_eq!(counts(&TWICE), (1, 1, 1));
    assert_eq!(
        lines(&mock)[2..],
        [
            "told to panic in disconnect",
            "panics_twice_init: panic in on_disconnect"
        ]
    );
}

#[test]
fn a_panic_while_the_state_is_dropped_is_caught() {
    let (plugin, mock) = (Loaded::new(panics_drop_init), Mock::new());
    let private = plugin.connect(&mock);
    plugin.text(private, &mock, "one");
    plugin.disconnect(private, &mock);
    assert_eq!(counts(&DROP), (1, 1, 1));
}
