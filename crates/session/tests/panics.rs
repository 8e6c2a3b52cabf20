//! A panic, wherever it happens, ends a session as every other end does: the application has its last call once, the
//! figures and the transport are told.

mod table;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use session::{ClosedBy, Ending, Session, Wait};
use table::{Call, Misstep, Scene, Table, config, silent, text};

fn scene(misstep: Misstep) -> Scene {
    let mut scene = Scene::open(&config(), silent);
    scene.turns();
    *scene.table().misstep.lock().unwrap() = Some(misstep);
    scene
}

#[track_caller]
fn assert_has_ended(mut scene: Scene) {
    assert!(
        scene.table().misstep.lock().unwrap().is_none(),
        "there was a panic"
    );
    let disconnects = scene
        .calls()
        .iter()
        .filter(|call| **call == Call::Disconnect)
        .count();
    assert_eq!(disconnects, 1);
    assert_eq!(scene.calls().last(), Some(&Call::Disconnect));
    assert!(scene.ends().ended.is_some(), "the transport is told");
    assert_eq!(scene.turn(), Wait::Ended);
    assert!(scene.session.take_transport().is_some());
}

#[test]
fn in_a_callback() {
    let mut scene = scene(Misstep::OnMessage);
    scene.receives(&["a"]);
    assert_eq!(scene.turns(), Wait::Ended);
    assert_eq!(scene.sent(), ["close Some(1011)"]);
    assert_has_ended(scene);
}

#[test]
fn behind_the_callbacks_of_a_turn() {
    // What a turn looks at when it knows what has come: it closes, because its process stops.
    let mut scene = scene(Misstep::Closing);
    let now = session::Machine::now(scene.table());
    scene.session.drain_at(now);
    assert_eq!(scene.turns(), Wait::Ended);
    assert_has_ended(scene);
}

#[test]
fn when_the_waiter_is_woken_behind_the_callbacks_of_a_turn() {
    let mut scene = scene(Misstep::OnMessage);
    *scene.table().misstep.lock().unwrap() = None;
    let now = session::Machine::now(scene.table());
    scene.session.drain_at(now);
    *scene.table().misstep.lock().unwrap() = Some(Misstep::Wake);
    assert_eq!(scene.turns(), Wait::Ended);
    assert_has_ended(scene);
}

#[test]
fn in_a_read() {
    let mut scene = scene(Misstep::Read);
    assert_eq!(scene.turns(), Wait::Ended);
    assert_eq!(scene.sent(), ["close Some(1011)"]);
    assert_has_ended(scene);
}

#[test]
fn in_a_write_of_a_turn() {
    let mut scene = scene(Misstep::Write);
    scene.receives_ping(b"answer me");
    assert_eq!(scene.turns(), Wait::Ended);
    assert_eq!(scene.sent(), ["pong answer me", "close Some(1011)"]);
    assert_has_ended(scene);
}

#[test]
fn in_a_flush_of_a_turn() {
    let mut scene = scene(Misstep::Flush);
    scene.ends().holds_back = true;
    scene.receives_ping(b"answer me");
    assert_eq!(scene.turns(), Wait::Ended);
    assert_eq!(scene.sent(), ["pong answer me", "close Some(1011)"]);
    assert_has_ended(scene);
}

/// Another thread's call panics: it is that thread's to catch, and a turn is asked for that ends the session.
#[track_caller]
fn panics_elsewhere(scene: &mut Scene, call: impl FnOnce(&Session<Table>)) {
    let wakes = || scene.table().wakes.load(Ordering::Relaxed);
    let before = wakes();
    scene.table().be_thread(2);
    let outcome = catch_unwind(AssertUnwindSafe(|| call(&scene.session)));
    assert!(outcome.is_err(), "there was a panic");
    assert!(wakes() > before, "a turn is asked for");
    scene.table().be_thread(1);
}

#[test]
fn in_a_write_of_another_thread() {
    let mut scene = scene(Misstep::Write);
    panics_elsewhere(&mut scene, |session| {
        let _ = session.send(text("lost?"));
    });
    assert_eq!(scene.turns(), Wait::Ended);
    assert_eq!(scene.sent(), ["lost?", "close Some(1011)"]);
    assert_has_ended(scene);
}

#[test]
fn in_a_flush_of_another_thread() {
    let mut scene = scene(Misstep::Flush);
    scene.ends().holds_back = true;
    panics_elsewhere(&mut scene, |session| {
        let _ = session.try_send(text("lost?"));
    });
    assert_eq!(scene.turns(), Wait::Ended);
    assert_eq!(scene.sent(), ["lost?", "close Some(1011)"]);
    assert_has_ended(scene);
}

