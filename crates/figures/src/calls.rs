//! What each thread of a child is calling just now: which callback of which plugin, for which connection.
//!
//! A thread takes one of the child's places when it begins a call, and gives it back when the call has returned. Where
//! it looks first follows from the thread, so that it finds the place free that it had before, in its own cache. What a
//! place says is one word, written before the call and after it: whenever the child dies, it tells of this call or of none.
//! A call that does not return leaves it behind, for whoever looks after the child's end.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::label::PluginLabel;

/// The words of a place: a cache line.
pub(crate) const CALL: usize = 8;
pub(crate) type CallWords = [AtomicU64; CALL];

/// The words of a place.
mod field {
    /// The thread that has the place; 0 when it is free.
    pub const THREAD: usize = 0;
    /// The call, packed; 0 when there is none.
    pub const CALL: usize = 1;
    /// When it began, in its child's milliseconds; 0 while nobody is to know. The highest bit: somebody has told of it.
    pub const SINCE: usize = 2;
}

const ID_BITS: u32 = 48;
const ID: u64 = (1 << ID_BITS) - 1;
const PLUGIN_BITS: u32 = 8;
const IS_TOLD: u64 = 1 << 63;

/// Whose calls: what stays the same from one to the next.
#[derive(Clone, Copy, Debug)]
pub struct Caller(u64);

impl Caller {
    /// For a connection of this plugin's, by its number; 0 for the process.
    pub fn new(plugin: PluginLabel, id: u64) -> Self {
        Caller(u64::from(plugin.0) << ID_BITS | (id & ID))
    }
}

/// A call that has not returned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call<C> {
    /// The callback's number, or what it stands for.
    pub callback: C,
    /// The plugin.
    pub plugin: PluginLabel,
    /// The connection's number; 0: the call was for the process.
    pub id: u64,
}

impl Call<u8> {
    fn unpack(word: u64) -> Option<Self> {
        (word != 0).then_some(Call {
            callback: (word >> (ID_BITS + PLUGIN_BITS)) as u8,
            plugin: PluginLabel((word >> ID_BITS) as u8),
            id: word & ID,
        })
    }
}

/// The places of one child.
#[derive(Clone, Copy)]
pub struct Calls<'m>(pub(crate) &'m [CallWords]);

/// A place that a thread has for one call. It is given back by [`Running::end`] only: a call that does not return stays.
#[must_use]
pub struct Running<'m>(&'m CallWords);

/// A call that runs, seen by another thread.
pub struct Seen<'m> {
    /// Which it is.
    pub call: Call<u8>,
    words: &'m CallWords,
    since: u64,
}

impl<'m> Calls<'m> {
    /// A thread, which is not 0, begins a call, `now` in the child's milliseconds, at least 1. `callback` is at least 1.
    /// `None` when so many threads are calling that no place is free: nobody sees this one.
    pub fn begin(
        self,
        thread: usize,
        caller: Caller,
        callback: u8,
        now: u64,
    ) -> Option<Running<'m>> {
        let word = caller.0 | u64::from(callback) << (ID_BITS + PLUGIN_BITS);
        let words = self.places_of(thread).find(|words| {
            words[field::THREAD]
                .compare_exchange(0, thread as u64, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
        })?;
        words[field::CALL].store(word, Ordering::Release);
        words[field::SINCE].store(now, Ordering::Release);
        Some(Running(words))
    }

    /// What this thread, the one that asks, is calling.
    pub fn of_thread(self, thread: usize) -> Option<Seen<'m>> {
        let words = self
            .places_of(thread)
            .find(|words| words[field::THREAD].load(Ordering::Relaxed) == thread as u64)?;
        Seen::of(words)
    }

    /// The calls that run now.
    pub fn running(self) -> impl Iterator<Item = Seen<'m>> {
        self.0.iter().filter_map(Seen::of)
    }

    pub(crate) fn clear(self) {
        for words in self.0 {
            for field in [field::SINCE, field::CALL, field::THREAD] {
                words[field].store(0, Ordering::Release);
            }
        }
    }

    /// All places, in the order in which a thread looks.
    fn places_of(self, thread: usize) -> impl Iterator<Item = &'m CallWords> {
        let (front, back) = self.0.split_at(self.home(thread));
        back.iter().chain(front)
    }

    /// Where a thread looks first. Threads differ in the middle of their numbers, which are addresses of stacks.
    fn home(self, thread: usize) -> usize {
        let spread = (thread as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        ((spread * self.0.len() as u64) >> 32) as usize
    }
}

