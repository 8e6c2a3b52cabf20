//! What callbacks of one session give to others.

mod table;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use session::limits::{QUICK, WRITE};
use session::{Outgoing, Receiver, Session};
use table::{Call, Scene, Table, config, silent, text};
use websocket_proto::{Compression, MessageKind, PreparedMessage};

/// A session that is kept while something is gathered for it.
struct Kept(Arc<Session<Table>>);

impl Receiver for Kept {
    fn flush_gathered(&self) {
        self.0.flush_gathered();
    }
}

/// A scene whose application passes each message on to others; `then` comes behind each.
fn passing_on(
    others: &[Scene],
    then: impl Fn(&Session<Table>, &str) + Send + Sync + 'static,
) -> Scene {
    let others: Vec<_> = others
        .iter()
        .map(|scene| Arc::clone(&scene.session))
        .collect();
    Scene::open(&config(), move |session, call| {
        if let Call::Message(message) = call {
            let kind = MessageKind::Text;
            let prepared = PreparedMessage::new(kind, message.as_bytes(), Compression::Default);
            for other in &others {
                let kept = || Some(Arc::new(Kept(Arc::clone(other))) as Arc<dyn Receiver>);
                let outgoing = Outgoing::Prepared(prepared.as_ref().unwrap());
                session.try_send_to(other, outgoing, kept).unwrap();
            }
            then(session, message);
        }
    })
}

fn listening(count: usize) -> Vec<Scene> {
    (0..count).map(|_| Scene::open(&config(), silent)).collect()
}

#[test]
fn what_is_passed_on_leaves_in_one_write_when_the_input_is_used_up() {
    let others = listening(3);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (outputs, saw) = (
        others.iter().map(|o| o.pipe.clone()).collect::<Vec<_>>(),
        Arc::clone(&seen),
    );
    let mut scene = passing_on(&others, move |_, _| {
        let written = outputs
            .iter()
            .map(|pipe| pipe.0.lock().unwrap().output.len());
        saw.lock().unwrap().push(written.sum::<usize>());
    });
    let large = "l".repeat(300);
    scene.receives(&["a", &large, "b", &large, "c"]);
    scene.turns();
    for other in &others {
        assert_eq!(other.sent(), ["a", &large, "b", &large, "c"]);
        assert_eq!(other.ends().writes, 1);
    }
    assert_eq!(*seen.lock().unwrap(), [0; 5], "and not before");
}

#[test]
fn one_message_alone_is_passed_on_at_once() {
    let others = listening(2);
    let mut scene = passing_on(&others, |_, _| {});
    for (count, message) in ["a", "b"].into_iter().enumerate() {
        scene.receives(&[message]);
        scene.turns();
        assert!(others.iter().all(|o| o.ends().writes == count + 1));
    }
}

#[test]
fn a_slow_callback_has_what_it_passed_on_written_at_once() {
    let others = listening(1);
    let output = others[0].pipe.clone();
    let mut scene = passing_on(&others, move |session, message| match message {
        "slow" => session.environment().pass_time(QUICK + WRITE),
        "behind" => assert!(!output.0.lock().unwrap().output.is_empty()),
        _ => {}
    });
    scene.receives(&["slow", "behind", "last"]);
    scene.turns();
    assert_eq!(others[0].sent(), ["slow", "behind", "last"]);
}

#[test]
fn a_slow_application_has_the_next_inputs_messages_passed_on_at_once() {
    let others = listening(1);
    let output = others[0].pipe.clone();
    let mut scene = passing_on(&others, move |session, message| {
        let writes = output.0.lock().unwrap().writes;
        match message {
            "slow" => assert_eq!(writes, 0, "nobody knows yet"),
            "slow again" => assert_eq!(writes, 3),
            "quick" => assert_eq!(writes, 5),
            "as it was" => assert_eq!(writes, 5, "one that was quick is enough"),
            _ => return,
        }
        let time = if message.starts_with("slow") { 2 } else { 0 };
        session.environment().pass_time((QUICK + WRITE) * time);
    });
    scene.receives(&["slow", "last"]);
    scene.turns();
    scene.receives(&["slow again", "last"]);
    scene.turns();
    scene.receives(&["quick", "as it was", "last"]);
    scene.turns();
    assert_eq!(others[0].sent().len(), 7, "no assertion has failed");
}

#[test]
fn who_passes_on_to_many_has_time_for_it() {
    let others = listening(100);
    let mut scene = passing_on(&others, |session, _| {
        // Longer than a turn may take that passes nothing on.
        session.environment().pass_time(QUICK * 2);
    });
    scene.receives(&["a", "b", "c"]);
    scene.turns();
    for other in &others {
        assert_eq!(other.sent(), ["a", "b", "c"]);
        assert_eq!(other.ends().writes, 1);
    }
}

#[test]
fn what_a_panicking_callback_has_passed_on_is_written_all_the_same() {
    let others = listening(2);
    let mut scene = passing_on(&others, |_, message| {
        if message == "panic" {
            std::panic::resume_unwind(Box::new(()));
        }
    });
    scene.receives(&["a", "panic", "lost"]);
    scene.turns();
    for other in &others {
        assert_eq!(other.sent(), ["a", "panic"]);
    }
}

#[test]
fn two_that_pass_on_to_one_have_all_of_it_written() {
    let others = listening(1);
    let inner = Mutex::new(passing_on(&others, |_, _| {}));
    // The second one's turn comes within the first one's callback, as on another thread.
    let mut scene = passing_on(&others, move |_, message| {
        if message == "1" {
            let mut inner = inner.lock().unwrap();
            inner.table().be_thread(2);
            inner.receives(&["x", "y"]);
            inner.turns();
        }
    });
    scene.receives(&["1", "2"]);
    scene.turns();
    assert_eq!(others[0].sent(), ["1", "x", "y", "2"]);
}

#[test]
fn a_callback_that_waits_for_its_own_peer_lets_what_it_has_passed_on_go() {
    let others = listening(1);
    let output = others[0].pipe.clone();
    let mut scene = passing_on(&others, move |session, message| {
        if message != "wait" {
            return;
        }
        let large = "x".repeat(500);
        // The table knows no waiting: it panics there.
        let waits = catch_unwind(AssertUnwindSafe(|| {
            loop {
                session.send(text(&large)).unwrap();
            }
        }));
        assert!(waits.is_err());
        assert_eq!(output.0.lock().unwrap().writes, 1);
    });
    scene.ends().room = Some(0);
    scene.receives(&["wait", "behind"]);
    scene.turns();
    assert_eq!(others[0].sent()[0], "wait");
}
