//! What threads have for a session that others may be running, an edge, a wish, the job that comes of it, is seen by a turn
//! that begins afterwards; turns never overlap, each sees what the one before it did, and the peer's end stays known.

use std::sync::Arc;

use schedules::atomic::{AtomicBool, AtomicU8, Ordering};
use schedules::{explore, thread};

use crate::edges::{Driven, Edges};
use crate::environment::Wait;

const EDGE: u8 = 1;
const WISH: u8 = 1 << 1;
const HANG_UP: u8 = 1 << 2;

#[derive(Default)]
struct Shared {
    edges: Edges,
    /// What has come, for turns to find.
    come: AtomicU8,
    /// Written by a load and a store, so that turns that overlap, or do not see each other's work, lose some.
    handled: AtomicU8,
    /// How many jobs are under way.
    jobs: AtomicU8,
    /// Jobs can be sent.
    is_armed: AtomicBool,
}

/// The turns of one thread.
struct Turns<'a> {
    shared: &'a Shared,
    /// How many turns have more to do at once.
    again: u8,
}

impl Driven for Turns<'_> {
    fn turn(&mut self, is_hung_up: bool) -> Wait {
        let shared = self.shared;
        let hung_up = if is_hung_up { HANG_UP } else { 0 };
        let come = shared.come.load(Ordering::Relaxed);
        let before = shared.handled.load(Ordering::Relaxed);
        shared
            .handled
            .store(before | come | hung_up, Ordering::Relaxed);
        match self.again {
            0 => Wait::Ended,
            _ => {
                self.again -= 1;
                Wait::Again
            }
        }
    }

    fn queue(&mut self) {
        self.shared.jobs.fetch_add(1, Ordering::Relaxed);
    }
}

impl Shared {
    fn edge(&self, what: u8, is_hung_up: bool, again: u8) {
        self.come.fetch_or(what, Ordering::Relaxed);
        if self.edges.begin(is_hung_up) {
            self.run(again);
        }
        self.do_job();
    }

    fn wish(&self) {
        self.come.fetch_or(WISH, Ordering::Relaxed);
        if self.edges.queue() {
            self.jobs.fetch_add(1, Ordering::Relaxed);
        }
        self.do_job();
    }

    /// Does the job that is under way, if nobody else does.
    fn do_job(&self) {
        match self.jobs.swap(0, Ordering::Relaxed) {
            0 => {}
            1 if self.edges.begin_queued(false) => self.run(0),
            1 => {}
            jobs => panic!("{jobs} jobs at once"),
        }
    }

    fn run(&self, again: u8) {
        self.edges.run(&mut Turns {
            shared: self,
            again,
        });
    }
}

fn spawn(
    shared: &Arc<Shared>,
    does: impl FnOnce(&Shared) + Send + 'static,
) -> thread::JoinHandle<()> {
    let shared = Arc::clone(shared);
    thread::spawn(move || does(&shared))
}

/// Fails when a step of `Edges::change` is `Relaxed`; when `begin` leaves no word, or forgets what hung up while turns are
/// taken; when `run` goes without a look at the word; when it gives up a turn that has more to do without a job.
#[test]
fn of_three_threads() {
    explore(|| {
        let shared = Arc::new(Shared::default());
        let others = [
            spawn(&shared, |shared| shared.edge(0, true, 0)),
            spawn(&shared, Shared::wish),
        ];
        shared.edge(EDGE, false, 1);
        others.into_iter().for_each(|thread| thread.join().unwrap());
        // What is left is for a worker that waits.
        shared.do_job();
        assert_eq!(shared.jobs.load(Ordering::Relaxed), 0, "one job is enough");
        let handled = shared.handled.load(Ordering::Relaxed);
        assert_eq!(handled, EDGE | WISH | HANG_UP);
    });
}

/// Fails when `is_queued` is a load.
#[test]
fn of_a_wish_before_jobs_can_be_sent() {
    explore(|| {
        let shared = Arc::new(Shared::default());
        let wish = spawn(&shared, |shared| {
            shared.come.fetch_or(WISH, Ordering::Relaxed);
            if shared.edges.queue() && shared.is_armed.load(Ordering::Acquire) {
                shared.jobs.fetch_add(1, Ordering::Relaxed);
            }
        });
        shared.is_armed.store(true, Ordering::Release);
        if shared.edges.is_queued() {
            shared.jobs.fetch_add(1, Ordering::Relaxed);
        }
        wish.join().unwrap();
        // Where both have sent one, the second finds nothing to do.
        for _ in 0..shared.jobs.load(Ordering::Relaxed) {
            if shared.edges.begin_queued(false) {
                shared.run(0);
            }
        }
        assert_eq!(shared.handled.load(Ordering::Relaxed), WISH);
    });
}
