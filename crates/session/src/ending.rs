//! Why a WebSocket ended, and how the log says it.

use std::fmt;
use std::time::Duration;

use websocket_proto::{CloseFrame, ProtocolError};

// RFC 6455 §7.4.1: never in a Close frame.
const NO_STATUS_RECEIVED: u16 = 1005;
const ABNORMAL_CLOSURE: u16 = 1006;

/// Who has sent the first Close frame, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClosedBy {
    /// The peer.
    Peer,
    /// The application.
    Plugin,
    /// The peer broke the protocol.
    Protocol,
    /// The child stops.
    Stopping,
    /// No message in the idle timeout.
    Idle,
    /// A message was not complete in time.
    Unfinished,
    /// A message found no room in the memory that all sessions share.
    Memory,
    /// Open for as long as a session may be.
    Age,
    /// Above its rate for too long.
    Rate,
    /// The operator.
    Operator,
    /// What the server itself uses it for: its topics.
    Topics,
    /// The session itself, or its application, which has panicked.
    Fault,
}

impl ClosedBy {
    /// One word for it, as `%{websocket-close-by}n` has it.
    pub fn word(self) -> &'static str {
        match self {
            ClosedBy::Peer => "peer",
            ClosedBy::Plugin => "plugin",
            ClosedBy::Protocol => "protocol",
            ClosedBy::Stopping => "stopping",
            ClosedBy::Idle => "idle",
            ClosedBy::Unfinished => "message-timeout",
            ClosedBy::Memory => "memory",
            ClosedBy::Age => "lifetime",
            ClosedBy::Rate => "rate",
            ClosedBy::Operator => "operator",
            ClosedBy::Topics => "topics",
            ClosedBy::Fault => "fault",
        }
    }
}

impl fmt::Display for ClosedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ClosedBy::Peer => "closed by the peer",
            ClosedBy::Plugin => "closed by the plugin",
            ClosedBy::Protocol => "failed by the server",
            ClosedBy::Stopping => "closed because the child stops",
            ClosedBy::Idle => "closed because of WebSocketIdleTimeout",
            ClosedBy::Unfinished => "closed because of WebSocketMessageTimeout",
            ClosedBy::Memory => "closed because of WebSocketMessageMemory",
            ClosedBy::Age => "closed because of WebSocketMaxLifetime",
            ClosedBy::Rate => "closed because of WebSocketRateLimit",
            ClosedBy::Operator => "closed by the operator",
            ClosedBy::Topics => "closed by the server's topics",
            ClosedBy::Fault => "closed because of an internal error",
        })
    }
}

/// The first Close frame, and who has sent it.
pub struct Closed {
    /// Who.
    pub by: ClosedBy,
    /// With what, if with anything.
    pub frame: Option<CloseFrame>,
}

impl Closed {
    /// The code, and what stands for it when there is none.
    pub fn code(&self) -> u16 {
        self.frame
            .as_ref()
            .map_or(NO_STATUS_RECEIVED, |frame| frame.code.as_u16())
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with {}", self.by, self.code())?;
        match &self.frame {
            // A plugin may have it from anybody: quoted, so that it cannot pass for ours.
            Some(frame) if !frame.reason.is_empty() => write!(f, " {:?}", &*frame.reason),
            _ => Ok(()),
        }
    }
}

/// Why a WebSocket ends. `F` says why its transport has failed.
pub enum Ending<F> {
    /// The peer has sent a Close frame: its own, or the answer to ours.
    Close {
        /// What it has.
        frame: Option<CloseFrame>,
        /// It is the answer.
        is_answer: bool,
    },
    /// The peer has broken the protocol.
    Failed(ProtocolError),
    /// The transport has ended without a Close frame from the peer.
    Eof,
    /// The transport has broken.
    Broken(F),
    /// The peer has not answered our Close in time.
    CloseTimeout,
    /// The peer has taken no output in time.
    SendTimeout,
    /// The peer has shown no sign of life in time.
    PongTimeout,
    /// The process ended before the closing handshake did.
    ChildStopped,
    /// The session itself has failed, or has panicked.
    Internal,
}

impl<F> Ending<F> {
    /// What remains of two endings of one session, this being the earlier. What comes last decides how the transport is
    /// left, what came first is what happened to the WebSocket:
    ///
    /// | earlier ╲ later | any other | `Internal` | `SendTimeout` |
    /// |---|---|---|---|
    /// | any other | earlier | later: the application has not seen what was before, or fails over it | later: nothing reaches the peer any more |
    /// | `Internal` | earlier | the same | later |
    /// | `SendTimeout` | earlier | earlier | the same |
    #[must_use]
    pub fn followed_by(self, later: Self) -> Self {
        match later.rank() > self.rank() {
            true => later,
            false => self,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Ending::Close { .. }
            | Ending::Failed(_)
            | Ending::Eof
            | Ending::Broken(_)
            | Ending::CloseTimeout
            | Ending::PongTimeout
            | Ending::ChildStopped => 0,
            Ending::Internal => 1,
            Ending::SendTimeout => 2,
        }
    }

