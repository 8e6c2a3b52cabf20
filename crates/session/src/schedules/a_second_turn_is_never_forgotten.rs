//! A wake during a turn's last look: what the second thread has come for is seen by the turn that is under way, or by one of
//! its own.

use std::sync::Arc;

use schedules::atomic::{AtomicUsize, Ordering};
use schedules::{explore, thread};

use crate::turnstile::{Found, Turnstile};

struct Shared {
    /// What the turn has handled.
    turnstile: Turnstile<usize>,
    /// What has come, for which a turn is asked.
    come: AtomicUsize,
}

/// Takes turns until there is nothing to do, as a driver does.
fn take_turns(shared: &Shared) {
    loop {
        let Found::Free(mut handled) = shared.turnstile.take() else {
            return;
        };
        *handled = shared.come.load(Ordering::Relaxed);
        if !shared.turnstile.give_back(handled) {
            return;
        }
    }
}

/// Fails when `take` leaves no word, and when `give_back` forgets it.
#[test]
fn two_threads_that_ask_at_once() {
    explore(|| {
        let shared = Arc::new(Shared {
            turnstile: Turnstile::new(0),
            come: AtomicUsize::new(0),
        });
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                shared.come.fetch_add(1, Ordering::Relaxed);
                take_turns(&shared);
            })
        };
        shared.come.fetch_add(1, Ordering::Relaxed);
        take_turns(&shared);
        other.join().unwrap();
        assert_eq!(shared.turnstile.take_for_good(), Some(Box::new(2)));
    });
}
