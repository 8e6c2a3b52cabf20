//! What a subscriber is to get.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use topics::Limits;

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
}

/// What a subscriber's messages look like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Payloads as they are.
    Plain,
    /// The subprotocol `topics.json`.
    Json,
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
