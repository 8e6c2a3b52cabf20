//! What callbacks of one session give to others, which leaves when the input that they answer is used up.
//!
//! A plugin that passes on what one client says to a thousand others would make a thousand writes for each message. When
//! more input is at hand, what it gives them is put into their outboxes, as its own answers are gathered in its own; and
//! who has got something is written once, behind the last message.
//!
//! | a receiver | its giver puts something in | another thread does, too | the giver's input is used up, or its thread is about to wait |
//! |---|---|---|---|
//! | not gathered for | **gathered for**, and on the list of the giver's thread | – | – |
//! | gathered for | nothing more to do | relies on that list, or writes at once | **not gathered for**, and written |
//!
//! The mark goes before the write: who puts something in and finds the mark set has put it in before that write looks.

use std::sync::Arc;

use crate::environment::ThreadId;
use crate::shelter::sheltered;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, lock};

/// Who was given something, kept until it is told that no more comes: a session, or somebody whom it wakes.
pub trait Receiver: Send + Sync {
    /// A session's calls [`Session::flush_gathered`](crate::Session::flush_gathered).
    fn flush_gathered(&self);
}

/// The receivers of all threads of a process.
#[derive(Default)]
pub struct Gatherings {
    lists: Mutex<Vec<List>>,
    /// How many threads gather: no lock is taken for none.
    len: AtomicUsize,
}

/// The receivers of one thread.
struct List {
    whose: ThreadId,
    receivers: Vec<Arc<dyn Receiver>>,
}

impl Gatherings {
    /// Puts a receiver on the calling thread's list, unless it is the one that was put there last: says whether it does.
    pub(crate) fn add(&self, thread: ThreadId, receiver: Arc<dyn Receiver>) -> bool {
        let mut lists = lock(&self.lists);
        match lists.iter_mut().find(|list| list.whose == thread) {
            Some(list) => {
                let is_there = |last: &Arc<dyn Receiver>| Arc::ptr_eq(last, &receiver);
                if list.receivers.last().is_some_and(is_there) {
                    return false;
                }
                list.receivers.push(receiver);
            }
            None => {
                lists.push(List {
                    whose: thread,
                    receivers: vec![receiver],
                });
                // Relaxed: only the thread itself looks for its list.
                self.len.store(lists.len(), Ordering::Relaxed);
            }
        }
        true
    }

    /// Has what the calling thread has gathered written.
    #[inline]
    pub(crate) fn flush(&self, thread: ThreadId) {
        // Relaxed: whether its own list is counted, the thread knows; another one's is none of its business.
        if self.len.load(Ordering::Relaxed) > 0 {
            self.flush_list(thread);
        }
    }

    #[cold]
    fn flush_list(&self, thread: ThreadId) {
        let list = {
            let mut lists = lock(&self.lists);
            let place = lists.iter().position(|list| list.whose == thread);
            let list = place.map(|place| lists.swap_remove(place));
            self.len.store(lists.len(), Ordering::Relaxed);
            list
        };
        for receiver in list.into_iter().flat_map(|list| list.receivers) {
            // One whose transport panics is closed for it, and keeps nothing from the others.
            sheltered(|| receiver.flush_gathered());
        }
    }
}
