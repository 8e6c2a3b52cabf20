//! The stall and the room that comes: the poller says room once, whoever has the wire then, and all output leaves.

use std::sync::Arc;

use schedules::{explore, thread};

use super::{FRAME, MESSAGE, Model, StoppedClock};
use crate::outbox::SentBy;

/// Fails when `resume` leaves no word with a thread that has the wire.
#[test]
fn a_thread_that_looks_at_a_stalled_wire() {
    explore(|| {
        let model = Model::new(1000, 1);
        let pushed = model.handover.push(MESSAGE, SentBy::Thread, false).unwrap();
        model.write(pushed.holding, |_| {});
        let poller = {
            let model = Arc::clone(&model);
            thread::spawn(move || model.room_comes(|_| {}))
        };
        let mut holding = model.handover.hold().unwrap();
        holding.look(|_| {});
        holding.give_back(&StoppedClock, |_| {});
        poller.join().unwrap();
        assert_eq!(model.taken(), FRAME);
    });
}

/// Fails when `resume` does nothing while the wire is stalled.
#[test]
fn a_thread_that_sends() {
    explore(|| {
        let model = Model::new(1000, 1);
        let poller = {
            let model = Arc::clone(&model);
            thread::spawn(move || model.room_comes(|_| {}))
        };
        let pushed = model.handover.push(MESSAGE, SentBy::Thread, false).unwrap();
        model.write(pushed.holding, |_| {});
        poller.join().unwrap();
        assert_eq!(model.taken(), FRAME);
        assert!(!model.handover.is_stalled());
    });
}
