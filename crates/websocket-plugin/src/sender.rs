//! The handle that sends to one peer.

use core::ffi::{c_int, c_uint};
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::ffi::CString;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::abi::{
    MESSAGE_TYPE_BINARY, MESSAGE_TYPE_PING, MESSAGE_TYPE_PONG, MESSAGE_TYPE_TEXT,
    MESSAGE_TYPE_UNCOMPRESSED, WEBSOCKET_SEND_ACCEPTED, WEBSOCKET_SEND_INVALID,
    WEBSOCKET_SEND_WOULD_BLOCK,
};
use crate::asynchronous::{AsyncSender, Ready, Vacancy};
use crate::callback::{Callback, Identity};
use crate::gate::{Gated, Pass};
use crate::host::Host;
use crate::message::Message;
use crate::now::now;
use crate::query;
use crate::timers::{Timer, Timers};
use crate::topics::{Subscribe, Subscribed, TopicError, Topics};
use crate::writer::MessageWriter;

/// Sends to the peer of one WebSocket.
///
/// Cheap to clone, and usable from any thread, by many at once. It may outlive the connection; its
/// calls then return [`SendError::Closed`].
///
/// `Ok` means that the message will be written after those accepted before it, not that the peer
/// has it. Messages that one thread sends keep their order.
///
/// One message to many goes by [`send_many`](crate::send_many), which never waits either.
///
/// | may wait for a slow peer, and so holds up its thread | never waits |
/// |---|---|
/// | [`send`](Self::send), [`send_text`](Self::send_text), [`send_binary`](Self::send_binary), [`send_uncompressed`](Self::send_uncompressed), [`ping`](Self::ping), [`pong`](Self::pong), a [`MessageWriter`]'s parts | [`try_send`](Self::try_send), [`asynchronous`](Self::asynchronous)'s sends, [`close`](Self::close), [`close_with`](Self::close_with), [`buffered_amount`](Self::buffered_amount), the timers |
///
/// One that waits goes on when there is room, or when the connection ends. The worker threads of an asynchronous runtime
/// call nothing of the left side.
#[derive(Clone)]
pub struct Sender {
    shared: Arc<Shared>,
}

struct Shared {
    gated: Gated,
    /// There is a [`MessageWriter`].
    is_writing: AtomicBool,
    timers: Mutex<Timers>,
    room: Vacancy,
}

impl Sender {
    /// Sends a message of either kind.
    ///
    /// [`SendError::WouldBlock`] where it must not wait: in [`Plugin::connect`](crate::Plugin::connect), when
    /// `WebSocketSendBuffer` is used up, and in a callback, when as much waits behind a [`MessageWriter`]'s message, whose
    /// end this callback might hold up. What follows is as after [`try_send`](Self::try_send).
    ///
    /// The ABI does not tell whether an empty message was accepted; it is `Ok` as long as the
    /// connection has not ended.
    pub fn send(&self, message: Message<'_>) -> Result<(), SendError> {
        self.transmit(message_type(message), message.as_bytes())
    }

    /// Sends a text message. An empty one: see [`send`](Self::send).
    pub fn send_text(&self, text: &str) -> Result<(), SendError> {
        self.send(Message::Text(text))
    }

    /// Sends a binary message. An empty one: see [`send`](Self::send).
    pub fn send_binary(&self, bytes: &[u8]) -> Result<(), SendError> {
        self.send(Message::Binary(bytes))
    }

    /// Sends a message without compressing it, even where `WebSocketCompression` is `On`: because it
    /// is compressed already, as images are, or because it holds a secret beside what somebody else
    /// has chosen. To an older server, which compresses nothing, it is a message like any other.
    pub fn send_uncompressed(&self, message: Message<'_>) -> Result<(), SendError> {
        self.transmit(
            message_type(message) | MESSAGE_TYPE_UNCOMPRESSED,
            message.as_bytes(),
        )
    }

