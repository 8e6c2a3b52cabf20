//! Readiness handed to [`Turn::begin`] makes its caller the runner or comes out of the runner's `finish`; runners never
//! overlap, and each sees what the one before it did.

use std::sync::Arc;

use schedules::atomic::{AtomicU8, Ordering};
use schedules::{explore, thread};

use crate::{Readiness, Turn};

#[derive(Default)]
struct Shared {
    turn: Turn,
    /// Written by a load and a store, so that runners that overlap, or do not see each other's work, lose some.
    handled: AtomicU8,
}

fn hand_over(shared: &Shared, readiness: Readiness) {
    if !shared.turn.begin(readiness) {
        return;
    }
    let mut next = Some(readiness);
    while let Some(readiness) = next {
        let before = shared.handled.load(Ordering::Relaxed);
        shared
            .handled
            .store(before | readiness.bits(), Ordering::Relaxed);
        next = shared.turn.finish();
    }
}

/// Fails when `begin` takes the turn, or `finish` gives it up, with `Relaxed`; when `finish` gives it up whatever the state
/// is; when `begin` leaves word without `AGAIN`, or without what was there before.
#[test]
fn three_threads_that_hand_something_over() {
    explore(|| {
        let shared = Arc::new(Shared::default());
        let others = [Readiness::READABLE, Readiness::WRITABLE].map(|readiness| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || hand_over(&shared, readiness))
        });
        hand_over(&shared, Readiness::NOTIFIED);
        others.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(!shared.turn.is_taken());
        let all = Readiness::READABLE | Readiness::WRITABLE | Readiness::NOTIFIED;
        assert_eq!(shared.handled.load(Ordering::Relaxed), all.bits());
    });
}
