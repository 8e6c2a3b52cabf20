//! Work that no event stands for, and the queue that it waits in.

use std::collections::VecDeque;
use std::mem;

use crate::registry::Token;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, lock};

/// Work that comes through the queue of jobs.
pub(crate) enum Job {
    /// A closure.
    Call(Box<dyn FnOnce() + Send>),
    /// A source's timer is due, or was.
    Expired(Token),
    /// `Registration::notify`.
    Notify(Token),
}

/// Work that no event stands for, first come, first served.
#[derive(Default)]
pub(crate) struct Jobs {
    queue: Mutex<JobQueue>,
    /// The length of the queue, to look at without the lock.
    len: AtomicUsize,
}

#[derive(Default)]
struct JobQueue {
    jobs: VecDeque<Job>,
    closed: bool,
}

impl Jobs {
    pub(crate) fn push(&self, job: Job) -> Result<(), Job> {
        let mut queue = lock(&self.queue);
        if queue.closed {
            return Err(job);
        }
        queue.jobs.push_back(job);
        // Before the caller looks whether a worker waits; a worker looks here after it has counted
        // itself as waiting.
        self.len.store(queue.jobs.len(), Ordering::SeqCst);
        Ok(())
    }

    /// Adds jobs that the queue drops if it is closed.
    pub(crate) fn extend(&self, jobs: &mut Vec<Job>) {
        let mut queue = lock(&self.queue);
        if !queue.closed {
            queue.jobs.extend(jobs.drain(..));
            self.len.store(queue.jobs.len(), Ordering::SeqCst);
        }
        drop(queue);
        jobs.clear();
    }

    pub(crate) fn pop(&self) -> Option<Job> {
        if self.is_empty() {
            return None;
        }
        let mut queue = lock(&self.queue);
        let job = queue.jobs.pop_front();
        self.len.store(queue.jobs.len(), Ordering::SeqCst);
        job
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len.load(Ordering::SeqCst) == 0
    }

    pub(crate) fn close(&self) -> VecDeque<Job> {
        let mut queue = lock(&self.queue);
        queue.closed = true;
        self.len.store(0, Ordering::SeqCst);
        mem::take(&mut queue.jobs)
    }
}
