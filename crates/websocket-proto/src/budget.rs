//! Memory that the unfinished messages of many connections share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::ProtocolError;

/// What every connection may keep, and is not counted.
pub(crate) const FREE: usize = 16 << 10;

/// How many bytes the unfinished messages of all connections may take together.
///
/// One budget serves any number of connections and threads
/// ([`ReceivingHalf::with_message_budget`](crate::ReceivingHalf::with_message_budget)). Memory is asked for
/// before it is taken, and given back when the message is complete or the connection ends.
///
/// A message gets more as long as **what is left for all others is at least what it then has
/// itself**. So one message has at most half of the budget, ten greedy ones an eleventh each, and
/// one that is small finds room however many are large: whoever is refused is the one that has
/// most. What every connection may keep in any case,
/// [`MAX_RECYCLED`](crate::message::MessageAssembler::MAX_RECYCLED) bytes, is not counted.
#[derive(Debug)]
pub struct MessageBudget {
    limit: usize,
    used: AtomicUsize,
}

impl MessageBudget {
    /// A budget of so many bytes, all of them free.
    pub const fn new(limit: usize) -> MessageBudget {
        MessageBudget {
            limit,
            used: AtomicUsize::new(0),
        }
    }

    /// How many bytes there are.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// How many bytes unfinished messages have of it.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Makes what one message has `to` bytes instead of `from`, if it may have so many.
    fn grow(&self, from: usize, to: usize) -> bool {
        let grown = |used: usize| {
            let used = (used - from).checked_add(to)?;
            let free = self.limit.checked_sub(used)?;
            (to <= free).then_some(used)
        };
        // It counts bytes and guards none, so that no order is needed.
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown)
            .is_ok()
    }
}

/// What one message has of a budget. It is given back when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Share {
    /// Without one, a message takes what it wants.
    budget: Option<Arc<MessageBudget>>,
    bytes: usize,
}

impl Share {
    /// Nothing yet of this budget.
    pub(crate) fn of(budget: Arc<MessageBudget>) -> Share {
        Share {
            budget: Some(budget),
            bytes: 0,
        }
    }

    /// The capacity that a message's buffer may grow to: `wanted`, or else `needed`, the least that
    /// is of use.
    pub(crate) fn grow(&mut self, wanted: usize, needed: usize) -> Result<usize, ProtocolError> {
        [wanted, needed]
            .into_iter()
            .find(|&capacity| self.covers(capacity))
            .ok_or(ProtocolError::NoMemory)
    }

    /// Whether a message's buffer may have this capacity; it has it from then on.
    pub(crate) fn covers(&mut self, capacity: usize) -> bool {
        let Some(budget) = &self.budget else {
            return true;
        };
        let bytes = capacity.saturating_sub(FREE);
        if bytes > self.bytes {
            if !budget.grow(self.bytes, bytes) {
                return false;
            }
            self.bytes = bytes;
        }
        true
    }

    /// Gives back what it has: the message is complete.
    pub(crate) fn give_back(&mut self) {
        if let Some(budget) = self.budget.as_ref().filter(|_| self.bytes > 0) {
            budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
            self.bytes = 0;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(budget: &Arc<MessageBudget>, count: usize) -> Vec<Share> {
        (0..count).map(|_| Share::of(Arc::clone(budget))).collect()
    }

    /// Has each message take one byte more in turn, until nobody gets any.
    fn be_greedy(shares: &mut [Share]) {
        let mut somebody_gets_more = true;
        while somebody_gets_more {
            somebody_gets_more = false;
            for share in shares.iter_mut() {
                somebody_gets_more |= share.covers(FREE + share.bytes + 1);
            }
        }
    }

    #[test]
    fn a_message_has_at_most_what_it_leaves_for_others() {
        let budget = Arc::new(MessageBudget::new(1100));
        for count in [1, 10] {
            let mut greedy = shares(&budget, count);
            be_greedy(&mut greedy);
            let each = 1100 / (count + 1);
            assert!(greedy.iter().all(|share| share.bytes.abs_diff(each) <= 1));
            // There is as much for a newcomer.
            let mut newcomer = shares(&budget, 1).remove(0);
            assert_eq!(newcomer.grow(FREE + each / 2, 0), Ok(FREE + each / 2));
            drop((greedy, newcomer));
            assert_eq!(budget.used(), 0);
        }
    }

    #[test]
    fn what_every_connection_may_keep_is_not_counted() {
        let budget = Arc::new(MessageBudget::new(0));
        let mut share = Share::of(Arc::clone(&budget));
        assert_eq!(share.grow(FREE, 1), Ok(FREE));
        assert_eq!(share.grow(FREE + 1, FREE), Ok(FREE));
        assert_eq!(share.grow(FREE + 1, FREE + 1), Err(ProtocolError::NoMemory));
    }

    #[test]
    fn what_is_given_back_is_there_again_and_nothing_overflows() {
        let budget = Arc::new(MessageBudget::new(1000));
        let mut share = Share::of(Arc::clone(&budget));
        assert!(share.covers(FREE + 500));
        assert!(!share.covers(FREE + 501) && !share.covers(usize::MAX));
        share.give_back();
        share.give_back();
        assert_eq!(budget.used(), 0);
        assert!(share.covers(FREE + 500));
        // It does not shrink before the message's end, as its buffer does not.
        assert!(share.covers(1));
        assert_eq!(budget.used(), 500);
    }

    #[test]
    fn threads_never_have_more_together_than_there_is() {
        let budget = Arc::new(MessageBudget::new(10_000));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for round in 0..2_000 {
                        let mut share = Share::of(Arc::clone(&budget));
                        let _ = share.covers(FREE + round % 4_000);
                        assert!(budget.used() <= 10_000);
                    }
                });
            }
        });
        assert_eq!(budget.used(), 0);
    }
}
