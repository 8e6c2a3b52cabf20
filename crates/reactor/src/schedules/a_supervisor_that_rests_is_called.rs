//! The supervisor says first that it rests, and then looks once more; a worker that comes back from waiting publishes its
//! batch and counts itself out first, and then looks whether the supervisor is awake. So what could be held up by a
//! callback is either seen in the last look, or the supervisor is called.

use std::sync::Arc;

use schedules::{explore, thread};

use super::{core_with, stale_event};
use crate::core::Core;
use crate::{poller, work};

/// One worker's wait, after which it runs a callback that does not return: nothing more is heard of it.
fn fetch(core: &Core) {
    let mut buffer = poller::event_buffer();
    work::wait(core, core.pool.worker(0), -1, &mut buffer);
}

/// The supervisor's part, which ends when it has seen that it is needed.
fn supervise(core: &Core) {
    core.supervisor.stay_awake();
    while core.is_attended() {
        if core.supervisor.rest_unless(|| !core.is_attended()) {
            core.supervisor.sleep(None);
        }
    }
}

/// Fails when `work::wait` looks whether the supervisor is awake before it counts itself out; when `rest_unless` looks
/// before it says so; and when the update of `Waiting::end` or the store in `rest_unless` is weaker than `SeqCst`. It does
/// not fail when the load of `ensure_awake` alone is weaker, which C++20 would not grant either: that one is read, not run.
#[test]
fn when_the_only_worker_that_waited_has_come_back() {
    explore(|| {
        let core = core_with(1);
        let shared = Arc::clone(&core);
        let worker = thread::spawn(move || fetch(&shared));
        core.poller.await_waiter();
        core.poller.deliver(&[stale_event()]);
        supervise(&core);
        worker.join().unwrap();
    });
}

/// Another worker waits, but for new events: nothing wakes it for what is left in the batch.
///
/// Fails when `work::wait` counts itself out before it publishes its batch: the batch's head is only released, so the
/// supervisor may see the count and not the batch. It did so, and on x86, too, whose processors let a load overtake a store.
#[test]
fn when_events_are_left_in_a_batch_while_another_worker_waits() {
    explore(|| {
        let core = core_with(2);
        core.waiting.begin();
        core.poller.deliver(&[stale_event(), stale_event()]);
        let shared = Arc::clone(&core);
        let worker = thread::spawn(move || fetch(&shared));
        supervise(&core);
        worker.join().unwrap();
    });
}