impl Running<'_> {
    /// The call has returned. Says since when it ran, unless that has been told of it.
    pub fn end(self) -> Option<u64> {
        let since = self.0[field::SINCE].load(Ordering::Relaxed);
        // First, so that the next call in this place is not taken for one that began with this.
        self.0[field::SINCE].store(0, Ordering::Release);
        self.0[field::CALL].store(0, Ordering::Release);
        self.0[field::THREAD].store(0, Ordering::Release);
        (since & IS_TOLD == 0).then_some(since)
    }
}

impl<'m> Seen<'m> {
    fn of(words: &'m CallWords) -> Option<Self> {
        let word = words[field::CALL].load(Ordering::Acquire);
        let since = words[field::SINCE].load(Ordering::Acquire);
        // Otherwise another call has begun meanwhile, and the time may be its.
        let is_same = words[field::CALL].load(Ordering::Relaxed) == word;
        let call = Call::unpack(word).filter(|_| is_same)?;
        Some(Seen { call, words, since })
    }

    /// Since when it runs, in the child's milliseconds; `None` while it waits for something that is no fault of its, and
    /// when it has been told of.
    pub fn since(&self) -> Option<u64> {
        (self.since != 0 && self.since & IS_TOLD == 0).then_some(self.since)
    }

    /// Takes it upon the caller to tell of it; `false` when it has returned, or somebody else has.
    pub fn tell(&self) -> bool {
        let told = self.since | IS_TOLD;
        self.words[field::SINCE]
            .compare_exchange(self.since, told, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    /// The thread that has this call waits, while `wait` runs, for something that is no fault of the call's: its time
    /// begins anew. `now` says when it does.
    pub fn outside(&self, wait: impl FnOnce(), now: impl FnOnce() -> u64) {
        let before = self.words[field::SINCE].swap(0, Ordering::Relaxed);
        wait();
        self.words[field::SINCE].store(before & IS_TOLD | now(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(count: usize) -> Vec<CallWords> {
        (0..count).map(|_| Default::default()).collect()
    }

    #[test]
    fn a_call_says_who_is_called_and_nothing_when_it_has_returned() {
        let words = words(8);
        let calls = Calls(&words);
        let caller = Caller::new(PluginLabel(255), (1 << 48) - 1);
        let running = calls.begin(4096, caller, 127, 7).unwrap();
        let seen: Vec<_> = calls.running().collect();
        assert_eq!(
            seen[0].call,
            Call {
                callback: 127,
                plugin: PluginLabel(255),
                id: (1 << 48) - 1,
            }
        );
        assert_eq!((seen.len(), seen[0].since()), (1, Some(7)));
        assert_eq!(running.end(), Some(7));
        assert_eq!(calls.running().count(), 0);
    }

    #[test]
    fn threads_have_places_of_their_own_as_long_as_there_are_any() {
        let words = words(4);
        let calls = Calls(&words);
        let caller = |id| Caller::new(PluginLabel(0), id);
        // All look first in the same place.
        let mut running: Vec<_> = (1..=4)
            .map(|id| calls.begin(4096, caller(id), 1, id).unwrap())
            .collect();
        assert!(calls.begin(4096, caller(5), 1, 1).is_none());
        let mut ids: Vec<_> = calls.running().map(|seen| seen.call.id).collect();
        ids.sort_unstable();
        assert_eq!(ids, [1, 2, 3, 4]);
        assert_eq!(running.remove(1).end(), Some(2));
        assert!(calls.begin(8192, caller(5), 1, 1).is_some());
        assert_eq!(calls.of_thread(8192).unwrap().call.id, 5);
        assert!(calls.of_thread(12288).is_none());
    }

    #[test]
    fn a_call_is_told_of_once() {
        let words = words(1);
        let calls = Calls(&words);
        let caller = Caller::new(PluginLabel(0), 1);
        let running = calls.begin(1, caller, 1, 3).unwrap();
        let seen = calls.running().next().unwrap();
        assert!(seen.tell() && !seen.tell());
        assert_eq!(calls.running().next().unwrap().since(), None);
        assert_eq!(running.end(), None);
        // One that has returned is not told of when the next one is in its place.
        let _running = calls.begin(1, caller, 1, 9).unwrap();
        assert!(!seen.tell());
        assert_eq!(calls.running().next().unwrap().since(), Some(9));
    }

    #[test]
    fn time_that_a_call_waits_outside_is_not_its_own() {
        let words = words(1);
        let calls = Calls(&words);
        let running = calls
            .begin(1, Caller::new(PluginLabel(0), 1), 1, 3)
            .unwrap();
        let seen = calls.running().next().unwrap();
        let while_waiting = || assert_eq!(calls.running().next().unwrap().since(), None);
        seen.outside(while_waiting, || 50);
        assert_eq!(running.end(), Some(50));
    }
}
