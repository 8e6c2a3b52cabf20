//! The log's memory, and the bells at which the children's readers wait.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use shuttle::sync::{Condvar, Mutex};
use topics::{Bell, Epoch, Layout, Log};

use crate::world::lock;

thread_local! {
    /// One for all seeds of a thread: a log's memory is never given back.
    static WORDS: Cell<&'static [AtomicU64]> = const { Cell::new(&[]) };
}

/// A log with nothing in it, in place of the last seed's. `ring`: so many bytes of messages.
pub fn log(seed: u64, ring: usize) -> Log<'static> {
    let layout = Layout {
        ring,
        topics: 8,
        seats: 8,
    };
    let count = layout.words().expect("it is a layout");
    if WORDS.get().len() < count {
        let words: Vec<AtomicU64> = (0..count).map(|_| AtomicU64::new(0)).collect();
        WORDS.set(words.leak());
    }
    let words = &WORDS.get()[..count];
    for word in words {
        word.store(0, Ordering::Relaxed);
    }
    let epoch = Epoch(NonZeroU64::new(seed + 1).expect("it is not 0"));
    Log::new(words, layout, epoch, [1, 2]).expect("there is room")
}

/// Where readers wait, by the word that they wait for.
#[derive(Clone, Default)]
pub struct Bells(Arc<StdMutex<BTreeMap<usize, Arc<Place>>>>);

#[derive(Default)]
struct Place {
    gate: Mutex<()>,
    rings: Condvar,
}

/// The bells, as one child has them.
#[derive(Clone)]
pub struct OwnBell {
    pub bells: Bells,
    /// Its reader waits.
    pub is_waiting: Arc<AtomicBool>,
}

impl Bells {
    fn place(&self, word: &AtomicU64) -> Arc<Place> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = places.entry(std::ptr::from_ref(word).addr()).or_default();
        Arc::clone(place)
    }
}

/// Like the system's futex: whoever finds the word as it was seen waits, and no wake comes between the two.
impl Bell for Bells {
    fn wait(&self, word: &AtomicU64, seen: u64, _most: Duration) {
        let place = self.place(word);
        let gate = lock(&place.gate);
        if word.load(Ordering::SeqCst) == seen {
            drop(place.rings.wait(gate));
        }
    }

    fn wake(&self, word: &AtomicU64) {
        let place = self.place(word);
        let _gate = lock(&place.gate);
        place.rings.notify_all();
    }
}

impl Bell for OwnBell {
    fn wait(&self, word: &AtomicU64, seen: u64, most: Duration) {
        self.is_waiting.store(true, Ordering::SeqCst);
        self.bells.wait(word, seen, most);
        self.is_waiting.store(false, Ordering::SeqCst);
    }

    fn wake(&self, word: &AtomicU64) {
        self.bells.wake(word);
    }
}