    /// Whether a Close frame of ours still has to reach the peer.
    pub fn has_close_to_send(&self) -> bool {
        matches!(
            self,
            Ending::Close { .. } | Ending::Failed(_) | Ending::Internal
        )
    }

    /// The code and the reason that the peer has closed with, and what stands for them when it has not (RFC 6455
    /// §7.1.5).
    pub fn code_and_reason(&self) -> (u16, &str) {
        match self {
            Ending::Close {
                frame: Some(frame), ..
            } => (frame.code.as_u16(), &frame.reason),
            Ending::Close { frame: None, .. } => (NO_STATUS_RECEIVED, ""),
            _ => (ABNORMAL_CLOSURE, ""),
        }
    }

    /// One word for an end without a Close frame from either side, as `%{websocket-close-by}n` has it.
    pub fn word(&self) -> &'static str {
        match self {
            Ending::Close { .. } => ClosedBy::Peer.word(),
            Ending::Failed(_) => ClosedBy::Protocol.word(),
            Ending::Eof | Ending::Broken(_) => "lost",
            Ending::CloseTimeout => "close-timeout",
            Ending::SendTimeout => "send-timeout",
            Ending::PongTimeout => "pong-timeout",
            Ending::ChildStopped => ClosedBy::Stopping.word(),
            Ending::Internal => ClosedBy::Fault.word(),
        }
    }

    /// Who has closed it, in a word, and with which code: the side that began, where one did.
    pub fn logged_code(&self, closed: Option<&Closed>) -> (&'static str, u16) {
        match closed {
            Some(closed) if closed.by != ClosedBy::Peer => (closed.by.word(), closed.code()),
            _ => (self.word(), self.code_and_reason().0),
        }
    }

    /// Whether the peer has sent a Close frame. Whether one has gone the other way is the transport's to say.
    pub fn has_close(&self) -> bool {
        matches!(self, Ending::Close { .. })
    }

    /// Whether nothing more can be written.
    pub fn is_broken(&self) -> bool {
        matches!(
            self,
            Ending::Broken(_) | Ending::SendTimeout | Ending::PongTimeout
        )
    }
}

impl<F: fmt::Display> fmt::Display for Ending<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Close {
                frame: Some(frame), ..
            } if frame.reason.is_empty() => write!(f, "{}", frame.code),
            // A reason is the peer's text: quoted, so that it cannot pass for ours.
            Ending::Close {
                frame: Some(frame), ..
            } => write!(f, "{} {:?}", frame.code, &*frame.reason),
            Ending::Close { frame: None, .. } => f.write_str("no close code"),
            Ending::Failed(ProtocolError::NoMemory) => {
                f.write_str("a message found no room in WebSocketMessageMemory")
            }
            Ending::Failed(error) => write!(f, "the peer broke the protocol: {error}"),
            Ending::Eof => f.write_str("the peer vanished without a Close frame"),
            Ending::Broken(status) => write!(f, "the connection broke: {status}"),
            Ending::CloseTimeout => {
                f.write_str("the peer did not answer the Close frame in WebSocketCloseTimeout")
            }
            Ending::SendTimeout => f.write_str("the peer took no output in WebSocketSendTimeout"),
            Ending::PongTimeout => {
                f.write_str("the peer showed no sign of life in WebSocketPongTimeout after a ping")
            }
            Ending::ChildStopped => f.write_str("the child process stopped"),
            Ending::Internal => f.write_str("an internal error"),
        }
    }
}

/// The account of a session that has ended.
pub struct Account<'a, F> {
    /// Why it has ended.
    pub ending: &'a Ending<F>,
    /// The first Close frame.
    pub closed: Option<&'a Closed>,
    /// How long it has lived.
    pub duration: Duration,
    /// Messages that the application has got.
    pub messages_in: u64,
    /// Messages that it has sent.
    pub messages_out: u64,
    /// Bytes of the transport, frame headers included and compressed as they were.
    pub bytes_in: u64,
    /// Those that an [inlet](crate::Transport::inlet) has read beside the transport.
    pub bytes_by_inlet: u64,
    /// As `bytes_in`.
    pub bytes_out: u64,
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::Ending;

    #[test]
    fn of_two_endings_one_remains_as_the_table_says() {
        let endings = [Ending::Eof, Ending::Internal, Ending::SendTimeout];
        let words = |ending: &Ending<&str>| ending.word();
        for (earlier, remains) in [
            (
                Ending::CloseTimeout,
                ["close-timeout", "fault", "send-timeout"],
            ),
            (Ending::Internal, ["fault", "fault", "send-timeout"]),
            (Ending::SendTimeout, ["send-timeout"; 3]),
        ] {
            for (later, remains) in endings.iter().zip(remains) {
                let (earlier, later) = (copy(&earlier), copy(later));
                assert_eq!(words(&earlier.followed_by(later)), remains);
            }
        }
    }

    fn copy(ending: &Ending<&'static str>) -> Ending<&'static str> {
        match ending {
            Ending::Eof => Ending::Eof,
            Ending::CloseTimeout => Ending::CloseTimeout,
            Ending::Internal => Ending::Internal,
            Ending::SendTimeout => Ending::SendTimeout,
            _ => panic!("not in the table of this test"),
        }
    }
}
