//! What callbacks publish wakes those who deliver it once, when the input that they answer is used up.
//!
//! Sixteen messages of one read would wake them with the first, to deliver that alone to everybody, and then the others. Until
//! then, another publisher's message may wake them, too: nothing of theirs waits for this.

use std::sync::Arc;

use session::Receiver;
use session::sync::{Mutex, lock};
use topics::{Bell, Message, PublishError, Published, Publisher, Unrung};

/// Publishes for a process's callbacks, and rings for them.
pub struct Ringer<B> {
    publisher: Publisher<'static, B>,
    /// Published, and not rung for yet. Each was put in by a thread that has this on its list, to be flushed.
    unrung: Mutex<Vec<Unrung>>,
}

impl<B: Bell + Send + Sync + 'static> Ringer<B> {
    /// Rings as `publisher` does.
    pub fn new(publisher: Publisher<'static, B>) -> Self {
        Ringer {
            publisher,
            unrung: Mutex::default(),
        }
    }

    /// Publishes. `gather` says whether it has kept what it is given, to be flushed by the calling thread, soon
    /// ([`Session::gather_for`](session::Session::gather_for)); else who waits is woken at once.
    pub fn publish(
        self: &Arc<Self>,
        message: &Message<'_>,
        gather: &dyn Fn(Arc<dyn Receiver>) -> bool,
    ) -> Result<Published, PublishError> {
        let (published, unrung) = self.publisher.publish_quietly(message)?;
        if let Some(unrung) = unrung {
            let this: Arc<dyn Receiver> = self.clone();
            match gather(this) {
                true => self.keep(unrung),
                false => self.publisher.ring(unrung),
            }
        }
        Ok(published)
    }

    fn keep(&self, unrung: Unrung) {
        let mut all = lock(&self.unrung);
        if !all.contains(&unrung) {
            all.push(unrung);
        }
    }
}

impl<B: Bell + Send + Sync> Receiver for Ringer<B> {
    fn flush_gathered(&self) {
        // Those of other threads, too: they ring for nothing then.
        let all = std::mem::take(&mut *lock(&self.unrung));
        all.into_iter()
            .for_each(|unrung| self.publisher.ring(unrung));
    }
}
