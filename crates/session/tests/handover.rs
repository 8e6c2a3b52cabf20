//! Who writes, who waits and who is told, one step at a time: the table of the hand-over.

mod table;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use session::handover::{Handover, Holding, Progress};
use session::limits::PASSES;
use session::outbox::{Outbox, SentBy};
use session::wire::Wire;
use session::{Buffers, Machine, Refused, ThreadId};
use table::{Pipe, text};
use websocket_proto::{MessageBudget, Role, SendingHalf};

const LIMIT: usize = 1000;
const TIMEOUT: Duration = Duration::from_secs(60);
/// Nobody needs it longer.
const FOR_EVER: Duration = Duration::from_secs(3600);

struct Scene {
    pipe: Pipe,
    handover: Handover<Pipe>,
    machine: StoppedClock,
    told: RefCell<Vec<Progress>>,
}

struct StoppedClock(Instant);

impl Machine for StoppedClock {
    fn now(&self) -> Instant {
        self.0
    }

    fn random(&self) -> u64 {
        7
    }

    fn current_thread(&self) -> ThreadId {
        ThreadId(1)
    }
}

impl Scene {
    fn new(room: Option<usize>) -> Scene {
        let pipe = Pipe::default();
        pipe.0.lock().unwrap().room = room;
        let buffers = Arc::new(Buffers::new(Arc::new(MessageBudget::new(1 << 20))));
        let outbox = Outbox::new(LIMIT, SendingHalf::new(Role::Server), Arc::clone(&buffers));
        let handover = Handover::new(outbox);
        handover.open(Wire::new(pipe.clone(), TIMEOUT, buffers));
        Scene {
            pipe,
            handover,
            machine: StoppedClock(Instant::now()),
            told: RefCell::default(),
        }
    }

    /// Puts a message in, as a thread does that has nothing to gather.
    fn push(&self, message: &str) -> Option<Holding<'_, Pipe>> {
        let accepted = self.handover.push(text(message), SentBy::Thread, false);
        accepted.unwrap().holding
    }

    fn fill(&self) {
        loop {
            match self
                .handover
                .try_push(text("0123456789"), SentBy::Thread, false)
            {
                Ok(accepted) => self.write(accepted.holding),
                Err(refused) => return assert_eq!(refused, Refused::Full),
            }
        }
    }

    fn write(&self, holding: Option<Holding<'_, Pipe>>) {
        if let Some(holding) = holding {
            holding.write(&self.machine, |progress| {
                self.told.borrow_mut().push(progress);
            });
        }
    }

    fn give_back(&self, holding: Holding<'_, Pipe>) {
        holding.give_back(&self.machine, |progress| {
            self.told.borrow_mut().push(progress);
        });
    }

    fn has_room(&self, room: usize) {
        self.pipe.0.lock().unwrap().room = Some(room);
    }

    fn written(&self) -> Vec<u8> {
        self.pipe.0.lock().unwrap().output.clone()
    }

    fn stalls(&self) -> usize {
        let told = self.told.borrow();
        told.iter().filter(|told| told.stalled.is_some()).count()
    }
}

#[test]
fn the_thread_that_puts_output_in_writes_it() {
    let scene = Scene::new(None);
    let holding = scene.push("a");
    assert!(holding.is_some());
    scene.write(holding);
    assert_eq!(scene.written(), b"\x81\x01a");
    assert_eq!(scene.handover.buffered(), 0);
}

#[test]
fn what_is_gathered_waits_until_it_is_asked_for() {
    let scene = Scene::new(None);
    let accepted = scene.handover.push(text("a"), SentBy::Callback, true);
    assert!(accepted.unwrap().holding.is_none());
    assert!(scene.written().is_empty());
    scene.write(scene.handover.take_output());
    assert_eq!(scene.written(), b"\x81\x01a");
    assert!(scene.handover.take_output().is_none());
}

#[test]
fn the_thread_that_has_the_wire_writes_what_others_put_in() {
    let scene = Scene::new(None);
    let first = scene.push("a");
    assert!(scene.push("b").is_none(), "the wire is held");
    scene.write(first);
    assert_eq!(scene.written(), b"\x81\x01a\x81\x01b");
}

#[test]
fn the_thread_that_has_looked_at_the_wire_writes_what_others_put_in() {
    let scene = Scene::new(None);
    let holding = scene.handover.hold().unwrap();
    assert!(scene.push("a").is_none());
    scene.give_back(holding);
    assert_eq!(scene.written(), b"\x81\x01a");
}

