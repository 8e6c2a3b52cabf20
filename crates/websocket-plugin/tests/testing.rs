//! What happens in a world of `websocket_plugin::testing`, seen from the plugin.

use std::cell::Cell;
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::Duration;

use websocket_plugin::abi::WebSocketPlugin;
use websocket_plugin::testing::{Client, Received, Request, World};
use websocket_plugin::{
    Closing, Handshake, Message, Options, Plugin, Pong, Process, Rejection, Sender, export_plugin,
    log,
};

static CALLS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn call(what: impl Into<String>) {
    CALLS.lock().unwrap().push(what.into());
}

fn calls() -> Vec<String> {
    std::mem::take(&mut CALLS.lock().unwrap())
}

/// Records its callbacks, and does what a message says.
struct Obedient;

impl Plugin for Obedient {
    type Connection = ();

    fn configure(&self, options: &Options<'_>) -> Result<(), String> {
        options.allow_only(&["name"])
    }

    fn child_start(&self, process: &Process) {
        call(format!("child_start {:?}", process.option("name")));
    }

    fn child_stop(&self, graceful: bool) {
        call(format!("child_stop {graceful}"));
    }

    fn connect(&self, handshake: &Handshake<'_>) -> Result<(), Rejection> {
        match handshake.query("do").as_deref() {
            Some("panic") => panic!("as told"),
            Some("refuse") => Err(Rejection::new(503).header("Retry-After", "7")?),
            _ => Ok(handshake.set_header("X-Host", handshake.header("host").unwrap())?),
        }
    }

    fn open(&self, (): &mut (), _: &Sender) {
        call("open");
    }

    fn message(&self, (): &mut (), peer: &Sender, message: Message<'_>) {
        match message.as_bytes() {
            b"panic" => panic!("as told"),
            b"close" => peer.close(),
            b"ping" => peer.ping(b"one").and(peer.ping(b"two")).unwrap(),
            b"close and go on" => {
                peer.set_timer_for(1, Duration::from_secs(1)).unwrap();
                peer.close();
                let late = peer.set_timer_for(2, Duration::from_secs(2));
                let plain = peer.set_timer(Duration::from_secs(3));
                call(format!("{late:?} {plain:?} {:?}", peer.ping(b"late")));
            }
            b"log" => log::warn!("as told"),
            b"thread" => {
                let peer = peer.clone();
                websocket_plugin::spawn("teller", move || peer.send_text("from a thread")).unwrap();
            }
            // Two keys, and the plain one between them.
            b"timers" => {
                peer.set_timer_for(2, Duration::from_secs(60)).unwrap();
                peer.set_timer_for(1, Duration::from_millis(1500)).unwrap();
                peer.set_timer(Duration::from_secs(30)).unwrap();
            }
            b"minute" => peer.set_timer_for(7, Duration::from_secs(60)).unwrap(),
            b"no timers" => {
                peer.clear_timer_for(1);
                peer.clear_timer();
            }
            _ => drop(peer.send(message)),
        }
    }

    fn pong(&self, (): &mut (), _: &Sender, pong: &Pong<'_>) {
        let payload = String::from_utf8_lossy(pong.payload);
        call(format!("pong {payload} {:?}", pong.round_trip));
    }

    fn timer(&self, (): &mut (), peer: &Sender) {
        peer.send_text("plain").unwrap();
    }

    fn timer_for(&self, (): &mut (), peer: &Sender, key: u32) {
        peer.send_text(&format!("key {key}")).unwrap();
        if key == 7 {
            peer.set_timer_for(7, Duration::from_secs(60)).unwrap();
        }
    }

    fn closed(&self, (): &mut (), closing: &Closing<'_>) {
        call(format!("closed {} {}", closing.code, closing.is_clean));
    }

    fn disconnect(&self, (): ()) {
        call("disconnect");
    }
}

export_plugin!(obedient_init, Obedient);

