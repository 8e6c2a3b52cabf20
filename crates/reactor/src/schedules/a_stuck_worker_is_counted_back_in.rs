//! A callback that is marked as stuck takes its worker out of the active ones, and its return puts the worker back: the
//! mark hits the callback that was seen or none, and the accounts balance whenever the callback returns.

use std::sync::Arc;

use schedules::{explore, thread};

use super::core_with;

/// Fails when `Crew::mark_stuck` marks before it has the lock; when `Worker::mark_stuck` does not compare what was seen
/// (it marks a worker that is in no callback); and when `Worker::call` ends with a store, which wipes out a mark.
#[test]
fn when_its_callback_returns_while_the_supervisor_marks_it() {
    explore(|| {
        let core = core_with(1);
        let shared = Arc::clone(&core);
        let worker = thread::spawn(move || {
            for _ in 0..2 {
                if shared.pool.worker(0).call(|| ()) {
                    shared.pool.unstuck();
                }
            }
        });
        let seen = core.pool.worker(0).activity();
        core.pool.mark_stuck(&[(0, seen)]);
        worker.join().unwrap();
        let counts = core.pool.counts();
        assert_eq!((counts.active, counts.stuck), (1, 0));
        assert!(!core.pool.worker(0).activity().is_stuck());
    });
}
