//! A thread that sends while another has the wire: what it puts in is written by one of them.

use std::cell::Cell;
use std::sync::Arc;

use schedules::atomic::{AtomicBool, Ordering};
use schedules::{explore, thread};

use super::{FRAME, MESSAGE, Model, StoppedClock};
use crate::environment::Transport;
use crate::limits::PASSES;
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

/// What is left is left to a turn that is asked for.
///
/// Fails when a thread that has done its share puts the wire back without asking for a turn.
#[test]
fn by_a_thread_that_has_written_for_others_for_long_enough() {
    explore(|| {
        let model = Model::new(1000, usize::MAX);
        let is_turn_due = Arc::new(AtomicBool::new(false));
        let other = {
            let (model, is_turn_due) = (Arc::clone(&model), Arc::clone(&is_turn_due));
            thread::spawn(move || {
                let pushed = model.handover.push(MESSAGE, SentBy::Thread, false);
                model.write(pushed.unwrap().holding, |progress| {
                    is_turn_due.fetch_or(progress.is_turn_due, Ordering::Relaxed);
                });
            })
        };
        let pushed = model.handover.push(MESSAGE, SentBy::Thread, false);
        let more = Cell::new(PASSES + 1);
        model.write(pushed.unwrap().holding, |progress| {
            is_turn_due.fetch_or(progress.is_turn_due, Ordering::Relaxed);
            if more.get() > 0 && !progress.is_turn_due {
                more.set(more.get() - 1);
                let pushed = model.handover.push(MESSAGE, SentBy::Thread, false);
                model.write(pushed.unwrap().holding, |progress| {
                    is_turn_due.fetch_or(progress.is_turn_due, Ordering::Relaxed);
                });
            }
        });
        other.join().unwrap();
        let is_left = model.handover.buffered() > 0;
        assert!(!is_left || is_turn_due.load(Ordering::Relaxed));
    });
}
