//! The handle that sends to one peer.

use core::fmt;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::abi::{MESSAGE_TYPE_BINARY, MESSAGE_TYPE_PING, MESSAGE_TYPE_PONG, MESSAGE_TYPE_TEXT};
use crate::host::Host;
use crate::plugin::Message;

/// Sends to the peer of one WebSocket.
///
/// Cheap to clone, and usable from any thread. It may outlive the connection; its calls then
/// return [`SendError::Closed`].
///
/// `Ok` means that the message will be written after those accepted before it, not that the peer
/// has it. When the peer is slow, a call waits until there is room for its message, or until the
/// connection ends. Messages that one thread sends keep their order.
#[derive(Clone)]
pub struct Sender {
    shared: Arc<Shared>,
}

impl Sender {
    /// Sends a text message.
    ///
    /// The ABI does not tell whether an empty message was accepted; it is `Ok` as long as the
    /// connection has not ended.
    pub fn send_text(&self, text: &str) -> Result<(), SendError> {
        self.transmit(MESSAGE_TYPE_TEXT, text.as_bytes())
    }

    /// Sends a binary message. An empty one: see [`send_text`](Self::send_text).
    pub fn send_binary(&self, bytes: &[u8]) -> Result<(), SendError> {
        self.transmit(MESSAGE_TYPE_BINARY, bytes)
    }

    /// Sends a message of either kind.
    pub fn send(&self, message: Message<'_>) -> Result<(), SendError> {
        match message {
            Message::Text(text) => self.send_text(text),
            Message::Binary(bytes) => self.send_binary(bytes),
        }
    }

    /// Sends a Ping frame with at most 125 bytes of payload.
    pub fn ping(&self, payload: &[u8]) -> Result<(), SendError> {
        self.transmit_control(MESSAGE_TYPE_PING, payload)
    }

    /// Sends a Pong frame that nobody asked for, with at most 125 bytes of payload. The server
    /// itself answers Pings.
    pub fn pong(&self, payload: &[u8]) -> Result<(), SendError> {
        self.transmit_control(MESSAGE_TYPE_PONG, payload)
    }

    /// Starts the closing handshake with a Close frame that has no status code. Has no effect on a connection that is closing
    /// or has ended.
    pub fn close(&self) {
        let _ = self.shared.call(|host| {
            // SAFETY: the gate is open, so the table is alive.
            unsafe { host.close() }
        });
    }

    /// Starts the closing handshake with a code and a reason of at most 123 bytes.
    ///
    /// The codes that may be sent are 1000–1003, 1007–1014 and 3000–4999.
    pub fn close_with(&self, code: u16, reason: &str) -> Result<(), SendError> {
        // RFC 6455 §5.5: 125 bytes, two of them for the status code.
        if reason.len() > MAX_CONTROL_PAYLOAD - 2 {
            return Err(SendError::TooLong);
        }
        let accepted = self.shared.call(|host| {
            // SAFETY: the gate is open, so the table is alive.
            unsafe { host.close_with(code, reason) }
        })?;
        if accepted {
            Ok(())
        } else {
            Err(SendError::Refused)
        }
    }

    pub(crate) fn new(host: Host) -> Self {
        Self {
            shared: Arc::new(Shared {
                host,
                gate: Gate::default(),
            }),
        }
    }

    /// Ends all use of the server's table: later calls say `Closed`, and this one waits for those
    /// under way. The server releases them before it calls `on_disconnect`.
    pub(crate) fn end(&self) {
        self.shared.gate.shut();
    }

    fn transmit_control(&self, message_type: i32, payload: &[u8]) -> Result<(), SendError> {
        // RFC 6455 §5.5
        if payload.len() > MAX_CONTROL_PAYLOAD {
            return Err(SendError::TooLong);
        }
        self.transmit(message_type, payload)
    }

