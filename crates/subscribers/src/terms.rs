//! What a subscriber is to get.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use topics::{Limits, Token};

/// What a subscriber is to get, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Terms {
    /// What its messages look like.
    pub form: Form,
    /// What becomes of it when it takes less than is published.
    pub slow: Slow,
    /// How many messages it may have missed, and still get.
    pub messages: usize,
    /// How old they may be; `None`: of any age.
    pub age: Option<Duration>,
    /// Whether it is told of members that join and leave; never as they are ([`Form::Plain`]).
    pub is_told_of_members: bool,
    /// Who it is, as a publisher: what it has published with `exclude_origin` it does not get. 0: nobody.
    pub origin: u64,
}

/// Where a subscriber begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Since {
    /// With what is published from now on; what its topics retain comes first.
    Now,
    /// Behind this message, the last one that it knows of.
    Id(Token),
    /// With so many of the latest messages, as far as they are there.
    Last(usize),
}

impl From<Option<Token>> for Since {
    fn from(since: Option<Token>) -> Self {
        since.map_or(Since::Now, Since::Id)
    }
}

/// What a subscriber's messages look like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Payloads as they are.
    Plain,
    /// The subprotocol `topics.json`.
    Json,
    /// Each as a [`Letter`](crate::Letter), which its outlet looks at.
    Letters,
}

/// What becomes of a subscriber whose outlet has no room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Slow {
    /// It is closed.
    Close,
    /// It loses the message, and is told how many they were before it gets another.
    Drop,
    /// It gets the newest message of each topic once there is room.
    Latest,
}

impl Terms {
    /// How far back a subscriber that comes back may go.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            messages: self.messages,
            age: self.age,
            now: now(),
        }
    }
}

/// Now, in milliseconds of Unix time.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
