//! A thread that adds a job or stops the reactor does so first, and then looks which workers wait; a worker counts itself as waiting
//! first and then looks for a job or a stop. So a job is done, and a stop is heard, though the worker was about to wait.

use std::sync::{Arc, PoisonError};

use schedules::{Condvar, Mutex, explore, thread};

use super::core_with;
use crate::core::Core;
use crate::job::Job;
use crate::sync::lock;
use crate::work;

fn start_worker(core: &Arc<Core>, index: usize) -> thread::JoinHandle<()> {
    let core = Arc::clone(core);
    thread::spawn(move || work::run(&core, index))
}

fn submit(core: &Core, job: impl FnOnce() + Send + 'static) {
    assert!(core.submit(Job::Call(Box::new(job))).is_ok());
}

/// Fails when `Core::submit` calls for help before it adds the job; when `work::wait` looks for jobs before it counts
/// itself in; when the store of `Jobs::push` or the count of `Waiting::begin` is weaker than `SeqCst`, and when the load
/// of `Jobs::is_empty` or `Waiting::count` is.
#[test]
fn a_job_is_done_by_a_worker_that_was_about_to_wait() {
    explore(|| {
        let core = core_with(1);
        let worker = start_worker(&core, 0);
        let ending = Arc::clone(&core);
        submit(&core, move || ending.stop());
        worker.join().unwrap();
    });
}

/// Fails when `wake_for_good` is a `wake` like any other.
#[test]
fn a_stop_ends_every_worker_that_was_about_to_wait() {
    explore(|| {
        let core = core_with(2);
        let workers = [0, 1].map(|index| start_worker(&core, index));
        core.stop();
        workers
            .into_iter()
            .for_each(|worker| worker.join().unwrap());
    });
}

/// The first job waits for the second: a worker that takes one job and leaves another calls for help before it begins.
///
/// Fails when `do_jobs` does not, since two wake-ups that come together are one.
#[test]
fn a_job_behind_one_that_blocks_is_done_by_another_worker() {
    explore(|| {
        let core = core_with(2);
        let workers = [0, 1].map(|index| start_worker(&core, index));
        let door = Arc::new((Mutex::new(false), Condvar::new()));
        let (key, ending) = (Arc::clone(&door), Arc::clone(&core));
        submit(&core, move || {
            let (is_open, opened) = &*door;
            let mut is_open = lock(is_open);
            while !*is_open {
                is_open = opened.wait(is_open).unwrap_or_else(PoisonError::into_inner);
            }
            ending.stop();
        });
        submit(&core, move || {
            *lock(&key.0) = true;
            key.1.notify_one();
        });
        workers
            .into_iter()
            .for_each(|worker| worker.join().unwrap());
    });
}