    /// Sends a message if the peer keeps up, and never waits.
    ///
    /// After [`SendError::WouldBlock`] the plugin still has the message, to drop or to keep;
    /// [`Plugin::writable`](crate::Plugin::writable) is called once there is room again. Room is
    /// `WebSocketSendBuffer`, 1 MiB unless configured.
    pub fn try_send(&self, message: Message<'_>) -> Result<(), SendError> {
        self.try_transmit(message_type(message), message.as_bytes())
    }

    fn try_transmit(&self, message_type: c_int, payload: &[u8]) -> Result<(), SendError> {
        let asked = self.shared.room.ask();
        let result = self.call(|host| {
            // SAFETY: the gate is open, so the table is alive.
            unsafe { host.try_send(message_type, payload) }
        })?;
        let result = outcome(result);
        if result == Err(SendError::WouldBlock) {
            self.shared.room.lacks(asked);
        }
        result
    }

    /// Becomes ready when there may be room again after [`try_send`](Self::try_send) said
    /// [`SendError::WouldBlock`], at once when it has not said so; [`SendError::Closed`] when the connection has ended.
    ///
    /// A future of no particular runtime. [`asynchronous`](Self::asynchronous) sends with it.
    pub fn ready(&self) -> Ready<'_> {
        Ready::new(&self.shared.room)
    }

    /// The same peer for asynchronous code: its sends are futures, which never block a thread.
    pub fn asynchronous(&self) -> AsyncSender {
        AsyncSender::new(self.clone())
    }

    /// Begins a text message whose parts are sent as they come.
    ///
    /// [`SendError::WouldBlock`] when this connection has another [`MessageWriter`].
    pub fn text_writer(&self) -> Result<MessageWriter<str>, SendError> {
        self.begin()?;
        Ok(MessageWriter::new(self.clone(), MESSAGE_TYPE_TEXT))
    }

    /// Begins a binary message whose parts are sent as they come.
    ///
    /// [`SendError::WouldBlock`] when this connection has another [`MessageWriter`].
    pub fn binary_writer(&self) -> Result<MessageWriter<[u8]>, SendError> {
        self.begin()?;
        Ok(MessageWriter::new(self.clone(), MESSAGE_TYPE_BINARY))
    }

    /// Sends a Ping frame with at most 125 bytes of payload.
    ///
    /// [`SendError::Closed`] when the connection has ended or is closing; `Ok` all the same when there is no payload, since the
    /// server's answer, the number of bytes, does not tell. In [`Plugin::connect`](crate::Plugin::connect), as
    /// [`send`](Self::send).
    pub fn ping(&self, payload: &[u8]) -> Result<(), SendError> {
        self.transmit_control(MESSAGE_TYPE_PING, payload)
    }

    /// Sends a Pong frame that nobody asked for, with at most 125 bytes of payload. The server
    /// itself answers Pings.
    pub fn pong(&self, payload: &[u8]) -> Result<(), SendError> {
        self.transmit_control(MESSAGE_TYPE_PONG, payload)
    }

    /// Starts the closing handshake without a code: the peer sees 1005. Has no effect on a
    /// connection that is closing or has ended.
    pub fn close(&self) {
        let _ = self.call(|host| {
            // SAFETY: the gate is open, so the table is alive.
            unsafe { host.close() }
        });
    }

    /// Starts the closing handshake with a code and a reason of at most 123 bytes.
    ///
    /// The codes that may be sent are 1000–1003, 1007–1014 and 3000–4999, and with
    /// `WebSocketAllowReservedStatusCodes` the others of 1000–2999 but 1005, 1006 and 1015.
    pub fn close_with(&self, code: u16, reason: &str) -> Result<(), SendError> {
        // RFC 6455 §5.5: 125 bytes, two of them for the status code. §7.4.1: never on the wire.
        if reason.len() > MAX_CONTROL_PAYLOAD - 2
            || matches!(code, 0..=999 | 1005 | 1006 | 1015 | 5000..)
        {
            return Err(SendError::Invalid);
        }
        let accepted = self.call(|host| {
            // SAFETY: the gate is open, so the table is alive.
            unsafe { host.close_with(code, reason) }
        })?;
        match code {
            _ if accepted => Ok(()),
            1000..=1003 | 1007..=1014 | 3000..=4999 => Err(SendError::Closed),
            _ => Err(SendError::Invalid),
        }
    }

    /// How many bytes were accepted and have not been taken by the socket yet, frame headers
    /// included; 0 when the connection has ended.
    pub fn buffered_amount(&self) -> usize {
        let amount = self.call(|host| {
            // SAFETY: the gate is open, so the table is alive.
            unsafe { host.buffered_amount() }
        });
        amount.unwrap_or(0)
    }

    /// Has [`Plugin::timer`](crate::Plugin::timer) called once, after this time or somewhat later. A
    /// second call replaces the first; [`set_timer_for`](Self::set_timer_for) has any number of timers.
    ///
    /// In whole milliseconds, rounded up, from 1 ms to a day; a longer time is
    /// [`SendError::Invalid`]; when the connection has ended or is closing, it is [`SendError::Closed`].
    /// From [`Plugin::connect`](crate::Plugin::connect), the time begins there, and the call comes after
    /// [`Plugin::open`](crate::Plugin::open).
    pub fn set_timer(&self, after: Duration) -> Result<(), SendError> {
        self.set(Timer::Plain, Some(after))
    }

    /// Takes the timer back. A call of the plugin's that has begun on another thread is too late to stop.
    pub fn clear_timer(&self) {
        let _ = self.set(Timer::Plain, None);
    }

    /// Has [`Plugin::timer_for`](crate::Plugin::timer_for) called once with this key, as
    /// [`set_timer`](Self::set_timer) does without one. A connection has any number of keys, and one timer for each.
    pub fn set_timer_for(&self, key: u32, after: Duration) -> Result<(), SendError> {
        self.set(Timer::Keyed(key), Some(after))
    }

    /// Takes the timer of this key back.
    pub fn clear_timer_for(&self, key: u32) {
        let _ = self.set(Timer::Keyed(key), None);
    }

    fn set(&self, timer: Timer, after: Option<Duration>) -> Result<(), SendError> {
        let is_too_long =
            |after: Duration| after.as_nanos().div_ceil(1_000_000) > u128::from(MAX_TIMER);
        if after.is_some_and(is_too_long) {
            return Err(SendError::Invalid);
        }
        // Held over the server's call; see `arm_next_timer`.
        let mut timers = self.timers();
        let now = now();
        // One that is not the next is asked for all the same, so that a connection that is closing says so.
        let next = timers
            .set(timer, after, now)
            .or_else(|| after.and_then(|_| timers.armed(now)).map(Some));
        match next {
            None => self.call(|_| ()),
            Some(next) => match self.arm(next) {
                Ok(()) => Ok(()),
                Err(error) => {
                    timers.set(timer, None, now);
                    Err(error)
                }
            },
        }
    }

    /// Asks the server for one call of `on_timer`, or for none.
    fn arm(&self, after: Option<Duration>) -> Result<(), SendError> {
        let milliseconds = after.map_or(0, |after| after.as_nanos().div_ceil(1_000_000).max(1));
        let milliseconds = c_uint::try_from(milliseconds).map_err(|_| SendError::Invalid)?;
        let taken = self.call(|host| {
            // SAFETY: the gate is open, so the table is alive.
            unsafe { host.set_timer(milliseconds) }
        })?;
        if taken {
            Ok(())
        } else {
            Err(SendError::Closed)
        }
    }

    /// The next of the timers that a call of `on_timer` is for, which began at `now`.
    pub(crate) fn take_due_timer(&self, now: Instant) -> Option<Timer> {
        self.timers().take_due(now)
    }

    /// Asks the server for the next of them.
    pub(crate) fn arm_next_timer(&self) {
        // Held over the server's call, as in `set`: the server hears of two in the order in which they were made.
        let mut timers = self.timers();
        if let Some(next) = timers.next(now()) {
            let _ = self.arm(next);
        }
    }

    fn timers(&self) -> MutexGuard<'_, Timers> {
        self.shared
            .timers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// There is room again.
    pub(crate) fn room_has_come(&self) {
        self.shared.room.has_come();
    }

    // Topics.

    /// What is published to the topic goes to this client, until [`unsubscribe`](Self::unsubscribe) or its end. From any
    /// thread, and in [`Plugin::connect`](crate::Plugin::connect).
    ///
    /// Messages of one topic come in one order, the same for all subscribers of all children. `WebSocketTopicSlow` says what
    /// becomes of a client that is slow: it is closed with 1013, unless configured.
    pub fn subscribe(&self, topic: &str, wanted: &Subscribe<'_>) -> Result<Subscribed, TopicError> {
        self.topics().subscribe(topic, wanted)
    }

    /// Ends a subscription; says whether there was one.
    pub fn unsubscribe(&self, topic: &str) -> Result<bool, TopicError> {
        self.topics().unsubscribe(topic)
    }

    /// The topics of the server, to publish to them and to see who is there.
    pub fn topics(&self) -> Topics<'_> {
        Topics::new(&self.shared.gated)
    }

    // What stays readable of the request.

    /// The path that the client has asked for, without the query string, as it was sent (`/chat/caf%C3%A9`).
    ///
    /// This and the four below read the handshake's request, in a callback of this connection (from `connect` to
    /// `disconnect`): elsewhere, and on other threads, they are `None`. Copy there what a thread needs.
    pub fn path(&self) -> Option<String> {
        let uri = self.variable("REQUEST_URI")?;
        Some(uri.split('?').next().unwrap_or_default().to_owned())
    }

    /// A parameter of the query string, as [`Handshake::query`](crate::Handshake::query) has it.
    pub fn query(&self, name: &str) -> Option<String> {
        query::parameter(self.variable("QUERY_STRING")?.as_bytes(), name)
    }

    /// Who has logged in (`REMOTE_USER`).
    pub fn user(&self) -> Option<String> {
        self.variable("REMOTE_USER")
    }

    /// A header field of the request, as [`Handshake::header`](crate::Handshake::header) has it.
    pub fn header(&self, name: &str) -> Option<String> {
        let name = CString::new(name).ok()?;
        // SAFETY: a callback of this connection runs on this thread.
        let value = unsafe { self.in_own_callback()?.header_get(&name) }?;
        value.to_str().ok().map(str::to_owned)
    }

    /// A variable, as [`Handshake::variable`](crate::Handshake::variable) has it.
    pub fn variable(&self, name: &str) -> Option<String> {
        let name = CString::new(name).ok()?;
        // SAFETY: as in `header`.
        let value = unsafe { self.in_own_callback()?.variable_get(&name) }?;
        value.to_str().ok().map(str::to_owned)
    }

    /// The table, when a callback of this connection runs on this thread, so that it is alive.
    fn in_own_callback(&self) -> Option<Host> {
        let running = Callback::running()?;
        running.is_of(self.identity()).then(|| self.host())
    }

    /// # Safety
    /// The table of `host` is alive until [`end`](Self::end) has returned.
    pub(crate) unsafe fn new(host: Host) -> Self {
        Self {
            shared: Arc::new(Shared {
                // SAFETY: as the caller says.
                gated: unsafe { Gated::new(host) },
                is_writing: AtomicBool::new(false),
                timers: Mutex::default(),
                room: Vacancy::default(),
            }),
        }
    }

    /// Ends all use of the server's table: later calls say `Closed`, and this one waits for those
    /// under way. The server releases them before it calls `on_disconnect`.
    ///
    /// Foreign code runs in it: who waits for room is woken.
    pub(crate) fn end(&self) {
        self.shared.gated.shut();
        self.shared.room.end();
    }

    /// The connection that it sends to.
    pub(crate) fn identity(&self) -> Identity {
        Identity(Arc::as_ptr(&self.shared).cast())
    }

    /// The table, for a running callback.
    pub(crate) fn host(&self) -> Host {
        self.shared.gated.host()
    }

    /// One part of the message that was begun.
    pub(crate) fn send_part(
        &self,
        message_type: c_int,
        part: &[u8],
        is_final: bool,
    ) -> Result<(), SendError> {
        let result = self.call(|host| {
            // SAFETY: the gate is open, so the table is alive.
            unsafe { host.send_fragment(message_type, part, is_final) }
        })?;
        outcome(result)
    }

    /// The message that was begun has ended, one way or the other.
    pub(crate) fn end_writing(&self) {
        self.shared.is_writing.store(false, Ordering::Release);
    }

    fn begin(&self) -> Result<(), SendError> {
        // A table that is gone, first: the writer of a closed connection is no news.
        self.call(|_| ())?;
        if self.shared.is_writing.swap(true, Ordering::Acquire) {
            return Err(SendError::WouldBlock);
        }
        Ok(())
    }

    fn transmit_control(&self, message_type: c_int, payload: &[u8]) -> Result<(), SendError> {
        // RFC 6455 §5.5
        if payload.len() > MAX_CONTROL_PAYLOAD {
            return Err(SendError::Invalid);
        }
        self.transmit(message_type, payload)
    }

    fn transmit(&self, message_type: c_int, payload: &[u8]) -> Result<(), SendError> {
        let accepted = self.call(|host| {
            // SAFETY: the gate is open, so the table is alive.
            unsafe { host.send(message_type, payload) }
        })?;
        match accepted {
            _ if accepted == payload.len() => Ok(()),
            // The ABI's `send` does not say why, and has taken nothing; `try_send` says, or takes it, now that there is room.
            // Through the gate anew: after the end, the answer is its.
            0 => self.try_transmit(message_type, payload),
            _ => Err(SendError::Closed),
        }
    }

    /// The table, alive as long as the pass is kept, for functions that may be called on any thread.
    pub(crate) fn enter(&self) -> Option<(Host, Pass<'_>)> {
        self.shared.gated.enter()
    }

    /// Who waits for room.
    pub(crate) fn room(&self) -> &Vacancy {
        &self.shared.room
    }

    fn call<T>(&self, f: impl FnOnce(Host) -> T) -> Result<T, SendError> {
        self.shared.gated.call(f).ok_or(SendError::Closed)
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

/// Why nothing was sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SendError {
    /// The connection has ended, or its closing handshake has begun.
    Closed,
    /// Such a frame must not be sent: a control frame of more than 125 bytes, a close code that is
    /// reserved; or the time of a timer is too long.
    Invalid,
    /// Not now: the peer is slow, or another message is being written in parts. A plain [`send`](Sender::send) waits
    /// instead, but where it must not.
    WouldBlock,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the WebSocket is closed",
            Self::Invalid => "this must not be sent",
            Self::WouldBlock => "there is no room now",
        })
    }
}

