//! Why a WebSocket ended, and how the log says it.

use std::fmt;

use httpd::apr::Status;
use websocket_proto::{CloseFrame, ProtocolError};

/// Why a WebSocket ends.
pub enum Ending {
    /// The peer has sent a Close frame: its own, or the answer to ours.
    Close {
        frame: Option<CloseFrame>,
        is_answer: bool,
    },
    /// The peer has broken the protocol.
    Failed(ProtocolError),
    /// The transport has ended without a Close frame from the peer.
    Eof,
    /// The transport has broken.
    Broken(Status),
    /// The peer has not answered our Close in time.
    CloseTimeout,
    /// The peer has taken no output in time.
    SendTimeout,
    /// The child ended before the closing handshake did.
    ChildStopped,
    /// The module itself has failed.
    Internal,
}

impl Ending {
    /// Whether a Close frame of ours still has to reach the peer.
    pub fn has_close_to_send(&self) -> bool {
        matches!(
            self,
            Ending::Close { .. } | Ending::Failed(_) | Ending::Internal
        )
    }

    /// Whether nothing more can be written.
    pub fn is_broken(&self) -> bool {
        matches!(self, Ending::Broken(_) | Ending::SendTimeout)
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Close { frame, is_answer } => {
                let by = if *is_answer {
                    "closed by the server, answered"
                } else {
                    "closed by the peer"
                };
                match frame {
                    Some(frame) if frame.reason.is_empty() => write!(f, "{by}, {}", frame.code),
                    // A reason is the peer's text: quoted, so that it cannot pass for ours.
                    Some(frame) => write!(f, "{by}, {} {:?}", frame.code, &*frame.reason),
                    None => write!(f, "{by}, no close code"),
                }
            }
            Ending::Failed(error) => write!(f, "the peer broke the protocol: {error}"),
            Ending::Eof => f.write_str("the peer vanished without a Close frame"),
            Ending::Broken(status) => write!(f, "the connection broke: {status}"),
            Ending::CloseTimeout => f.write_str("the peer did not answer the Close frame in time"),
            Ending::SendTimeout => f.write_str("the peer took no output in time"),
            Ending::ChildStopped => f.write_str("the child process stopped"),
            Ending::Internal => f.write_str("an internal error"),
        }
    }
}