#[test]
fn a_stall_is_told_once_and_room_goes_on_with_it() {
    let scene = Scene::new(Some(2));
    scene.write(scene.push("a"));
    assert_eq!(scene.stalls(), 1);
    assert_eq!(
        scene.told.borrow().last().unwrap().stalled,
        Some(Some(scene.machine.0 + TIMEOUT / 8)),
        "when to look whether the peer takes any"
    );
    assert!(scene.handover.is_stalled());
    assert!(scene.push("b").is_none(), "the transport is full");
    scene.has_room(0);
    scene.write(scene.handover.resume());
    assert_eq!(scene.stalls(), 1, "once");
    scene.has_room(100);
    scene.write(scene.handover.resume());
    assert_eq!(scene.written(), b"\x81\x01a\x81\x01b");
    assert!(!scene.handover.is_stalled());
}

#[test]
fn room_that_comes_while_the_wire_is_held_is_not_forgotten() {
    let scene = Scene::new(Some(2));
    scene.write(scene.push("a"));
    let holding = scene.handover.hold().unwrap();
    scene.has_room(100);
    assert!(scene.handover.resume().is_none(), "another thread has it");
    scene.give_back(holding);
    assert_eq!(scene.written(), b"\x81\x01a");
}

#[test]
fn a_wire_that_is_dropped_goes_back() {
    let scene = Scene::new(None);
    drop(scene.push("a"));
    assert!(scene.handover.is_stalled(), "it has not been written");
    scene.write(scene.handover.resume());
    assert_eq!(scene.written(), b"\x81\x01a");
}

#[test]
fn input_stops_only_without_room_and_goes_on_once() {
    let scene = Scene::new(Some(0));
    assert!(!scene.handover.stop_input(), "there is room");
    while scene
        .handover
        .push(text("0123456789"), SentBy::Callback, false)
        .map(|accepted| scene.write(accepted.holding))
        .is_ok()
    {}
    assert!(!scene.handover.seems_to_have_room());
    assert!(scene.handover.stop_input());
    scene.told.borrow_mut().clear();
    scene.has_room(10_000);
    scene.write(scene.handover.resume());
    let told = scene.told.borrow();
    assert_eq!(told.iter().filter(|told| told.is_turn_due).count(), 1);
    assert!(scene.handover.seems_to_have_room());
}

#[test]
fn an_application_that_was_refused_is_told_of_room_once() {
    let scene = Scene::new(Some(0));
    scene.fill();
    scene.told.borrow_mut().clear();
    scene.has_room(10_000);
    scene.write(scene.handover.resume());
    let told = scene.told.borrow();
    assert_eq!(told.iter().filter(|told| told.has_wanted_room).count(), 1);
}

#[test]
fn a_thread_that_waits_goes_on_when_there_is_room() {
    let scene = Scene::new(Some(0));
    scene.fill();
    let handover = &scene.handover;
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| handover.wait_for_room(text("x"), FOR_EVER));
        scene.has_room(100);
        scene.write(scene.handover.resume());
        waiting.join().unwrap();
    });
    assert!(handover.push(text("x"), SentBy::Thread, false).is_ok());
}

#[test]
fn a_thread_that_waits_looks_at_a_full_transport_itself() {
    let scene = Scene::new(Some(0));
    scene.fill();
    assert!(
        scene
            .handover
            .wait_for_room(text("x"), Duration::from_millis(1))
    );
}

#[test]
fn a_thread_that_waits_goes_on_when_it_is_over() {
    for end in [
        |handover: &Handover<Pipe>| assert!(handover.end()),
        |handover: &Handover<Pipe>| drop(handover.push_close(None, || ()).unwrap()),
        |handover: &Handover<Pipe>| handover.peer_is_gone(),
    ] {
        let scene = Scene::new(Some(0));
        scene.fill();
        let handover = &scene.handover;
        std::thread::scope(|scope| {
            scope.spawn(|| handover.wait_for_room(text("x"), FOR_EVER));
            end(handover);
        });
        let pushed = handover.push(text("x"), SentBy::Thread, false);
        assert_eq!(pushed.map(drop), Err(Refused::Ended));
    }
}

