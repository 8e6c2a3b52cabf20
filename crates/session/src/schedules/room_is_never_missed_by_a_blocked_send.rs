//! Room for a blocked `send`: it goes on when output leaves, or when there will never be any room.

use std::sync::Arc;

use schedules::{explore, thread};

use super::{MESSAGE, Model};
use crate::outbox::SentBy;

/// The outbox is full, and the transport takes nothing.
fn full() -> Arc<Model> {
    let model = Model::new(1, 0);
    let pushed = model.handover.push(MESSAGE, SentBy::Thread, false);
    model.write(pushed.unwrap().holding, |_| {});
    model
}

fn blocked(model: &Arc<Model>) -> thread::JoinHandle<()> {
    let model = Arc::clone(model);
    thread::spawn(move || model.handover.wait_for_room(MESSAGE, SentBy::Thread))
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
        drop(model.handover.push_close(None).unwrap());
        blocked.join().unwrap();
    });
}
