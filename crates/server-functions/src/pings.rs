//! The plugin's pings that no Pong has answered yet.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many are remembered: a peer may answer the latest only (RFC 6455 §5.5.3), or none.
const MOST: usize = 8;
/// The longest payload of a control frame (RFC 6455 §5.5): no other is sent.
const LONGEST: usize = 125;

/// The pings of a connection's plugin, from any thread. A few are remembered, the oldest is forgotten first.
#[derive(Default)]
pub struct Pings(Mutex<VecDeque<Ping>>);

struct Ping {
    payload: Box<[u8]>,
    sent: Instant,
}

impl Pings {
    /// One is about to be sent: its Pong may be here before the call that sends it has returned.
    pub fn begin(&self, payload: &[u8]) {
        if payload.len() > LONGEST {
            return;
        }
        let ping = Ping {
            payload: payload.into(),
            sent: Instant::now(),
        };
        let mut pings = self.pings();
        if pings.len() == MOST {
            pings.pop_front();
        }
        pings.push_back(ping);
    }

    /// It was not sent after all.
    pub fn take_back(&self, payload: &[u8]) {
        let mut pings = self.pings();
        let is_it = |ping: &Ping| *ping.payload == *payload;
        if let Some(index) = pings.iter().rposition(is_it) {
            pings.remove(index);
        }
    }

    /// How long the latest one with this payload was under way, that a Pong answers. Those before it are not answered
    /// any more.
    pub fn answered(&self, payload: &[u8]) -> Option<Duration> {
        let mut pings = self.pings();
        let is_it = |ping: &Ping| *ping.payload == *payload;
        let index = pings.iter().rposition(is_it)?;
        let answered = pings.drain(..=index).next_back()?;
        Some(answered.sent.elapsed())
    }

    fn pings(&self) -> std::sync::MutexGuard<'_, VecDeque<Ping>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_was_not_sent_leaves_the_one_before_it() {
        let pings = Pings::default();
        pings.begin(b"a");
        pings.begin(b"b");
        pings.take_back(b"b");
        pings.begin(&[0; LONGEST + 1]);
        pings.take_back(&[0; LONGEST + 1]);
        assert_eq!(pings.answered(b"b"), None);
        assert!(pings.answered(b"a").is_some());
        assert_eq!(pings.answered(b"a"), None);
    }

    #[test]
    fn the_latest_of_several_may_be_the_only_one_that_is_answered() {
        let pings = Pings::default();
        for payload in [b"a", b"b", b"c"] {
            pings.begin(payload);
        }
        assert!(pings.answered(b"b").is_some());
        assert_eq!(pings.answered(b"a"), None);
        assert!(pings.answered(b"c").is_some());
    }

    #[test]
    fn a_few_are_remembered() {
        let pings = Pings::default();
        for number in 0..=MOST as u8 {
            pings.begin(&[number]);
        }
        assert_eq!(pings.answered(&[0]), None);
        assert!(pings.answered(&[1]).is_some());
    }
}
