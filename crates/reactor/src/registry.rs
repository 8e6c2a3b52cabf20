//! Where a token finds its source.
//!
//! A slab whose slots never move, so that one slot's lock is all a look-up takes; its cache line
//! belongs to the source that is about to run anyway. A token carries the generation of its slot,
//! so an event that was fetched before its source left finds nothing, even if the slot has a new
//! occupant or the descriptor's number a new file.

use std::os::fd::RawFd;
use std::sync::{Arc, OnceLock};

use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, lock};
use crate::{Readiness, Source};

/// All sources.
pub(crate) struct Registry {
    chunks: [OnceLock<Box<[Slot]>>; CHUNKS],
    free: Mutex<Free>,
}

/// Chunk `k` holds `FIRST_CHUNK << k` slots. A model has one or two sources, and makes its slots for each schedule.
const FIRST_CHUNK: usize = if cfg!(loom) { 2 } else { 64 };
const CHUNKS: usize = 20;

#[derive(Default)]
struct Free {
    /// Slots that were used before.
    list: Vec<u32>,
    /// The lowest slot that never was.
    fresh: u32,
    occupied: usize,
    closed: bool,
}

impl Registry {
    pub(crate) fn new() -> Self {
        Self {
            chunks: [const { OnceLock::new() }; CHUNKS],
            free: Mutex::default(),
        }
    }

    /// Takes `source` in; `None` if the registry is closed or full.
    pub(crate) fn insert(&self, source: Arc<dyn Source>) -> Option<Token> {
        let mut free = lock(&self.free);
        if free.closed {
            return None;
        }
        let index = match free.list.pop() {
            Some(index) => index,
            None => {
                let index = free.fresh;
                let (chunk, _) = locate(index);
                self.chunks.get(chunk)?.get_or_init(|| {
                    std::iter::repeat_with(Slot::default)
                        .take(FIRST_CHUNK << chunk)
                        .collect()
                });
                free.fresh += 1;
                index
            }
        };
        free.occupied += 1;
        // Still under the lock of `free`, so that `clear` misses no slot.
        let mut entry = lock(&self.slot(index)?.entry);
        entry.source = Some(source);
        Some(Token::new(index, entry.generation))
    }

    /// The source of `token`, if it has not left.
    #[inline]
    pub(crate) fn get(&self, token: Token) -> Option<Arc<dyn Source>> {
        let entry = lock(&self.slot(token.index())?.entry);
        if entry.generation != token.generation() {
            return None;
        }
        entry.source.clone()
    }

    /// Calls `f` with the descriptor of `token`'s source to look at or change, while no other thread
    /// can change it; `None` if the source has left.
    pub(crate) fn with_fd<R>(
        &self,
        token: Token,
        f: impl FnOnce(&mut Option<RawFd>) -> R,
    ) -> Option<R> {
        let mut entry = lock(&self.slot(token.index())?.entry);
        if entry.generation != token.generation() {
            return None;
        }
        Some(f(&mut entry.fd))
    }

    /// Ends `token`: look-ups find nothing any more. Calls `unwatch` with its descriptor, if it has
    /// one, and returns its source, which the caller drops when it holds no lock; `None` if the token
    /// had ended before.
    pub(crate) fn remove(
        &self,
        token: Token,
        unwatch: impl FnOnce(RawFd),
    ) -> Option<Arc<dyn Source>> {
        let slot = self.slot(token.index())?;
        let source = {
            let mut entry = lock(&slot.entry);
            if entry.generation != token.generation() {
                return None;
            }
            // Under the lock: a second caller of this must not return, and close the descriptor,
            // before it is done.
            if let Some(fd) = entry.fd {
                unwatch(fd);
            }
            slot.vacate(&mut entry)?
        };
        let mut free = lock(&self.free);
        free.list.push(token.index());
        free.occupied -= 1;
        Some(source)
    }

    /// Empties and closes the registry; the caller drops the sources when it holds no lock.
    pub(crate) fn clear(&self) -> Vec<Arc<dyn Source>> {
        let mut free = lock(&self.free);
        free.closed = true;
        let mut sources = Vec::with_capacity(free.occupied);
        for index in 0..free.fresh {
            let Some(slot) = self.slot(index) else { break };
            if let Some(source) = slot.vacate(&mut lock(&slot.entry)) {
                sources.push(source);
            }
        }
        free.occupied -= sources.len();
        sources
    }

    /// The number of sources.
    pub(crate) fn len(&self) -> usize {
        lock(&self.free).occupied
    }

