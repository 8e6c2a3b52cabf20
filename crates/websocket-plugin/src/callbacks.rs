//! The callbacks that a plugin's table holds: from C to [`Plugin`](crate::Plugin).

use core::cell::{Cell, RefCell};
use core::ffi::{CStr, c_char, c_int, c_uchar, c_uint, c_ulong, c_void};
use core::time::Duration;
use core::{ptr, slice, str};

use crate::abi::{
    MESSAGE_TYPE_BINARY, MESSAGE_TYPE_TEXT, WEBSOCKET_ROUND_TRIP_UNKNOWN, WEBSOCKET_TOPIC_DROPPED,
    WEBSOCKET_TOPIC_GAP, WEBSOCKET_TOPIC_JOINED, WEBSOCKET_TOPIC_LEFT, WEBSOCKET_TOPIC_MEMBERS,
    WEBSOCKET_TOPIC_MESSAGE, WEBSOCKET_TOPIC_PASS, WEBSOCKET_TOPIC_SKIP, WebSocketOption,
    WebSocketPlugin, WebSocketServer, WebSocketTopicEvent,
};
use crate::callback::{Callback, note};
use crate::export::{Exported, Table, leave};
use crate::handshake::Handshake;
use crate::host::Host;
use crate::message::Message;
use crate::now::now;
use crate::options::Options;
use crate::plugin::{AnyConnection, Closing, Pong};
use crate::process::Process;
use crate::sender::Sender;
use crate::timers::Timer;
use crate::topics::{Delivery, News, TopicEvent};

/// # Safety
/// As `WS_Destroy`: `plugin` is what `init` returned, and is not used afterwards.
pub(crate) unsafe extern "C" fn destroy<E: Exported>(plugin: *mut WebSocketPlugin) {
    if plugin.is_null() {
        return;
    }
    #[cfg(feature = "testing")]
    crate::testing::tables::remove(plugin);
    // SAFETY: `init` made it from a box, and the server gives it back once.
    let table = unsafe { Box::from_raw(plugin.cast::<Table>()) };
    if let Some(process) = table.take_process() {
        E::export().stop(&process);
        leave(&process);
    }
    drop(table);
    E::export().release();
}

/// # Safety
/// As `WS_Configure`: `plugin` is what `init` returned, `options` are `option_count`.
pub(crate) unsafe extern "C" fn configure<E: Exported>(
    plugin: *mut WebSocketPlugin,
    options: *const WebSocketOption,
    option_count: usize,
) -> *const c_char {
    // SAFETY: `init` made it, and only shared references to it exist until `destroy`.
    let Some(table) = (unsafe { plugin.cast::<Table>().as_ref() }) else {
        return ptr::null();
    };
    let list = if options.is_null() || option_count == 0 {
        &[]
    } else {
        // SAFETY: the server gives as many, until this function returns.
        unsafe { slice::from_raw_parts(options, option_count) }
    };
    let callback = Callback::new(E::export().init(), "configure");
    let checked = callback.run(|| {
        let Some(plugin) = E::export().plugin() else {
            return Err("the plugin is gone".to_owned());
        };
        // SAFETY: the list and its texts live until this function returns.
        plugin.configure(&unsafe { Options::listed(list) }?)
    });
    table.complain(match checked {
        Some(result) => result.err(),
        None => Some("the plugin panicked in configure".to_owned()),
    })
}