#[test]
fn when_a_stall_is_told_on_another_thread() {
    let mut scene = scene(Misstep::Stalled);
    scene.ends().room = Some(1);
    panics_elsewhere(&mut scene, |session| {
        let _ = session.send(text("lost?"));
    });
    scene.ends().room = None;
    assert_eq!(scene.turns(), Wait::Ended);
    assert_eq!(scene.sent(), ["lost?", "close Some(1011)"]);
    assert_has_ended(scene);
}

#[test]
fn when_another_thread_closes() {
    let mut scene = scene(Misstep::Closing);
    panics_elsewhere(&mut scene, |session| {
        session.close(None, ClosedBy::Operator);
    });
    assert_eq!(scene.turns(), Wait::Ended);
    assert_eq!(scene.sent(), ["close None"], "one is enough");
    assert_has_ended(scene);
}

#[test]
fn in_a_shutdown() {
    let mut scene = scene(Misstep::Shut);
    scene.ends().is_eof = true;
    assert_eq!(scene.turns(), Wait::Ended);
    assert_has_ended(scene);
}

#[test]
fn when_a_stall_is_told() {
    let mut scene = scene(Misstep::Stalled);
    scene.ends().room = Some(1);
    scene.receives_ping(b"answer me");
    scene.turn();
    // A peer that takes nothing is given up in time, as ever.
    scene.table().pass_time(config().close_timeout);
    assert_eq!(scene.turns(), Wait::Ended);
    assert_has_ended(scene);
}

#[test]
fn in_on_close() {
    let mut scene = scene(Misstep::OnClose);
    scene.ends().is_eof = true;
    assert_eq!(scene.turns(), Wait::Ended);
    assert_eq!(*scene.table().closed.lock().unwrap(), Some(1006));
    assert_has_ended(scene);
}

#[test]
fn in_on_disconnect() {
    let mut scene = scene(Misstep::OnDisconnect);
    scene.ends().is_eof = true;
    assert_eq!(scene.turns(), Wait::Ended);
    assert_eq!(*scene.table().closed.lock().unwrap(), Some(1006));
    assert_has_ended(scene);
}

#[test]
fn in_the_figures() {
    let mut scene = scene(Misstep::Closed);
    scene.ends().is_eof = true;
    assert_eq!(scene.turns(), Wait::Ended);
    assert_has_ended(scene);
}

#[test]
fn in_on_disconnect_of_a_session_that_is_given_up() {
    let scene = scene(Misstep::OnDisconnect);
    assert!(scene.session.give_up(Ending::ChildStopped));
    assert!(!scene.session.give_up(Ending::ChildStopped));
    assert_has_ended(scene);
}

#[test]
fn a_close_of_another_thread_afterwards_is_refused() {
    let mut scene = scene(Misstep::OnMessage);
    scene.receives(&["a"]);
    scene.turns();
    scene.table().be_thread(2);
    assert!(!scene.session.close(None, ClosedBy::Operator));
    assert_has_ended(scene);
}

/// A plugin's own guard may be what catches it: then the turn goes on as if nothing had been, and nobody wakes its thread.
#[test]
fn in_a_write_of_a_callback_that_keeps_it_to_itself() {
    let mut scene = Scene::open(&config(), |session, call| {
        if let Call::Message(_) = call {
            let sent = catch_unwind(AssertUnwindSafe(|| session.send(text("lost?"))));
            assert!(sent.is_err(), "there was a panic");
        }
    });
    scene.turns();
    *scene.table().misstep.lock().unwrap() = Some(Misstep::Write);
    scene.receives(&["a"]);
    assert_eq!(scene.turns(), Wait::Ended);
    assert_eq!(scene.sent(), ["lost?", "close Some(1011)"]);
    assert_has_ended(scene);
}

#[test]
fn in_the_figures_of_a_thread_that_sends() {
    let mut scene = scene(Misstep::Queued);
    panics_elsewhere(&mut scene, |session| {
        let _ = session.try_send(text("lost?"));
    });
    assert_eq!(scene.turns(), Wait::Ended);
    assert_eq!(scene.sent(), ["lost?", "close Some(1011)"]);
    assert_has_ended(scene);
}

#[test]
fn in_a_look_at_the_transport_with_output_beside_it() {
    let mut scene = scene(Misstep::OnMessage);
    *scene.table().misstep.lock().unwrap() = None;
    panics_elsewhere(&mut scene, |session| {
        session.with_transport(|_| {
            session.send(text("lost?")).unwrap();
            std::panic::resume_unwind(Box::new(()));
        });
    });
    assert_eq!(scene.turns(), Wait::Ended);
    assert_eq!(scene.sent(), ["lost?", "close Some(1011)"]);
    assert_has_ended(scene);
}