impl std::error::Error for SendError {}

impl From<SendError> for io::Error {
    fn from(error: SendError) -> Self {
        let kind = match error {
            SendError::Closed => io::ErrorKind::BrokenPipe,
            SendError::Invalid => io::ErrorKind::InvalidInput,
            SendError::WouldBlock => io::ErrorKind::WouldBlock,
        };
        Self::new(kind, error)
    }
}

/// RFC 6455 §5.5
const MAX_CONTROL_PAYLOAD: usize = 125;

/// A day, in milliseconds.
const MAX_TIMER: c_uint = 86_400_000;

pub(crate) const fn message_type(message: Message<'_>) -> c_int {
    match message {
        Message::Text(_) => MESSAGE_TYPE_TEXT,
        Message::Binary(_) => MESSAGE_TYPE_BINARY,
    }
}

/// What `try_send` and `send_fragment` say. Without an answer nothing was sent.
pub(crate) fn outcome(result: Option<c_int>) -> Result<(), SendError> {
    match result {
        Some(WEBSOCKET_SEND_ACCEPTED..) => Ok(()),
        Some(WEBSOCKET_SEND_WOULD_BLOCK) => Err(SendError::WouldBlock),
        Some(WEBSOCKET_SEND_INVALID) => Err(SendError::Invalid),
        Some(_) | None => Err(SendError::Closed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_small() {
        assert_eq!(size_of::<SendError>(), 1);
    }
}
