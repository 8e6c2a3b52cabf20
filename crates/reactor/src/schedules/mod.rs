//! Models of the hand-overs between the reactor's threads: `scripts/schedules` runs each in every schedule within its
//! bounds. A file is named for the promise that it proves, and says how it was seen to fail: the promise broken on
//! purpose, by one edit, which is to be tried again when the model or the code changes.
//!
//! The threads of a model run the crate's own functions, from the body of a worker's thread down to one compare-and-swap.
//! Only epoll is another ([`poller`](crate::poller)), and time stands still.

mod a_batch_gives_each_event_once;
mod a_deadline_is_never_left_without_an_entry;
mod a_job_is_never_left_to_workers_that_wait;
mod a_late_event_finds_no_other_source;
mod a_stuck_worker_is_counted_back_in;
mod a_supervisor_that_rests_is_called;

use std::sync::Arc;
use std::time::Duration;

use crate::core::Core;
use crate::registry::Token;
use crate::sys::Thread;
use crate::{Config, Readiness, Scratch, Source};

/// A reactor without threads, with `workers` places that its accounts take for active.
fn core_with(workers: usize) -> Arc<Core> {
    let config = Config {
        min_threads: workers,
        max_threads: workers,
        idle_timeout: Duration::MAX,
        name: String::new(),
        stack_size: 0,
        around_thread: None,
        on_fault: None,
    };
    let core = Core::new(config).unwrap();
    core.pool.replenish(|_| Ok(Thread::OF_MODEL)).unwrap();
    Arc::new(core)
}

/// A source that nobody calls.
struct Nothing;

impl Source for Nothing {
    fn ready(self: Arc<Self>, _: Readiness, _: &mut Scratch) {}
}

/// The event of a source that has left.
fn stale_event() -> u64 {
    Token::of_timer(0, 0).with_readiness(Readiness::READABLE)
}