#[test]
fn a_process_has_its_options_and_ends_its_connections() {
    let world = World::with_options(obedient_init, &[("name", "Ada")]).unwrap();
    assert_eq!(calls().last().unwrap(), "child_start Some(\"Ada\")");
    let client = world.connect(Request::to("/")).unwrap();
    assert_eq!(client.header("x-host").as_deref(), Some("localhost"));
    world.stop_child(true);
    assert_eq!(
        client.received(),
        [Received::Close(Some(1001), String::new())]
    );
    world.start_child();
    world.stop_child(false);
    let expected = [
        "open",
        "closed 1001 true",
        "disconnect",
        "child_stop true",
        "child_start Some(\"Ada\")",
        "child_stop false",
    ];
    assert_eq!(calls(), expected);
}

#[test]
fn a_panic_ends_its_connection_only() {
    let world = World::new(obedient_init);
    let one = world.connect(Request::to("/")).unwrap();
    let other = world.connect(Request::to("/")).unwrap();
    one.send_text("panic");
    assert!(matches!(
        &one.received()[..],
        [Received::Close(Some(1011), _)]
    ));
    assert!(!one.is_open() && other.is_open());
    assert!(one.lines().iter().any(|(_, line)| line.contains("as told")));
    let refusal = world.connect(Request::to("/?do=panic")).unwrap_err();
    assert_eq!(refusal.status, 500);
}

#[test]
fn each_way_to_end_is_told() {
    let world = World::new(obedient_init);
    calls();
    let end = |end: &dyn Fn(&websocket_plugin::testing::Client<'_>)| {
        end(&world.connect(Request::to("/")).unwrap());
        calls()[1].clone()
    };
    assert_eq!(end(&|client| client.close(4000, "bye")), "closed 4000 true");
    assert_eq!(end(&|client| client.vanish()), "closed 1006 false");
    assert_eq!(end(&|client| client.send_text("close")), "closed 1005 true");
    assert_eq!(end(&|_| {}), "closed 1006 false");
}

fn texts<const N: usize>(texts: [&str; N]) -> [Received; N] {
    texts.map(|text| Received::Text(text.into()))
}

#[test]
fn a_keyed_timer_goes_by_the_clock_of_the_world() {
    let world = World::new(obedient_init);
    let client = world.connect(Request::to("/")).unwrap();
    client.send_text("minute");
    world.advance(Duration::from_secs(59));
    assert_eq!(client.received(), []);
    world.advance(Duration::from_secs(1));
    assert_eq!(client.received(), texts(["key 7"]));
    // It sets itself anew, from when it was due.
    world.advance(Duration::from_secs(180));
    assert_eq!(client.received(), texts(["key 7", "key 7", "key 7"]));
}

#[test]
fn keyed_timers_and_the_plain_one_come_in_their_order() {
    let world = World::new(obedient_init);
    let client = world.connect(Request::to("/")).unwrap();
    client.send_text("timers");
    world.advance(Duration::from_secs(1));
    assert_eq!(client.received(), []);
    world.advance(Duration::from_secs(1));
    assert_eq!(client.received(), texts(["key 1"]));
    world.advance(Duration::from_secs(60));
    assert_eq!(client.received(), texts(["plain", "key 2"]));
    world.advance(Duration::from_secs(3600));
    assert_eq!(client.received(), []);
}

#[test]
fn a_timer_that_is_taken_back_is_not_called() {
    let world = World::new(obedient_init);
    let client = world.connect(Request::to("/")).unwrap();
    client.send_text("timers");
    client.send_text("no timers");
    world.advance(Duration::from_secs(3600));
    assert_eq!(client.received(), texts(["key 2"]));
}

#[test]
fn refusals_lines_and_threads_are_seen() {
    let world = World::new(obedient_init);
    let refusal = world.connect(Request::to("/?do=refuse")).unwrap_err();
    assert_eq!((refusal.status, refusal.headers.len()), (503, 1));
    let client = world.connect(Request::to("/")).unwrap();
    client.send_text("log");
    assert_eq!(client.lines()[0].0, log::Level::Warn);
    client.send_text("thread");
    assert_eq!(client.next(), Received::Text("from a thread".into()));
    world.advance(Duration::from_secs(1));
    assert!(world.configure(&[("age", "7")]).is_err());
}

