//! A world in which a plugin runs as a library, for its tests (feature `testing`).
//!
//! ```
//! use websocket_plugin::testing::{Received, Request, World};
//! use websocket_plugin::{Handshake, Message, Plugin, Rejection, Sender, export_plugin};
//!
//! struct Echo;
//!
//! impl Plugin for Echo {
//!     type Connection = ();
//!
//!     fn connect(&self, handshake: &Handshake<'_>) -> Result<(), Rejection> {
//!         handshake.query("name").map(drop).ok_or(Rejection::bad_request())
//!     }
//!
//!     fn message(&self, (): &mut (), peer: &Sender, message: Message<'_>) {
//!         let _ = peer.send(message);
//!     }
//! }
//!
//! export_plugin!(echo_init, Echo);
//!
//! let world = World::new(echo_init);
//! assert_eq!(world.connect(Request::to("/echo")).unwrap_err().status, 400);
//! let client = world.connect(Request::to("/echo?name=Ada"))?;
//! client.send_text("hello");
//! assert_eq!(client.received(), [Received::Text("hello".into())]);
//! # Ok::<(), websocket_plugin::testing::Refusal>(())
//! ```
//!
//! The plugin is called as a server calls it, through its init function. Nothing happens by itself: each call of a test
//! runs the callbacks that it leads to, on the test's thread, and returns when they have. The clock stands still until
//! [`World::advance`]. (Timers of a [`Process`](crate::Process) are not of it: they go by the machine's clock, on their own
//! thread.)
//!
//! Topics are the world's own: all of its connections share them, and [`World::publish`] is what comes from elsewhere. A client
//! that takes nothing is closed with 1013, as `WebSocketTopicSlow close` has it.
//!
//! A plugin's own threads run as they do anywhere; [`Client::next`] waits for what they send.
//!
//! A callback that has the world call its own connection again, by a [`Client`] of it, does not get that call: it is left out
//! and logged, and an end waits until the callback has returned.
//!
//! There is one world at a time: an exported plugin is one value, however many tests there are. [`World::new`] waits until
//! the one before is dropped; a second one on the same thread panics.

mod board;
mod client;
mod peer;
mod received;
mod request;
pub(crate) mod tables;

use core::ffi::{CStr, c_int, c_uint, c_ulong};
use std::cell::{Cell, RefCell};
use std::ffi::CString;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use client::{Client, Refusal};
pub use received::Received;
pub use request::Request;

use crate::abi::{
    MESSAGE_TYPE_BINARY, MESSAGE_TYPE_TEXT, WEBSOCKET_CONNECT_ERROR, WEBSOCKET_ROUND_TRIP_UNKNOWN,
    WEBSOCKET_TOPIC_MESSAGE, WEBSOCKET_TOPIC_PASS, WebSocketOption, WebSocketPlugin,
    WebSocketTopicEvent,
};
use crate::message::Message;
use crate::now::virtual_clock;
use board::{Board, Guest};
use peer::Peer;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
thread_local!(static IS_HERE: Cell<bool> = const { Cell::new(false) });

/// A server of the test's own, with one plugin.
///
/// Dropped, it ends as a process does: connections break off, `child_stop`, and the plugin is dropped.
pub struct World {
    plugin: *mut WebSocketPlugin,
    options: RefCell<Vec<(String, String)>>,
    /// From `child_start` to `child_stop`.
    process: RefCell<Option<Arc<Peer>>>,
    /// What the processes of this world have logged, those that have ended.
    past_lines: RefCell<Vec<(log::Level, String)>>,
    peers: RefCell<Vec<Arc<Peer>>>,
    board: Arc<Board>,
    now: Cell<Duration>,
    _turn: Turn,
}