/// # Safety
/// As `WS_Child_Start`: `plugin` is what `init` returned, `server` is alive until `child_stop`
/// returns.
pub(crate) unsafe extern "C" fn child_start<E: Exported>(
    plugin: *mut WebSocketPlugin,
    server: *const WebSocketServer,
) {
    let export = E::export();
    // SAFETY: `init` made it, and only shared references to it exist until `destroy`.
    let Some(table) = (unsafe { plugin.cast::<Table>().as_ref() }) else {
        return;
    };
    // SAFETY: the server's table is alive until `child_stop` returns.
    let host = match unsafe { Host::new(server) } {
        Ok(host) => host,
        Err(defect) => {
            Callback::new(export.init(), "child_start").note(defect);
            export.set_broken();
            return;
        }
    };
    // SAFETY: the table is alive until `child_stop`, or `destroy` without it, has ended this.
    let process = unsafe { Process::new(host) };
    let before = table.enter(process.clone());
    let plugin = export.start(&process);
    if let Some(before) = before {
        export.stop(&before);
        leave(&before);
    }
    let Some(plugin) = plugin else {
        return;
    };
    // SAFETY: this is the callback.
    let callback = unsafe { Callback::of(host, export.init(), "child_start") };
    if callback.run(|| plugin.child_start(&process)).is_none() {
        export.set_broken();
    }
}

/// # Safety
/// As `WS_Child_Stop`: `plugin` is what `init` returned.
pub(crate) unsafe extern "C" fn child_stop<E: Exported>(
    plugin: *mut WebSocketPlugin,
    graceful: c_int,
) {
    let export = E::export();
    // SAFETY: `init` made it, and only shared references to it exist until `destroy`.
    let Some(table) = (unsafe { plugin.cast::<Table>().as_ref() }) else {
        return;
    };
    let Some(process) = table.take_process() else {
        return;
    };
    if let Some(plugin) = export.stop(&process) {
        // SAFETY: this is the callback, and the table is alive until it returns.
        let callback = unsafe { Callback::of(process.host(), export.init(), "child_stop") };
        callback.run(|| plugin.child_stop(graceful != 0));
    }
    // Not before: the threads that the plugin has joined may have had something to log.
    leave(&process);
}

/// `plugin_private` of an accepted connection.
///
/// Only shared references to it exist until [`end`] frees it: a callback may come within another one, where a plugin's test has
/// its world call the connection that it runs in.
struct Live {
    /// Borrowed while a callback runs.
    connection: RefCell<Box<dyn AnyConnection>>,
    sender: Sender,
    /// It panicked: nothing but its disconnect is called any more.
    failed: Cell<bool>,
    /// `on_disconnect` has come, within a callback.
    is_over: Cell<bool>,
}

/// # Safety
/// As `WS_OnConnect`.
pub(crate) unsafe extern "C" fn on_connect<E: Exported>(
    server: *const WebSocketServer,
) -> *mut c_void {
    let init = E::export().init();
    // SAFETY: the server's table is alive until this function refuses or `on_disconnect` returns.
    let host = match unsafe { Host::new(server) } {
        Ok(host) => host,
        Err(defect) => {
            Callback::new(init, "on_connect").note(defect);
            return ptr::null_mut();
        }
    };
    // SAFETY: the table is alive.
    let failed = unsafe { host.connect_error() };
    let Some(plugin) = E::export().plugin() else {
        return failed;
    };

    // SAFETY: the sender is ended before this function refuses, or by `on_disconnect`.
    let sender = unsafe { Sender::new(host) };
    // SAFETY: this is the callback.
    let callback =
        unsafe { Callback::of_connection(sender.host(), sender.identity(), init, "on_connect") };
    let connected = callback.run(|| {
        // SAFETY: this is `on_connect`, and the handshake does not leave the closure.
        let handshake = unsafe { Handshake::new(host, &sender) };
        plugin.connect(&handshake)
    });
    let refusal = match connected {
        Some(Ok(connection)) => {
            return Box::into_raw(Box::new(Live {
                connection: RefCell::new(connection),
                sender,
                failed: Cell::new(false),
                is_over: Cell::new(false),
            }))
            .cast();
        }
        Some(Err(rejection)) => {
            // SAFETY: `on_connect` has not returned.
            unsafe { rejection.tell(host) };
            ptr::null_mut()
        }
        None => failed,
    };
    // There is no `on_disconnect`, and the plugin may have given its sender away.
    callback.run(|| sender.end());
    refusal
}

