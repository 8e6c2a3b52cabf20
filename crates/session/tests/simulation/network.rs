//! A TCP connection between the peer and the server, and a layer like TLS above the server's end of it.
//!
//! Each direction holds so many bytes, is slow when the seed says so, and may be ended or reset by either side. What is
//! on the server's side lies in *records*: some of them bring no data (a KeyUpdate, a session ticket), and a read that meets one
//! says "would block" although more lies below.

use std::collections::VecDeque;
use std::time::Duration;

/// One direction.
#[derive(Debug)]
pub struct Direction {
    /// How many bytes may be under way or unread.
    capacity: usize,
    /// What is on its way: when it arrives, and what.
    flying: VecDeque<(Duration, Piece)>,
    /// What has arrived, record by record; an empty one brings no data.
    arrived: VecDeque<VecDeque<u8>>,
    /// Bytes in `flying` and `arrived`.
    held: usize,
    /// The sender has ended its direction, and the receiver has been told.
    is_ended: bool,
    /// Nothing more is sent.
    is_shut: bool,
    /// The sender was refused room, and is told when there is some.
    wants_room: bool,
}

#[derive(Debug)]
enum Piece {
    Record(VecDeque<u8>),
    End,
}

/// What a read finds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// So many bytes.
    Bytes(usize),
    /// A record without data; more may lie behind it.
    EmptyRecord,
    /// Nothing now.
    Nothing,
    /// The sender's end.
    End,
}

impl Direction {
    /// A direction that holds `capacity` bytes.
    pub fn new(capacity: usize) -> Self {
        Direction {
            capacity,
            flying: VecDeque::new(),
            arrived: VecDeque::new(),
            held: 0,
            is_ended: false,
            is_shut: false,
            wants_room: false,
        }
    }

    /// How many bytes can be sent.
    pub fn room(&self) -> usize {
        self.capacity.saturating_sub(self.held)
    }

    /// Sends bytes as one record that arrives at `arrival`; there must be room.
    pub fn send(&mut self, bytes: &[u8], arrival: Duration) {
        assert!(bytes.len() <= self.room() && !self.is_shut);
        self.held += bytes.len();
        let record = bytes.iter().copied().collect();
        self.fly(Piece::Record(record), arrival);
    }

    /// Nothing more will be sent.
    pub fn shut(&mut self, arrival: Duration) {
        if !std::mem::replace(&mut self.is_shut, true) {
            self.fly(Piece::End, arrival);
        }
    }

    pub fn is_shut(&self) -> bool {
        self.is_shut
    }

    /// The sender was refused room: [`Direction::read`] says when there is some.
    pub fn want_room(&mut self) {
        self.wants_room = true;
    }

    fn fly(&mut self, piece: Piece, arrival: Duration) {
        // Nothing overtakes.
        let arrival = self
            .flying
            .back()
            .map_or(arrival, |(last, _)| arrival.max(*last));
        self.flying.push_back((arrival, piece));
    }

    /// When the next piece arrives.
    pub fn next_arrival(&self) -> Option<Duration> {
        self.flying.front().map(|(arrival, _)| *arrival)
    }

    /// Lets arrive what is due at `now`. Says whether anything did.
    pub fn arrive(&mut self, now: Duration) -> bool {
        let mut any = false;
        while self.next_arrival().is_some_and(|arrival| arrival <= now) {
            match self.flying.pop_front() {
                Some((_, Piece::Record(record))) => self.arrived.push_back(record),
                Some((_, Piece::End)) | None => self.is_ended = true,
            }
            any = true;
        }
        any
    }

    /// Whether the sender's end has arrived.
    pub fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Whether a read would find something.
    pub fn has_arrived(&self) -> bool {
        !self.arrived.is_empty() || self.is_ended
    }

    /// Takes up to `buffer.len()` bytes of the first record. Says in the second place whether the sender is to be told of room.
    pub fn read(&mut self, buffer: &mut [u8]) -> (Found, bool) {
        let Some(record) = self.arrived.front_mut() else {
            let found = if self.is_ended {
                Found::End
            } else {
                Found::Nothing
            };
            return (found, false);
        };
        if record.is_empty() {
            self.arrived.pop_front();
            return (Found::EmptyRecord, false);
        }
        let count = record.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(record.drain(..count)) {
            *to = from;
        }
        if record.is_empty() {
            self.arrived.pop_front();
        }
        self.held -= count;
        let tells = self.wants_room && self.room() > 0;
        if tells {
            self.wants_room = false;
        }
        (Found::Bytes(count), tells)
    }

    /// What is under way and unread is gone.
    pub fn reset(&mut self) {
        self.flying.clear();
        self.arrived.clear();
        self.held = 0;
        self.is_shut = true;
    }
}
