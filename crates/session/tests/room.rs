//! Room for what a session sends: what waits for it, and is told of it.

mod table;

use std::sync::atomic::Ordering;
use std::time::Duration;

use session::{Config, Outgoing, Refused, Wait};
use table::{Call, Scene, config, echo, messages, silent, text};
use websocket_proto::MessageKind;

#[test]
fn input_waits_until_its_answers_have_room() {
    let mut scene = Scene::open(&config(), echo);
    scene.ends().room = Some(150);
    let sent = messages(40);
    scene.receives(&sent.iter().map(String::as_str).collect::<Vec<_>>());
    let wait = scene.turns();
    assert!(matches!(
        wait,
        Wait::For {
            input: false,
            output: true,
            ..
        }
    ));
    assert!(
        scene.session.buffered() >= 2000,
        "callbacks have twice the room"
    );
    let handled = scene.calls().len();
    assert!(handled < 40, "{handled}");

    scene.ends().room = None;
    scene.session.resume();
    assert!(
        scene.table().wakes.load(Ordering::Relaxed) > 0,
        "there is more to handle"
    );
    scene.turns();
    assert_eq!(scene.sent(), sent);
}

#[test]
fn input_waits_when_its_answers_wait_for_the_end_of_a_message_in_parts() {
    let part = |payload, is_final| Outgoing::Fragment {
        kind: MessageKind::Text,
        payload,
        is_final,
    };
    let mut scene = Scene::open(&config(), echo);
    scene.turns();
    scene.table().be_thread(2);
    scene.session.send(part(b"a", false)).unwrap();
    scene.table().be_thread(1);
    scene.receives(&[""; 100]);
    scene.turns();
    let handled = scene.calls().len();
    assert!(handled < 40, "{handled}");
    scene.table().pass_time(Duration::from_secs(1));
    let wait = scene.turns();
    assert!(matches!(wait, Wait::For { input: false, .. }));
    assert_eq!(scene.calls().len(), handled);

    let wakes = scene.table().wakes.load(Ordering::Relaxed);
    scene.table().be_thread(2);
    scene.session.send(part(b"b", true)).unwrap();
    assert!(scene.table().wakes.load(Ordering::Relaxed) > wakes);
    scene.table().be_thread(1);
    scene.turns();
    let sent = scene.sent();
    assert_eq!((sent[0].as_str(), sent.len()), ("ab", 101));
}

#[test]
fn room_that_comes_on_another_thread_asks_for_a_turn() {
    let mut scene = Scene::open(&config(), silent);
    scene.turns();
    scene.ends().room = Some(0);
    scene.table().be_thread(2);
    let sent = messages(30);
    let mut count = 0;
    while scene.session.try_send(text(&sent[count])) == Ok(()) {
        count += 1;
    }
    assert!(count >= 10, "{count}");
    assert_eq!(scene.session.try_send(text("x")), Err(Refused::Full));
    assert!(scene.table().stalls.load(Ordering::Relaxed) > 0);
    let wakes = scene.table().wakes.load(Ordering::Relaxed);
    scene.ends().room = None;
    scene.session.resume();
    assert!(scene.table().wakes.load(Ordering::Relaxed) > wakes);
    scene.table().be_thread(1);
    scene.turns();
    assert_eq!(scene.calls(), [Call::Open, Call::Writable]);
    assert_eq!(scene.sent(), sent[..count]);
}

#[test]
fn room_is_there_or_is_told_of() {
    let mut scene = Scene::open(&config(), silent);
    scene.turns();
    assert!(scene.session.has_room());
    scene.ends().room = Some(0);
    scene.table().be_thread(2);
    while scene.session.has_room() {
        scene.session.gather(text(&messages(1)[0])).unwrap();
        scene.session.flush();
    }
    scene.ends().room = None;
    scene.session.resume();
    scene.table().be_thread(1);
    scene.turns();
    assert_eq!(scene.calls(), [Call::Open, Call::Writable]);
    assert!(scene.session.has_room());
}

#[test]
fn what_is_sent_before_it_is_open_goes_out_with_the_first_turn() {
    let mut scene = Scene::accepted(&config(), silent);
    scene.session.send(text("early")).unwrap();
    scene.session.open(scene.pipe.clone());
    scene.turns();
    assert_eq!(scene.sent(), ["early"]);
}

fn message_timeout(seconds: u64) -> Config {
    Config {
        message_timeout: Duration::from_secs(seconds),
        ..config()
    }
}

/// A message that has begun, and may be unfinished for 10 seconds; then pings whose answers nobody takes, so that nothing
/// is read for twice as long.
fn begun_and_stopped(rest: Option<&str>) -> Scene {
    let mut scene = Scene::open(&message_timeout(10), silent);
    scene.receives_part("begun, ", false);
    scene.turns();
    scene.ends().room = Some(0);
    for _ in 0..30 {
        scene.receives_ping(&[b'x'; 100]);
    }
    if let Some(rest) = rest {
        scene.receives_part(rest, true);
    }
    for _ in 0..20 {
        assert!(matches!(scene.turns(), Wait::For { input: false, .. }));
        assert!(!scene.session.has_ended(), "the peer cannot be late");
        scene.table().pass_time(Duration::from_secs(1));
    }
    scene.ends().room = None;
    scene.session.resume();
    scene
}

#[test]
fn a_message_is_not_late_while_input_waits_for_room() {
    let mut scene = begun_and_stopped(Some("done"));
    scene.turns();
    let last = scene.calls().pop();
    assert_eq!(last, Some(Call::Message("begun, done".to_owned())));
}

#[test]
fn a_message_has_the_rest_of_its_time_when_input_goes_on() {
    let mut scene = begun_and_stopped(None);
    scene.turns();
    scene.table().pass_time(Duration::from_secs(9));
    scene.turns();
    assert!(!scene.session.has_ended());
    scene.table().pass_time(Duration::from_secs(1));
    scene.turns();
    assert_eq!(scene.sent().pop().unwrap(), "close Some(1008)");
}

#[test]
fn a_message_is_not_late_while_input_waits_for_its_rate() {
    let config = Config {
        rate_limit: Some((1, 1)),
        ..message_timeout(2)
    };
    let mut scene = Scene::open(&config, silent);
    scene.receives_part("begun, ", false);
    for _ in 0..5 {
        scene.receives_ping(b"this counts");
    }
    scene.receives_part("done", true);
    for _ in 0..6 {
        scene.turns();
        assert!(!scene.session.has_ended(), "the peer cannot be late");
        scene.table().pass_time(Duration::from_secs(1));
    }
    scene.turns();
    let last = scene.calls().pop();
    assert_eq!(last, Some(Call::Message("begun, done".to_owned())));
}