    /// The slot with this index, whoever occupies it.
    #[inline]
    pub(crate) fn slot(&self, index: u32) -> Option<&Slot> {
        let (chunk, offset) = locate(index);
        self.chunks.get(chunk)?.get()?.get(offset)
    }
}

/// Splits an index into chunk and offset: with `FIRST_CHUNK` added, the highest bit says which
/// chunk, the bits below it where in there.
fn locate(index: u32) -> (usize, usize) {
    let biased = index as usize + FIRST_CHUNK;
    let chunk = (biased.ilog2() - FIRST_CHUNK.ilog2()) as usize;
    (chunk, biased - (FIRST_CHUNK << chunk))
}

/// A place for a source, and its timer.
#[derive(Default)]
pub(crate) struct Slot {
    entry: Mutex<Entry>,
    pub(crate) timer: SlotTimer,
}

#[derive(Default)]
struct Entry {
    generation: u32,
    fd: Option<RawFd>,
    source: Option<Arc<dyn Source>>,
}

impl Slot {
    fn vacate(&self, entry: &mut Entry) -> Option<Arc<dyn Source>> {
        let source = entry.source.take()?;
        entry.fd = None;
        entry.generation = (entry.generation + 1) & GENERATION_MASK;
        self.timer.reset(entry.generation);
        Some(source)
    }
}

/// The lock-free half of a source's timer; `timer::Timers` is the other.
pub(crate) struct SlotTimer {
    /// The occupant's generation and the tick at which it wants to be called, 0 for never. One word,
    /// so that a `set` that comes too late cannot hit the next occupant.
    deadline: AtomicU64,
    /// The tick under which `Timers` has an entry for this slot, or [`UNSCHEDULED`]. Written only
    /// under the lock of `Timers`.
    pub(crate) scheduled: AtomicU64,
}

/// No entry in `Timers`; later than any tick.
pub(crate) const UNSCHEDULED: u64 = u64::MAX;

const TICK_BITS: u32 = 36;

/// The latest tick a timer can be set to.
pub(crate) const MAX_TICK: u64 = (1 << TICK_BITS) - 1;

impl Default for SlotTimer {
    fn default() -> Self {
        Self {
            deadline: AtomicU64::new(0),
            scheduled: AtomicU64::new(UNSCHEDULED),
        }
    }
}

impl SlotTimer {
    /// Sets the deadline; false if `generation` has left. `SeqCst`, here and in `Timers`, because
    /// each side writes its word and then reads the other's.
    pub(crate) fn set(&self, generation: u32, tick: u64) -> bool {
        let new = pack(generation, tick);
        let mut old = self.deadline.load(Ordering::Relaxed);
        while old >> TICK_BITS == u64::from(generation) {
            match self
                .deadline
                .compare_exchange_weak(old, new, Ordering::SeqCst, Ordering::Relaxed)
            {
                Ok(_) => return true,
                Err(now) => old = now,
            }
        }
        false
    }

    /// The deadline's tick and the generation it is for; `None` if there is no deadline.
    pub(crate) fn deadline(&self) -> Option<(u64, u32)> {
        let word = self.deadline.load(Ordering::SeqCst);
        match word & MAX_TICK {
            0 => None,
            tick => Some((tick, (word >> TICK_BITS) as u32)),
        }
    }

    /// Takes the deadline away if it has come at `now`; true for one caller per deadline.
    pub(crate) fn take_due(&self, generation: u32, now: u64) -> bool {
        match self.deadline() {
            Some((tick, of)) if of == generation && tick <= now => self
                .deadline
                .compare_exchange(
                    pack(generation, tick),
                    pack(generation, 0),
                    Ordering::SeqCst,
                    Ordering::Relaxed,
                )
                .is_ok(),
            _ => false,
        }
    }

    fn reset(&self, generation: u32) {
        // An update and not a store, which is the same instruction: loom has no order between a store and an update of
        // another thread.
        self.deadline.swap(pack(generation, 0), Ordering::SeqCst);
    }
}

fn pack(generation: u32, tick: u64) -> u64 {
    u64::from(generation) << TICK_BITS | tick
}

/// Names one stay of a source in the registry. Its lowest four bits are free for readiness.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Token(u64);

const GENERATION_BITS: u32 = 28;
const GENERATION_MASK: u32 = (1 << GENERATION_BITS) - 1;

impl Token {
    /// Not a source: the poller's own wake-up.
    pub(crate) const WAKE: Self = Self::new(u32::MAX, 0);

    const fn new(index: u32, generation: u32) -> Self {
        Self((index as u64) << 32 | (generation as u64) << 4)
    }

