//! What a subscriber's messages go out by.

use std::ops::Range;
use std::sync::Arc;

use websocket_proto::{Compression, MessageKind, PreparedMessage};

use crate::footprint::STRETCHES;
use crate::letter::Letter;

/// One subscriber's connection. Called from any thread, and by more than one at a time; never blocks.
pub trait Outlet: Send + Sync {
    /// Takes a whole message, if there is room. It may wait for [`Outlet::flush`]. After [`Refused::Full`],
    /// [`Hub::go_on`](crate::Hub::go_on) is to be called for the subscriber once there is room.
    fn take(&self, message: Message<'_>) -> Result<(), Refused>;

    /// Takes a letter; only for outlets of subscribers that get those.
    fn deliver(&self, letter: &Arc<Letter>) -> Result<(), Refused> {
        let _ = letter;
        Err(Refused::Ended)
    }

    /// Lets what was taken go out.
    fn flush(&self);

    /// Whether there is much room: a subscriber that finds none soon afterwards has taken nothing meanwhile.
    fn has_ample_room(&self) -> bool;

    /// Has [`Hub::go_on`](crate::Hub::go_on) be called for the subscriber soon, on another thread.
    fn call_again(&self);

    /// Where in memory a message that it takes goes; `None` as long as that is not known.
    fn footprint(&self) -> Option<[Range<usize>; STRETCHES]> {
        None
    }

    /// Ends the connection.
    fn close(&self, why: Closing);
}

/// What an outlet takes.
#[derive(Clone, Copy, Debug)]
pub enum Message<'a> {
    /// What others get, too.
    ToMany(&'a PreparedMessage),
    /// What nobody else gets.
    ToOne(MessageKind, Compression, &'a [u8]),
}

impl<'a> Message<'a> {
    /// A text for one.
    pub(crate) fn text(text: &'a str) -> Self {
        Message::ToOne(MessageKind::Text, Compression::Default, text.as_bytes())
    }
}

/// Why an outlet did not take a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// No room now.
    Full,
    /// It takes nothing any more.
    Ended,
}

/// Why a subscriber is closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Closing {
    /// It takes less than is published.
    Slow,
    /// It has missed something, and cannot be told.
    Gap,
    /// The log cannot be read, and it is not that somebody else has its lock.
    Unavailable,
}
