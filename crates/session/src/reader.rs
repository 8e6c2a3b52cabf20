//! What belongs to the turn: the receiving half of a session, and how far its input has come.

use std::time::{Duration, Instant};

use websocket_proto::ReceivingHalf;

use crate::config::Config;
use crate::environment::{EndingOf, Environment, Machine, Transport};
use crate::watch::Watch;

/// The receiving half, and how it is coming to its end. The thread that has the turn has it.
pub struct Reader<E: Environment> {
    pub(crate) receiver: ReceivingHalf,
    /// What input is read by while no output waits; `None` when only the wire will do.
    pub(crate) inlet: Option<<E::Transport as Transport>::Inlet>,
    /// Why the last turn has read no further.
    pub(crate) stop: Stop,
    pub(crate) ending: Option<EndingOf<E>>,
    /// When the closing handshake has to be over.
    pub(crate) close_deadline: Option<Instant>,
    /// The application's latest callback that had more input behind it has taken little time. The answers of one that takes long
    /// leave one by one.
    pub(crate) is_quick: bool,
    /// The transport has failed: what has been read before is handled, and nothing more is read.
    pub(crate) is_lost: bool,
    /// The application has had its on_open.
    pub(crate) is_open_told: bool,
    pub(crate) watch: Watch,
    /// The waiter has been told until when the watch's word holds.
    pub(crate) is_watch_told: bool,
    pub(crate) close_timeout: Duration,
    pub(crate) messages_received: u64,
    pub(crate) bytes_received: u64,
    /// Those of them that the inlet has read.
    pub(crate) bytes_by_inlet: u64,
}

/// Why a turn has read no further, with the input that it has read and not handled: the next turn begins with that. What
/// the socket holds is not reported again, so that every reason but the first is followed by a turn.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Stop {
    /// The socket holds no more, or the session ends: nothing is held back.
    #[default]
    Drained,
    /// Others are to have their turns. The next one comes at once.
    Again(Vec<u8>),
    /// There was no room for what comes of it. The next turn comes when there is.
    ForRoom(Vec<u8>),
    /// The peer is above its rate. The next turn comes when [`Watch::paused_until`] says.
    Paused(Vec<u8>),
}

impl Stop {
    /// The input to begin with.
    pub fn into_held_back(self) -> Vec<u8> {
        match self {
            Stop::Drained => Vec::new(),
            Stop::Again(held_back) | Stop::ForRoom(held_back) | Stop::Paused(held_back) => {
                held_back
            }
        }
    }

    /// Whether there is input to begin with.
    pub fn holds_input_back(&self) -> bool {
        match self {
            Stop::Drained => false,
            Stop::Again(held_back) | Stop::ForRoom(held_back) | Stop::Paused(held_back) => {
                !held_back.is_empty()
            }
        }
    }

    /// Whether a turn has to follow as soon as input may be read.
    pub fn waits_to_read(&self) -> bool {
        matches!(self, Stop::ForRoom(_) | Stop::Paused(_))
    }
}

impl<E: Environment> Reader<E> {
    /// The receiving half of a new session.
    pub fn new(receiver: ReceivingHalf, config: &Config, machine: &impl Machine) -> Self {
        Reader {
            receiver,
            inlet: None,
            stop: Stop::Drained,
            ending: None,
            close_deadline: None,
            is_quick: true,
            is_lost: false,
            is_open_told: false,
            watch: Watch::new(config, machine),
            is_watch_told: false,
            close_timeout: config.close_timeout,
            messages_received: 0,
            bytes_received: 0,
            bytes_by_inlet: 0,
        }
    }

    /// The session ends like this, unless it ends otherwise already: [`crate::Ending::followed_by`].
    pub(crate) fn ends(&mut self, ending: EndingOf<E>) {
        self.ending = Some(match self.ending.take() {
            Some(earlier) => earlier.followed_by(ending),
            None => ending,
        });
    }
}
