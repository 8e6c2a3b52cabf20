//! A thread that sends while another has the wire: what it puts in is written by one of them.

use std::sync::Arc;

use schedules::{explore, thread};

use super::{FRAME, MESSAGE, Model, StoppedClock};
use crate::environment::Transport;
use crate::outbox::SentBy;

fn send(model: &Model) {
    let accepted = model.handover.push(MESSAGE, SentBy::Thread, false);
    model.write(accepted.unwrap().holding, |_| {});
}

/// Fails when the thread that is done with the wire puts it back without a look into the outbox.
#[test]
fn two_threads_that_send() {
    explore(|| {
        let model = Model::new(1000, usize::MAX);
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || send(&model))
        };
        send(&model);
        other.join().unwrap();
        assert_eq!(model.taken(), 2 * FRAME);
        assert_eq!(model.handover.buffered(), 0);
    });
}

/// Fails in the same way, and when a thread that is expected is not told that the wire is back.
#[test]
fn a_thread_that_sends_and_a_turn_that_reads() {
    explore(|| {
        let model = Model::new(1000, usize::MAX);
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || send(&model))
        };
        let mut holding = model.handover.hold().unwrap();
        let _ = holding.transport().read(&mut []);
        holding.give_back(&StoppedClock, |_| {});
        other.join().unwrap();
        assert_eq!(model.taken(), FRAME);
    });
}