    pub(crate) fn of_timer(index: u32, generation: u32) -> Self {
        Self::new(index, generation)
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    pub(crate) fn index(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(crate) fn generation(self) -> u32 {
        (self.0 as u32) >> 4
    }

    /// Token and readiness in one word.
    pub(crate) fn with_readiness(self, readiness: Readiness) -> u64 {
        self.0 | u64::from(readiness.bits()) & Readiness::KERNEL_MASK
    }

    /// The reverse of [`with_readiness`](Self::with_readiness).
    pub(crate) fn split(word: u64) -> (Self, Readiness) {
        let readiness = Readiness::from_bits((word & Readiness::KERNEL_MASK) as u8);
        (Self(word & !Readiness::KERNEL_MASK), readiness)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Weak;

    use super::*;
    use crate::Scratch;

    struct Nothing;

    impl Source for Nothing {
        fn ready(self: Arc<Self>, _: Readiness, _: &mut Scratch) {}
    }

    #[test]
    fn indices_map_to_slots_without_gap_or_overlap() {
        assert_eq!(locate(0), (0, 0));
        assert_eq!(locate(63), (0, 63));
        assert_eq!(locate(64), (1, 0));
        assert_eq!(locate(191), (1, 127));
        assert_eq!(locate(192), (2, 0));
        let mut expected = (0, 0);
        for index in 0..100_000 {
            assert_eq!(locate(index), expected);
            expected.1 += 1;
            if expected.1 == FIRST_CHUNK << expected.0 {
                expected = (expected.0 + 1, 0);
            }
        }
        assert!(locate(u32::MAX).0 >= CHUNKS, "the wake token has no slot");
    }

    #[test]
    fn a_slot_is_small() {
        assert!(size_of::<Slot>() <= 64, "{}", size_of::<Slot>());
    }

    #[test]
    fn a_stale_token_finds_nothing_even_if_its_slot_is_reused() {
        let registry = Registry::new();
        let first = registry.insert(Arc::new(Nothing)).unwrap();
        assert!(registry.get(first).is_some());
        assert!(registry.remove(first, |_| ()).is_some());
        assert!(registry.get(first).is_none());
        let second = registry.insert(Arc::new(Nothing)).unwrap();
        assert_eq!(first.index(), second.index());
        assert_ne!(first, second);
        assert!(registry.get(first).is_none());
        assert!(registry.remove(first, |_| ()).is_none());
        assert!(registry.with_fd(first, |_| ()).is_none());
        assert!(registry.get(second).is_some());
        assert_eq!(registry.len(), 1);
    }

    #[test]
    fn many_sources_keep_their_tokens_apart() {
        let registry = Registry::new();
        let tokens: Vec<_> = (0..1000)
            .map(|_| {
                let source: Arc<dyn Source> = Arc::new(Nothing);
                (registry.insert(Arc::clone(&source)).unwrap(), source)
            })
            .collect();
        for (token, source) in &tokens {
            assert!(Arc::ptr_eq(&registry.get(*token).unwrap(), source));
        }
    }

    #[test]
    fn clear_gives_every_source_back_and_closes() {
        let registry = Registry::new();
        let source: Arc<dyn Source> = Arc::new(Nothing);
        let weak: Weak<dyn Source> = Arc::downgrade(&source);
        let token = registry.insert(source).unwrap();
        assert_eq!(registry.clear().len(), 1);
        assert!(weak.upgrade().is_none());
        assert_eq!(registry.len(), 0);
        assert!(registry.remove(token, |_| ()).is_none());
        assert!(registry.insert(Arc::new(Nothing)).is_none());
    }

    #[test]
    fn words_carry_token_and_readiness() {
        let token = Token::new(0xdead_beef, GENERATION_MASK);
        let readiness = Readiness::READABLE | Readiness::ERROR;
        assert_eq!(
            Token::split(token.with_readiness(readiness)),
            (token, readiness)
        );
        assert_eq!(token.index(), 0xdead_beef);
        assert_eq!(token.generation(), GENERATION_MASK);
    }

    #[test]
    fn a_timer_set_too_late_does_not_hit_the_next_occupant() {
        let timer = SlotTimer::default();
        assert!(timer.set(0, 7));
        assert_eq!(timer.deadline(), Some((7, 0)));
        timer.reset(1);
        assert!(!timer.set(0, 9));
        assert_eq!(timer.deadline(), None);
        assert!(timer.set(1, 9));
        assert!(!timer.take_due(0, 10), "another generation's");
        assert!(!timer.take_due(1, 8), "too early");
        assert!(timer.take_due(1, 9));
        assert!(!timer.take_due(1, 9), "taken before");
    }
}