#[test]
fn a_pong_comes_with_its_round_trip() {
    let world = World::new(obedient_init);
    let client = world.connect(Request::to("/")).unwrap();
    calls();
    assert!(!client.answer_ping());
    client.send_text("ping");
    let pings = ["one", "two"].map(|payload| Received::Ping(payload.into()));
    assert_eq!(client.received(), pings);
    // A silent client.
    world.advance(Duration::from_millis(70));
    assert!(calls().is_empty());
    client.pong(b"one");
    assert!(client.answer_ping() && !client.answer_ping());
    client.pong(b"unasked");
    let expected = ["pong one None", "pong two Some(70ms)", "pong unasked None"];
    assert_eq!(calls(), expected);
    client.send_text("close");
    client.pong(b"late");
    assert!(!calls().contains(&"pong late None".to_owned()));
}

#[test]
fn nothing_begins_while_the_websocket_is_closing() {
    let world = World::new(obedient_init);
    let client = world.connect(Request::to("/")).unwrap();
    calls();
    client.send_text("close and go on");
    assert_eq!(calls()[0], "Err(Closed) Err(Closed) Err(Closed)");
}

// ------------------------------------------------------------------------------------- bad worlds

extern "C" fn nowhere_init() -> *mut WebSocketPlugin {
    ptr::without_provenance_mut(64)
}

#[test]
#[should_panic(expected = "not one of export_plugin!")]
fn what_is_no_table_of_a_plugin_makes_no_world() {
    World::new(nowhere_init);
}

static GONE: AtomicPtr<WebSocketPlugin> = AtomicPtr::new(ptr::null_mut());

extern "C" fn gone_init() -> *mut WebSocketPlugin {
    GONE.load(Ordering::Relaxed)
}

#[test]
#[should_panic(expected = "or its table is gone")]
fn a_table_that_was_destroyed_makes_no_world() {
    let table = obedient_init();
    // SAFETY: the table has just been made, and this is its end.
    unsafe { (*table).destroy.unwrap()(table) }
    GONE.store(table, Ordering::Relaxed);
    World::new(gone_init);
}

/// Has its own client send, and go, within `message`.
struct Reaching;

thread_local! {
    static CLIENT: Cell<Option<&'static Client<'static>>> = const { Cell::new(None) };
    static REACHED: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

impl Plugin for Reaching {
    type Connection = String;

    fn connect(&self, _: &Handshake<'_>) -> Result<String, Rejection> {
        Ok("untouched".to_owned())
    }

    fn message(&self, state: &mut String, _: &Sender, message: Message<'_>) {
        if let Some(client) = CLIENT.take() {
            client.send_text("again");
            client.vanish();
            client.send_text("late");
        }
        assert_eq!(
            (state.as_str(), message.as_bytes()),
            ("untouched", &b"go"[..])
        );
        let (messages, ends) = REACHED.get();
        assert_eq!(ends, 0);
        REACHED.set((messages + 1, 0));
        *state = "touched".to_owned();
    }

    fn disconnect(&self, state: String) {
        assert_eq!(state, "touched");
        let (messages, ends) = REACHED.get();
        REACHED.set((messages, ends + 1));
    }
}

export_plugin!(reaching_init, Reaching);

#[test]
fn a_callback_that_has_its_own_client_send_does_not_get_that() {
    let world = Box::into_raw(Box::new(World::new(reaching_init)));
    // SAFETY: both live until the end of the test, behind which nobody has the client.
    let client = unsafe { (*world).connect(Request::to("/")).unwrap() };
    let client = Box::into_raw(Box::new(client));
    // SAFETY: as above.
    CLIENT.set(Some(unsafe { &*client }));
    // SAFETY: as above; each came from a box.
    unsafe {
        (*client).send_text("go");
        assert!(!(*client).is_open());
        let lines: Vec<_> = (*client)
            .lines()
            .into_iter()
            .map(|(_, line)| line)
            .collect();
        let told =
            |name| format!("reaching_init: {name} within another callback of the same connection");
        for (line, name) in lines
            .iter()
            .zip(["on_message", "on_close", "on_disconnect"])
        {
            assert!(line.starts_with(&told(name)), "{line}");
        }
        assert_eq!(lines.len(), 3);
        drop(Box::from_raw(client));
        drop(Box::from_raw(world));
    }
    assert_eq!(REACHED.get(), (1, 1));
}