/// # Safety
/// As `WS_OnOpen`; see [`run`].
pub(crate) unsafe extern "C" fn on_open<E: Exported>(
    plugin_private: *mut c_void,
    _server: *const WebSocketServer,
) {
    // SAFETY: as the caller says.
    unsafe {
        run_or_close::<E>(plugin_private, "on_open", |connection, peer| {
            connection.open(peer)
        })
    }
}

/// # Safety
/// As `WS_OnMessage`, see [`run`]; and `buffer` has `buffer_size` bytes.
pub(crate) unsafe extern "C" fn on_message<E: Exported>(
    plugin_private: *mut c_void,
    _server: *const WebSocketServer,
    message_type: c_int,
    buffer: *mut c_uchar,
    buffer_size: usize,
) -> usize {
    let payload = if buffer.is_null() || buffer_size == 0 {
        &[]
    } else {
        // SAFETY: the buffer is the plugin's until this function returns.
        unsafe { slice::from_raw_parts(buffer.cast_const(), buffer_size) }
    };
    let message = match message_type {
        MESSAGE_TYPE_TEXT => match str::from_utf8(payload) {
            Ok(text) => Message::Text(text),
            Err(_) => {
                // The server has checked it; a `str` must not depend on that.
                // SAFETY: as the caller says.
                unsafe {
                    run::<E>(plugin_private, "on_message", |_, peer| {
                        note("the server delivered a text that is not UTF-8");
                        let _ = peer.close_with(INVALID_FRAME_PAYLOAD_DATA, "");
                    });
                }
                return buffer_size;
            }
        },
        MESSAGE_TYPE_BINARY => Message::Binary(payload),
        _ => return buffer_size,
    };
    // SAFETY: as the caller says.
    unsafe {
        run_or_close::<E>(plugin_private, "on_message", |connection, peer| {
            connection.message(peer, message);
        });
    }
    buffer_size
}

/// # Safety
/// As `WS_OnTimer`; see [`run`].
pub(crate) unsafe extern "C" fn on_timer<E: Exported>(
    plugin_private: *mut c_void,
    _server: *const WebSocketServer,
) {
    // SAFETY: as the caller says.
    unsafe {
        run_or_close::<E>(plugin_private, "on_timer", |connection, peer| {
            let begin = now();
            while let Some(timer) = peer.take_due_timer(begin) {
                match timer {
                    Timer::Plain => connection.timer(peer),
                    Timer::Keyed(key) => connection.timer_for(peer, key),
                }
            }
            peer.arm_next_timer();
        });
    }
}

/// # Safety
/// As `WS_OnPong`, see [`run`]; and `payload` has `payload_size` bytes.
pub(crate) unsafe extern "C" fn on_pong<E: Exported>(
    plugin_private: *mut c_void,
    _server: *const WebSocketServer,
    payload: *const c_uchar,
    payload_size: usize,
    round_trip: c_ulong,
) {
    let payload = if payload.is_null() || payload_size == 0 {
        &[]
    } else {
        // SAFETY: the payload is there until this function returns.
        unsafe { slice::from_raw_parts(payload, payload_size) }
    };
    let is_known = round_trip != WEBSOCKET_ROUND_TRIP_UNKNOWN;
    // A long of C's has 32 bits on some systems.
    #[allow(clippy::useless_conversion)]
    let microseconds = u64::from(round_trip);
    let pong = Pong {
        payload,
        round_trip: is_known.then(|| Duration::from_micros(microseconds)),
    };
    // SAFETY: as the caller says.
    unsafe {
        run_or_close::<E>(plugin_private, "on_pong", |connection, peer| {
            connection.pong(peer, &pong);
        });
    }
}

/// # Safety
/// As `WS_OnTopic`, see [`run`]; and `event` is one, with what it points to.
pub(crate) unsafe extern "C" fn on_topic<E: Exported>(
    plugin_private: *mut c_void,
    _server: *const WebSocketServer,
    event: *const WebSocketTopicEvent,
) -> c_int {
    // SAFETY: as the caller says.
    let Some(event) = (unsafe { event_of(event) }) else {
        return WEBSOCKET_TOPIC_SKIP;
    };
    let mut verdict = WEBSOCKET_TOPIC_SKIP;
    // SAFETY: as the caller says.
    unsafe {
        run_or_close::<E>(plugin_private, "on_topic", |connection, peer| {
            if connection.topic(peer, &event) == Delivery::Pass {
                verdict = WEBSOCKET_TOPIC_PASS;
            }
        });
    }
    verdict
}

