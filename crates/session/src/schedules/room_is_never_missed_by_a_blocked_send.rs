//! Room for a blocked `send`: it goes on when output leaves, or when there will never be any room.

use std::cell::Cell;
use std::sync::Arc;

use schedules::{explore, thread};

use websocket_proto::{Compression, MessageKind};

use super::{FRAME, MESSAGE, Model};
use crate::limits::DEAF;
use crate::outbox::{Outgoing, SentBy};

/// The outbox is full, and the transport takes nothing.
fn full() -> Arc<Model> {
    let model = Model::new(1, 0);
    let pushed = model.handover.push(MESSAGE, SentBy::Thread, false);
    model.write(pushed.unwrap().holding, |_| {});
    model
}

fn blocked(model: &Arc<Model>) -> thread::JoinHandle<bool> {
    let model = Arc::clone(model);
    thread::spawn(move || model.handover.wait_for_room(MESSAGE, DEAF))
}

/// Fails when what leaves is accounted for without a word to those who wait.
#[test]
fn when_room_comes() {
    explore(|| {
        let model = full();
        let blocked = blocked(&model);
        model.room_comes(|_| {});
        blocked.join().unwrap();
    });
}

/// Fails when `end` tells nobody.
#[test]
fn when_it_ends() {
    explore(|| {
        let model = full();
        let blocked = blocked(&model);
        model.handover.end();
        blocked.join().unwrap();
    });
}

/// Fails when `push_close` tells nobody.
#[test]
fn when_it_is_closed() {
    explore(|| {
        let model = full();
        let blocked = blocked(&model);
        drop(model.handover.push_close(None, || ()).unwrap());
        blocked.join().unwrap();
    });
}

/// Fails when `peer_is_gone` tells nobody.
#[test]
fn when_the_peer_is_gone() {
    explore(|| {
        let model = full();
        let blocked = blocked(&model);
        model.handover.peer_is_gone();
        blocked.join().unwrap();
    });
}

/// Fails when a write that finds the transport broken tells nobody.
#[test]
fn when_the_transport_breaks() {
    explore(|| {
        let model = full();
        let blocked = blocked(&model);
        let is_turn_due = Cell::new(false);
        model.breaks(|progress| is_turn_due.set(is_turn_due.get() | progress.is_turn_due));
        blocked.join().unwrap();
        assert!(is_turn_due.get(), "the turn is to find the end");
    });
}

/// Room for a message that has to wait for the end of one in parts: it is there when what is queued has left, though that
/// was never more than the limit by itself.
///
/// Fails when only what is queued is compared with the limit when output leaves.
#[test]
fn when_room_comes_behind_a_message_in_parts() {
    explore(|| {
        let model = Model::new(200, 0);
        let kind = MessageKind::Binary;
        let part = Outgoing::Fragment {
            kind,
            payload: &[0; 100],
            is_final: false,
        };
        let pushed = model.handover.push(part, SentBy::Thread, false);
        model.write(pushed.unwrap().holding, |_| {});
        let held_up = Outgoing::Message(kind, Compression::Default, &[0; 100]);
        let pushed = model.handover.push(held_up, SentBy::Thread, false);
        assert!(pushed.unwrap().holding.is_none());
        let blocked = blocked(&model);
        model.room_comes(|_| {});
        blocked.join().unwrap();
    });
}

/// A thread that has written for others for long enough leaves the rest, of which there is as much as ever: the blocked one goes
/// on with it.
///
/// Fails when a thread that has done its share puts the wire back without asking for a turn.
#[test]
fn when_another_thread_leaves_output() {
    explore(|| {
        let model = Model::new(FRAME, usize::MAX);
        let push = |model: &Model| {
            let pushed = model.handover.push(MESSAGE, SentBy::Callback, false);
            drop(pushed.unwrap().holding);
        };
        let first = model.handover.push(MESSAGE, SentBy::Callback, false);
        push(&model);
        let blocked = {
            let model = Arc::clone(&model);
            thread::spawn(move || {
                model.handover.wait_for_room(MESSAGE, DEAF);
                model.write(model.handover.take_output(), |_| {});
            })
        };
        model.write(first.unwrap().holding, |progress| {
            if !progress.is_turn_due {
                push(&model);
            }
        });
        blocked.join().unwrap();
    });
}
