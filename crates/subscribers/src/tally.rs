//! What delivering comes to, counted in the log: of each topic, and in all.

use topics::{Count, Seat};

/// What a round of delivering, or one subscriber's catching up, comes to. Counted here, and in memory that processes share only
/// where another topic follows, and at the end.
pub(crate) struct Tally<'s> {
    seat: &'s Seat<'static>,
    slot: u32,
    delivered: u64,
    dropped: u64,
    /// The subscribers that have found the log's lock not to be had, by a topic's slot and their numbers.
    delayed: Vec<(u32, u64)>,
}

impl<'s> Tally<'s> {
    pub fn new(seat: &'s Seat<'static>) -> Self {
        Tally {
            seat,
            slot: 0,
            delivered: 0,
            dropped: 0,
            delayed: Vec::new(),
        }
    }

    /// This subscriber is to go on once the lock is to be had. Nobody asks for it again in this round.
    pub fn delay(&mut self, subscriber: (u32, u64)) {
        self.delayed.push(subscriber);
    }

    /// Whether the lock was not to be had.
    pub fn is_busy(&self) -> bool {
        !self.delayed.is_empty()
    }

    /// Who is to go on later.
    pub fn delayed(&mut self) -> Vec<(u32, u64)> {
        std::mem::take(&mut self.delayed)
    }

    /// A message of this topic was handed to a subscriber.
    pub fn delivered(&mut self, slot: u32) {
        self.turn_to(slot);
        self.delivered += 1;
    }

    /// A subscriber has not got so many messages of this topic.
    pub fn dropped(&mut self, slot: u32, count: u64) {
        self.turn_to(slot);
        self.dropped += count;
    }

    /// A subscriber has missed something of these topics.
    pub fn gap(&self, slots: &[u32]) {
        self.of_subscriber(Count::Gaps, slots);
    }

    /// A subscriber has come back to these topics.
    pub fn resumed(&self, slots: &[u32]) {
        self.of_subscriber(Count::Resumed, slots);
    }

    fn of_subscriber(&self, what: Count, slots: &[u32]) {
        self.seat.count(what, 1);
        for &slot in slots {
            self.seat.count_of(slot, what, 1);
        }
    }

    fn turn_to(&mut self, slot: u32) {
        if self.slot != slot {
            self.write();
            self.slot = slot;
        }
    }

    fn write(&mut self) {
        let counts = [
            (Count::Delivered, std::mem::take(&mut self.delivered)),
            (Count::Dropped, std::mem::take(&mut self.dropped)),
        ];
        for (what, by) in counts {
            if by > 0 {
                self.seat.count(what, by);
                self.seat.count_of(self.slot, what, by);
            }
        }
    }
}

impl Drop for Tally<'_> {
    fn drop(&mut self) {
        self.write();
    }
}