/// What an event says; `None` for one of a kind that is not known here.
///
/// # Safety
/// `event` is NULL, or an event and what it points to live for `'e`.
unsafe fn event_of<'e>(event: *const WebSocketTopicEvent) -> Option<TopicEvent<'e>> {
    // SAFETY: as the caller says; an event is never shorter than the first server's.
    let event = unsafe { event.as_ref() }?;
    if (event.size as usize) < size_of::<WebSocketTopicEvent>()
        || event.topic.is_null()
        || event.id.is_null()
        || event.buffer.is_null()
    {
        return None;
    }
    // SAFETY: as the caller says.
    let (topic, id, bytes) = unsafe {
        (
            CStr::from_ptr(event.topic).to_str().ok()?,
            CStr::from_ptr(event.id).to_str().ok()?,
            slice::from_raw_parts(event.buffer, event.buffer_size),
        )
    };
    let member = str::from_utf8(bytes);
    // A long of C's has 32 bits on some systems.
    #[allow(clippy::useless_conversion)]
    let count = u64::from(event.count);
    let news = match event.kind {
        WEBSOCKET_TOPIC_MESSAGE => News::Message(match event.message_type {
            MESSAGE_TYPE_TEXT => Message::Text(str::from_utf8(bytes).ok()?),
            _ => Message::Binary(bytes),
        }),
        WEBSOCKET_TOPIC_JOINED => News::Joined {
            member: member.ok()?,
            members: count,
        },
        WEBSOCKET_TOPIC_LEFT => News::Left {
            member: member.ok()?,
            members: count,
        },
        WEBSOCKET_TOPIC_MEMBERS => News::Members(count),
        WEBSOCKET_TOPIC_DROPPED => News::Dropped(count),
        WEBSOCKET_TOPIC_GAP => News::Missing,
        _ => return None,
    };
    Some(TopicEvent { topic, id, news })
}

/// # Safety
/// As `WS_OnWritable`; see [`run`].
pub(crate) unsafe extern "C" fn on_writable<E: Exported>(
    plugin_private: *mut c_void,
    _server: *const WebSocketServer,
) {
    // SAFETY: as the caller says.
    unsafe {
        run_or_close::<E>(plugin_private, "on_writable", |connection, peer| {
            peer.room_has_come();
            connection.writable(peer);
        });
    }
}

/// # Safety
/// As `WS_OnClose`, see [`run`]; and `reason` has `reason_size` bytes.
pub(crate) unsafe extern "C" fn on_close<E: Exported>(
    plugin_private: *mut c_void,
    _server: *const WebSocketServer,
    code: c_uint,
    reason: *const c_char,
    reason_size: usize,
    clean: c_int,
) {
    let reason = if reason.is_null() || reason_size == 0 {
        &[]
    } else {
        // SAFETY: the reason is there until this function returns.
        unsafe { slice::from_raw_parts(reason.cast::<u8>(), reason_size) }
    };
    let closing = Closing {
        code: u16::try_from(code).unwrap_or(ABNORMAL_CLOSURE),
        // The server has checked it; a `str` must not depend on that.
        reason: str::from_utf8(reason).unwrap_or_default(),
        is_clean: clean != 0,
    };
    // SAFETY: as the caller says.
    unsafe {
        run::<E>(plugin_private, "on_close", |connection, _| {
            connection.closed(&closing);
        });
    }
}