#[test]
fn a_write_that_finds_the_transport_broken_has_the_turn_find_the_end() {
    let scene = Scene::new(Some(0));
    scene.fill();
    scene.pipe.0.lock().unwrap().failure = Some("reset");
    let handover = &scene.handover;
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| handover.wait_for_room(text("x"), FOR_EVER));
        scene.write(scene.handover.resume());
        waiting.join().unwrap();
    });
    scene.write(scene.handover.resume());
    let told = scene.told.borrow();
    assert_eq!(told.iter().filter(|told| told.is_turn_due).count(), 1);
}

#[test]
fn a_callback_waits_for_a_transport_that_is_full_and_for_no_other() {
    let scene = Scene::new(Some(0));
    let waits = || scene.handover.must_wait_for_transport(text("x")).is_some();
    scene.fill();
    assert!(!waits(), "it has room of its own");
    let large = "x".repeat(2 * LIMIT);
    let pushed = scene.handover.push(text(&large), SentBy::Callback, false);
    scene.write(pushed.unwrap().holding);
    assert!(waits());
    scene.has_room(LIMIT);
    assert!(waits(), "the poller tells");
    scene.write(scene.handover.resume());
    assert!(waits(), "too little has gone");
    scene.has_room(LIMIT);
    scene.write(scene.handover.resume());
    assert!(!waits());
}

#[test]
fn an_expected_thread_gets_the_wire_before_those_that_only_write() {
    let scene = Scene::new(None);
    let first = scene.push("a").unwrap();
    let handover = &scene.handover;
    std::thread::scope(|scope| {
        let look = scope.spawn(|| {
            let mut holding = handover.hold().unwrap();
            let before = holding.look(|wire| wire.bytes_sent());
            drop(holding);
            before
        });
        scene.write(Some(first));
        assert_eq!(look.join().unwrap(), 3);
    });
}

#[test]
fn a_wire_that_was_given_back_for_good_takes_nothing() {
    let scene = Scene::new(None);
    assert!(scene.handover.close().is_some());
    assert!(scene.handover.close().is_none());
    assert!(scene.handover.hold().is_none());
    assert!(scene.push("a").is_none());
    let sight = scene.handover.look(scene.machine.0);
    assert!(sight.is_idle && !sight.has_output);
}

impl Scene {
    /// One thread writes a message, and others put in more of the same as often as it has told of a write; what they `begin`
    /// finds both in. Says how often it has written.
    fn write_while_others_send(&self, message: &str, begin: impl FnOnce()) -> usize {
        let push = || self.handover.push(text(message), SentBy::Callback, false);
        let holding = push().unwrap().holding.expect("the wire is free");
        push().unwrap();
        begin();
        let writes = std::cell::Cell::new(0);
        holding.write(&self.machine, |progress| {
            writes.set(writes.get() + 1);
            if !progress.is_turn_due {
                assert!(push().unwrap().holding.is_none(), "the wire is held");
            }
        });
        writes.get()
    }
}

#[test]
fn a_thread_writes_for_others_for_so_long_and_leaves_the_rest_to_a_turn() {
    let scene = Scene::new(None);
    let writes = scene.write_while_others_send("x", || ());
    assert_eq!(writes, PASSES as usize + 1);
    assert_eq!(scene.handover.buffered(), 3, "some is left");
    assert!(!scene.handover.is_at_rest(), "a turn is to see it");
    let sight = scene.handover.look(scene.machine.0);
    assert!(sight.is_idle && sight.has_output);
    scene.write(scene.handover.resume());
    assert_eq!(scene.handover.buffered(), 0);
}

#[test]
fn what_is_left_is_written_by_the_next_thread_that_sends() {
    let scene = Scene::new(None);
    scene.write_while_others_send("x", || ());
    scene.write(scene.push("y"));
    assert_eq!(scene.handover.buffered(), 0);
}

#[test]
fn what_is_left_is_taken_by_a_thread_that_waits_for_room() {
    let scene = Scene::new(None);
    let large = "x".repeat(LIMIT);
    let handover = &scene.handover;
    let wait = || {
        handover.wait_for_room(text("y"), FOR_EVER);
        let holding = handover.take_output().expect("it is left to this thread");
        holding.write(&StoppedClock(Instant::now()), |_| {});
    };
    std::thread::scope(|scope| {
        scene.write_while_others_send(&large, || {
            scope.spawn(wait);
        });
    });
    assert_eq!(scene.handover.buffered(), 0);
}
