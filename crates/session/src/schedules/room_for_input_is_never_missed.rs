//! A turn that stops its input for want of room is woken when there is some.

use std::sync::Arc;

use schedules::atomic::{AtomicUsize, Ordering};
use schedules::{explore, thread};

use super::{MESSAGE, Model};
use crate::outbox::SentBy;

/// Fails when `stop_input` does not look at the outbox under the lock under which it stops, and when what leaves is
/// accounted for without a look at stopped input.
#[test]
fn while_another_thread_writes() {
    explore(|| {
        let model = Model::new(1, 0);
        let pushed = model
            .handover
            .push(MESSAGE, SentBy::Callback, false)
            .unwrap();
        model.write(pushed.holding, |_| {});
        let wakes = Arc::new(AtomicUsize::new(0));
        let poller = {
            let (model, wakes) = (Arc::clone(&model), Arc::clone(&wakes));
            thread::spawn(move || {
                model.room_comes(|progress| {
                    if progress.is_turn_due {
                        wakes.fetch_add(1, Ordering::Relaxed);
                    }
                });
            })
        };
        let has_stopped = model.handover.stop_input();
        poller.join().unwrap();
        assert_eq!(wakes.load(Ordering::Relaxed), usize::from(has_stopped));
    });
}