/// # Safety
/// As `WS_OnDisconnect`: `plugin_private` is what `on_connect` returned, and is not used afterwards.
pub(crate) unsafe extern "C" fn on_disconnect<E: Exported>(
    plugin_private: *mut c_void,
    _server: *const WebSocketServer,
) {
    let place = plugin_private.cast::<Live>();
    // SAFETY: a `Live` of `on_connect`'s, to which only shared references exist until it is freed.
    let Some(live) = (unsafe { place.as_ref() }) else {
        return;
    };
    let init = E::export().init();
    let (host, identity) = (live.sender.host(), live.sender.identity());
    // SAFETY: this is the callback, and the table is alive until it returns.
    let callback = unsafe { Callback::of_connection(host, identity, init, "on_disconnect") };
    callback.run(|| live.sender.end());
    if live.connection.try_borrow_mut().is_err() {
        // The connection is in use further out on this thread, where `run` does the rest.
        live.is_over.set(true);
        return callback.note(
            "on_disconnect within another callback of the same connection waits for its end",
        );
    }
    // SAFETY: `on_connect` made it from a box, the server gives it back once, and no callback runs that would free it.
    unsafe { end(place, callback) }
}

/// Gives the state to the plugin's `disconnect`.
///
/// # Safety
/// `live` is from a box, and is not used afterwards. The table of `callback`, if any, is alive.
unsafe fn end(live: *mut Live, callback: Callback) {
    // SAFETY: as the caller says.
    let live = unsafe { Box::from_raw(live) };
    let connection = live.connection.into_inner();
    // After a panic, too: what other connections know of this one must go, exactly once. A second panic ends here.
    callback.run(|| connection.disconnect());
}

/// Runs a callback of a connection's, unless an earlier one has panicked. A panic ends the
/// connection with 1011.
///
/// # Safety
/// As [`run`].
unsafe fn run_or_close<E: Exported>(
    plugin_private: *mut c_void,
    name: &'static str,
    f: impl FnOnce(&mut dyn AnyConnection, &Sender),
) {
    // SAFETY: as the caller says.
    let panicked = unsafe { run::<E>(plugin_private, name, f) };
    if let Some(sender) = panicked {
        let _ = sender.close_with(INTERNAL_ERROR, "");
    }
}

/// Runs a callback of a connection's, unless an earlier one has panicked, or another one runs, which is logged. Returns the
/// connection's sender when this one panics.
///
/// The state stays until `on_disconnect` then, which gives it to the plugin's `disconnect`.
///
/// # Safety
/// This is a callback. `plugin_private` is what `on_connect` returned, and no other callback of the
/// connection runs, unless it is on this thread.
unsafe fn run<E: Exported>(
    plugin_private: *mut c_void,
    name: &'static str,
    f: impl FnOnce(&mut dyn AnyConnection, &Sender),
) -> Option<Sender> {
    let place = plugin_private.cast::<Live>();
    // SAFETY: a `Live` of `on_connect`'s, to which only shared references exist until it is freed.
    let live = unsafe { place.as_ref() }?;
    if live.failed.get() {
        return None;
    }
    let init = E::export().init();
    let (host, identity) = (live.sender.host(), live.sender.identity());
    // SAFETY: this is the callback, and the table is alive until `on_disconnect` returns; where that comes within this one, a
    // test's world keeps the table until the call has returned that led here.
    let callback = unsafe { Callback::of_connection(host, identity, init, name) };
    let Ok(mut connection) = live.connection.try_borrow_mut() else {
        callback.note(format_args!(
            "{name} within another callback of the same connection is left out"
        ));
        return None;
    };
    let is_whole = callback
        .run(|| f(&mut **connection, &live.sender))
        .is_some();
    drop(connection);
    live.failed.set(!is_whole);
    let panicked = (!is_whole).then(|| live.sender.clone());
    if live.is_over.get() {
        // SAFETY: `on_disconnect` has come, which the server calls last, and has left this to the callback that it came in.
        // The table may be gone, and is not used.
        unsafe { end(place, Callback::new(init, "on_disconnect")) }
    }
    panicked
}

// RFC 6455 §7.4.1
const ABNORMAL_CLOSURE: u16 = 1006;
const INVALID_FRAME_PAYLOAD_DATA: u16 = 1007;
const INTERNAL_ERROR: u16 = 1011;