/// This thread has the only world.
struct Turn(#[allow(dead_code)] MutexGuard<'static, ()>);

impl Turn {
    fn wait() -> Self {
        assert!(
            !IS_HERE.replace(true),
            "this thread has a World already: drop it first"
        );
        // A test that has failed is no reason for the next one to fail.
        Turn(ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        IS_HERE.set(false);
    }
}

impl World {
    /// Calls the init function, and begins a child process, without options.
    ///
    /// # Panics
    /// When the init function has panicked, when it is not one of [`export_plugin!`](crate::export_plugin), and when this
    /// thread has a world.
    pub fn new(init: extern "C" fn() -> *mut WebSocketPlugin) -> Self {
        let world = World::without_child(init);
        world.start_child();
        world
    }

    /// As [`World::new`], with these options, which the plugin's `configure` checks first. The error is its.
    ///
    /// # Panics
    /// As [`World::new`].
    pub fn with_options(
        init: extern "C" fn() -> *mut WebSocketPlugin,
        options: &[(&str, &str)],
    ) -> Result<Self, String> {
        let world = World::without_child(init);
        world.configure(options)?;
        let owned = options
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        *world.options.borrow_mut() = owned.collect();
        world.start_child();
        Ok(world)
    }

    /// Calls the init function only: for what [`World::configure`] and [`World::start_child`] do.
    ///
    /// # Panics
    /// As [`World::new`].
    pub fn without_child(init: extern "C" fn() -> *mut WebSocketPlugin) -> Self {
        let turn = Turn::wait();
        let plugin = init();
        assert!(
            !plugin.is_null(),
            "the plugin could not be made: its expression panicked"
        );
        let plugin = tables::find(plugin)
            .expect("the init function is not one of export_plugin!, or its table is gone");
        virtual_clock::start();
        World {
            plugin,
            options: RefCell::default(),
            process: RefCell::default(),
            past_lines: RefCell::default(),
            peers: RefCell::default(),
            board: Arc::default(),
            now: Cell::default(),
            _turn: turn,
        }
    }

    /// Has the plugin check options, without setting them.
    pub fn configure(&self, options: &[(&str, &str)]) -> Result<(), String> {
        let text = |text: &str| CString::new(text).expect("an option has no NUL");
        let texts: Vec<_> = options
            .iter()
            .map(|(name, value)| (text(name), text(value)))
            .collect();
        let list: Vec<_> = texts
            .iter()
            .map(|(name, value)| WebSocketOption {
                name: name.as_ptr(),
                value: value.as_ptr(),
            })
            .collect();
        let Some(configure) = self.table().configure else {
            return Ok(());
        };
        // SAFETY: the list lives for the call, and the answer until the next one.
        unsafe {
            let defect = configure(self.plugin, list.as_ptr(), list.len());
            match defect.is_null() {
                true => Ok(()),
                false => Err(CStr::from_ptr(defect).to_string_lossy().into_owned()),
            }
        }
    }

    /// A child process begins.
    ///
    /// # Panics
    /// When there is one.
    pub fn start_child(&self) {
        assert!(
            self.process.borrow().is_none(),
            "a child process runs already"
        );
        let process = Peer::process(&self.options.borrow(), &self.board);
        *self.process.borrow_mut() = Some(Arc::clone(&process));
        if let Some(child_start) = self.table().child_start {
            // SAFETY: the table lives until `stop_child` has called child_stop.
            unsafe { child_start(self.plugin, process.server()) }
        }
        self.settle();
    }

    /// The child process ends, and its connections before it: closed with 1001 when it is `graceful`, else broken off.
    /// Nothing happens when there is none.
    pub fn stop_child(&self, graceful: bool) {
        let Some(process) = self.process.borrow_mut().take() else {
            return;
        };
        for peer in self.peers() {
            if graceful {
                peer.close(Some(1001), "");
            } else {
                self.end(&peer, 1006, "", false);
            }
        }
        self.settle();
        if let Some(child_stop) = self.table().child_stop {
            // SAFETY: once for its child_start; every connection has had its on_disconnect.
            unsafe { child_stop(self.plugin, c_int::from(graceful)) }
        }
        self.past_lines.borrow_mut().extend(process.lines());
    }

    /// A client asks for a WebSocket.
    ///
    /// # Panics
    /// When there is no child process.
    pub fn connect(&self, request: Request) -> Result<Client<'_>, Refusal> {
        assert!(self.process.borrow().is_some(), "no child process runs");
        let peer = Peer::connection(request, &self.options.borrow(), self.now.get(), &self.board);
        let private = match self.table().on_connect {
            // SAFETY: the table lives as long as the world.
            Some(on_connect) => unsafe { on_connect(peer.server()) },
            None => core::ptr::null_mut(),
        };
        if private == WEBSOCKET_CONNECT_ERROR || private.is_null() {
            peer.end();
            self.board.leave(peer.who());
            self.settle();
            return Err(Refusal {
                status: match private.is_null() {
                    true => peer.chosen_status().unwrap_or(403),
                    false => 500,
                },
                body: peer.chosen_body(),
                headers: peer.headers(),
                lines: peer.lines(),
            });
        }
        peer.accept(private);
        self.peers.borrow_mut().push(Arc::clone(&peer));
        if let Some(on_open) = self.table().on_open {
            // SAFETY: `private` is of this connection, and no other callback of it runs.
            unsafe { on_open(private, peer.server()) }
        }
        self.settle();
        Ok(Client { world: self, peer })
    }

    /// Time passes: timers that are due meanwhile are called, in their order.
    pub fn advance(&self, time: Duration) {
        let until = self.now.get() + time;
        while let Some((due, peer)) = self.next_timer(until) {
            self.now.set(due);
            self.tell_time();
            peer.clear_timer();
            if let (Some(on_timer), Some(private)) = (self.table().on_timer, peer.private()) {
                // SAFETY: as in `connect`.
                unsafe { on_timer(private, peer.server()) }
            }
            self.settle();
        }
        self.now.set(until);
        self.tell_time();
    }

    /// Publishes to a topic, as a plugin does on another child, or somebody over HTTP.
    ///
    /// # Panics
    /// When the topic's name is bad, and when there are no topics.
    pub fn publish(&self, topic: &str, message: Message<'_>) {
        let message = match message {
            Message::Text(text) => Received::Text(text.to_owned()),
            Message::Binary(bytes) => Received::Binary(bytes.to_vec()),
        };
        let published = self
            .board
            .publish(core::ptr::null(), topic, Some(message), 0);
        published.expect("there is such a topic");
        self.settle();
    }

    /// Whether there are topics: there are, unless this says otherwise, as on a server that has no memory for them.
    pub fn set_topics(&self, are_there: bool) {
        self.board.set_absent(!are_there);
    }

    /// What the plugin has logged outside of connections, in this process and those before.
    pub fn lines(&self) -> Vec<(log::Level, String)> {
        let mut lines = self.past_lines.borrow().clone();
        if let Some(process) = &*self.process.borrow() {
            lines.extend(process.lines());
        }
        lines
    }

    fn next_timer(&self, until: Duration) -> Option<(Duration, Arc<Peer>)> {
        let timers = self.peers().into_iter().filter_map(|peer| {
            let due = peer.timer().filter(|&due| due <= until)?;
            Some((due, peer))
        });
        timers.min_by_key(|(due, _)| *due)
    }

    fn tell_time(&self) {
        virtual_clock::set(self.now.get());
        for peer in &*self.peers.borrow() {
            peer.set_now(self.now.get());
        }
    }

    /// A message arrives.
    fn deliver(&self, peer: &Peer, message_type: c_int, payload: &[u8]) {
        let mut payload = payload.to_vec();
        let on_message = self.table().on_message.expect("a plugin has on_message");
        if let Some(private) = peer.private().filter(|_| !peer.is_closing()) {
            // SAFETY: as in `connect`; the buffer lives for the call.
            unsafe {
                on_message(
                    private,
                    peer.server(),
                    message_type,
                    payload.as_mut_ptr(),
                    payload.len(),
                );
            }
        }
        self.settle();
    }

    /// A Pong arrives.
    fn pong(&self, peer: &Peer, payload: &[u8]) {
        if let Some(private) = peer.private().filter(|_| !peer.is_closing()) {
            let round_trip = peer.answered(payload);
            let microseconds = round_trip.map_or(WEBSOCKET_ROUND_TRIP_UNKNOWN, |time| {
                c_ulong::try_from(time.as_micros()).unwrap_or(WEBSOCKET_ROUND_TRIP_UNKNOWN - 1)
            });
            if let Some(on_pong) = self.table().on_pong {
                // SAFETY: as in `connect`; the payload lives for the call.
                unsafe {
                    on_pong(
                        private,
                        peer.server(),
                        payload.as_ptr(),
                        payload.len(),
                        microseconds,
                    );
                }
            }
        }
        self.settle();
    }

    /// Does what callbacks have led to, until there is nothing left: ends what has been closed, tells of room.
    fn settle(&self) {
        while let Some(peer) = self.peers().into_iter().find(|peer| peer.has_news()) {
            match peer.take_close() {
                // A peer answers with the same code.
                Some(code) => self.end(&peer, code, "", true),
                None if peer.take_wish() => self.writable(&peer),
                None => self.tell_topic(&peer),
            }
        }
    }

    /// Has the plugin look at what has happened to a subscription.
    fn tell_topic(&self, peer: &Peer) {
        let Some(event) = peer.take_event() else {
            return;
        };
        let text = |text: &str| CString::new(text).expect("a name has no NUL");
        let (topic, id) = (text(&event.topic), text(&event.id));
        let (message_type, bytes) = match &event.message {
            Received::Binary(bytes) => (MESSAGE_TYPE_BINARY, bytes.as_slice()),
            Received::Text(text) => (MESSAGE_TYPE_TEXT, text.as_bytes()),
            _ => return,
        };
        let told = WebSocketTopicEvent {
            size: size_of::<WebSocketTopicEvent>() as c_uint,
            kind: event.kind,
            topic: topic.as_ptr(),
            id: id.as_ptr(),
            message_type,
            buffer: bytes.as_ptr(),
            buffer_size: bytes.len(),
            count: event.count as c_ulong,
        };
        let mut verdict = WEBSOCKET_TOPIC_PASS;
        if let (Some(on_topic), Some(private)) = (self.table().on_topic, peer.private()) {
            // SAFETY: as in `connect`; the event lives for the call.
            verdict = unsafe { on_topic(private, peer.server(), &raw const told) };
        }
        if verdict == WEBSOCKET_TOPIC_PASS && event.kind == WEBSOCKET_TOPIC_MESSAGE {
            peer.get(event.message);
        }
    }

    fn writable(&self, peer: &Peer) {
        if let (Some(on_writable), Some(private)) = (self.table().on_writable, peer.private()) {
            // SAFETY: as in `connect`.
            unsafe { on_writable(private, peer.server()) }
        }
    }

    /// The WebSocket ends.
    fn end(&self, peer: &Arc<Peer>, code: u16, reason: &str, is_clean: bool) {
        let Some(private) = peer.take_private() else {
            return;
        };
        peer.end();
        self.peers
            .borrow_mut()
            .retain(|other| !Arc::ptr_eq(other, peer));
        self.board.leave(peer.who());
        // SAFETY: as in `connect`; on_disconnect is the last call, made once because `private` has been taken.
        unsafe {
            if let Some(on_close) = self.table().on_close {
                let (text, size) = (reason.as_ptr().cast(), reason.len());
                let is_clean = c_int::from(is_clean);
                on_close(private, peer.server(), code.into(), text, size, is_clean);
            }
            if let Some(on_disconnect) = self.table().on_disconnect {
                on_disconnect(private, peer.server());
            }
        }
    }

    fn peers(&self) -> Vec<Arc<Peer>> {
        self.peers.borrow().clone()
    }

    fn table(&self) -> &WebSocketPlugin {
        // SAFETY: `init` of `export_plugin!` has made it; it lives until `drop` has called destroy, and nobody writes to it.
        unsafe { &*self.plugin }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop_child(false);
        if let Some(destroy) = self.table().destroy {
            // SAFETY: once, at the end.
            unsafe { destroy(self.plugin) }
        }
        virtual_clock::stop();
    }
}