    fn transmit(&self, message_type: i32, payload: &[u8]) -> Result<(), SendError> {
        let accepted = self.shared.call(|host| {
            // SAFETY: the gate is open, so the table is alive.
            unsafe { host.send(message_type, payload) }
        })?;
        if accepted == payload.len() {
            Ok(())
        } else {
            Err(SendError::Closed)
        }
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
    /// The server refused a Close: its code must not be sent, or the connection is closing.
    Refused,
    /// More than a control frame holds (RFC 6455 §5.5).
    TooLong,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the WebSocket is closed",
            Self::Refused => "the server refused the Close",
            Self::TooLong => "more than a control frame holds",
        })
    }
}

impl std::error::Error for SendError {}

const MAX_CONTROL_PAYLOAD: usize = 125;

struct Shared {
    host: Host,
    gate: Gate,
}

// SAFETY: `host` is a pointer that is only used by `call`, for functions that the ABI allows from
// any thread until `on_disconnect` returns, and the gate stops them before that.
unsafe impl Send for Shared {}
// SAFETY: as for Send; the ABI allows these functions on many threads at once.
unsafe impl Sync for Shared {}

impl Shared {
    fn call<T>(&self, f: impl FnOnce(Host) -> T) -> Result<T, SendError> {
        let _pass = self.gate.enter().ok_or(SendError::Closed)?;
        Ok(f(self.host))
    }
}

/// Counts the calls under way, and lets no more in once it is shut.
///
/// No lock is held while a call is under way, for it may block as long as the peer likes.
#[derive(Default)]
struct Gate {
    /// [`SHUT`], plus [`CALL`] for each call under way.
    state: AtomicUsize,
    last_call: Mutex<()>,
    left: Condvar,
}

const SHUT: usize = 1;
const CALL: usize = 2;

impl Gate {
    fn enter(&self) -> Option<Pass<'_>> {
        // The pass is made in any case, and leaves again when it should not have been let in.
        let before = self.state.fetch_add(CALL, Ordering::Acquire);
        let pass = Pass(self);
        (before & SHUT == 0).then_some(pass)
    }

    fn shut(&self) {
        self.state.fetch_or(SHUT, Ordering::AcqRel);
        let mut guard = self
            .last_call
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while self.state.load(Ordering::Acquire) != SHUT {
            guard = self
                .left
                .wait(guard)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

struct Pass<'a>(&'a Gate);

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        // Release: `shut` returns after everything this call did.
        if self.0.state.fetch_sub(CALL, Ordering::Release) == SHUT + CALL {
            // Under the lock, or it could fall between the look and the wait in `shut`.
            let _guard = self
                .0
                .last_call
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            self.0.left.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_shut_gate_lets_nobody_in() {
        let gate = Gate::default();
        assert!(gate.enter().is_some());
        gate.shut();
        assert!(gate.enter().is_none());
        gate.shut();
    }

    #[test]
    fn shutting_waits_for_the_calls_under_way() {
        let gate = Gate::default();
        let finished = AtomicUsize::new(0);
        thread::scope(|scope| {
            let passes: Vec<_> = (0..4).map(|_| gate.enter().unwrap()).collect();
            for pass in passes {
                scope.spawn(|| {
                    let pass = pass;
                    thread::sleep(Duration::from_millis(20));
                    finished.fetch_add(1, Ordering::Relaxed);
                    drop(pass);
                });
            }
            gate.shut();
            assert_eq!(finished.load(Ordering::Relaxed), 4);
        });
    }

    #[test]
    fn nobody_is_inside_after_a_gate_was_shut_in_a_crowd() {
        for _ in 0..200 {
            let gate = Gate::default();
            let inside = AtomicUsize::new(0);
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        while let Some(_pass) = gate.enter() {
                            inside.fetch_add(1, Ordering::Relaxed);
                            inside.fetch_sub(1, Ordering::Relaxed);
                        }
                    });
                }
                gate.shut();
                assert_eq!(inside.load(Ordering::Relaxed), 0);
            });
        }
    }

    #[test]
    fn an_error_is_small() {
        assert_eq!(size_of::<SendError>(), 1);
    }
}
