//! How a session ends: what its application, its peer and its transport are told.

mod table;

use std::time::Duration;

use session::{ClosedBy, Config, Ending, Refused, Wait};
use table::{Call, Scene, config, echo, messages, silent, text};
use websocket_proto::{CloseCode, CloseFrame};

#[test]
fn a_close_is_answered_and_ends_it() {
    let mut scene = Scene::open(&config(), silent);
    scene.receives_close(Some(&CloseFrame::from(CloseCode::NORMAL_CLOSURE)));
    assert_eq!(scene.turns(), Wait::Ended);
    assert_eq!(
        scene.calls(),
        [Call::Open, Call::Close(1000), Call::Disconnect]
    );
    assert_eq!(scene.sent(), ["close Some(1000)"]);
    assert_eq!(*scene.table().closed.lock().unwrap(), Some(1000));
    assert!(!scene.ends().ended.as_ref().unwrap().1);
    assert_eq!(scene.session.send(text("late")), Err(Refused::Ended));
    assert_eq!(scene.turn(), Wait::Ended, "and stays so");
}

#[test]
fn a_goodbye_that_found_no_room_gets_another_chance() {
    let mut scene = Scene::open(&config(), silent);
    scene.ends().says_goodbye = true;
    scene.receives_close(Some(&CloseFrame::from(CloseCode::NORMAL_CLOSURE)));
    assert_eq!(scene.turns(), Wait::Ended);
    assert!(!scene.ends().has_output);
    let (_, is_lost) = scene.ends().ended.clone().unwrap();
    assert!(!is_lost);
}

#[test]
fn a_peer_that_takes_nothing_is_given_up() {
    let mut scene = Scene::open(&config(), silent);
    scene.turns();
    scene.ends().room = Some(3);
    scene.session.send(text("hello")).unwrap();
    let deadline = session::Machine::now(scene.table()) + Duration::from_secs(60);
    scene.table().pass_time(Duration::from_secs(59));
    assert_eq!(scene.session.expire(), Some(deadline));
    scene.table().pass_time(Duration::from_secs(1));
    assert_eq!(scene.session.expire(), None);
    assert_eq!(scene.session.send(text("late")), Err(Refused::Ended));
    assert_eq!(scene.turns(), Wait::Ended);
    let (ending, is_lost) = scene.ends().ended.clone().unwrap();
    assert_eq!(ending, Ending::<&str>::SendTimeout.to_string());
    assert!(is_lost);
}

#[test]
fn a_silent_peer_is_pinged_then_given_up() {
    let mut scene = Scene::open(&config(), silent);
    scene.turns();
    scene.table().pass_time(Duration::from_secs(30));
    scene.turns();
    assert_eq!(scene.sent(), ["ping"]);
    scene.table().pass_time(Duration::from_secs(30));
    assert_eq!(scene.turns(), Wait::Ended);
    assert_eq!(
        scene.calls(),
        [Call::Open, Call::Close(1006), Call::Disconnect]
    );
}

#[test]
fn a_close_without_an_answer_ends_it_in_time() {
    let mut scene = Scene::open(&config(), silent);
    scene.turns();
    assert!(scene.session.close(None, ClosedBy::Operator));
    assert!(!scene.session.close(None, ClosedBy::Operator), "once");
    scene.turns();
    scene.table().pass_time(Duration::from_secs(5));
    assert_eq!(scene.turns(), Wait::Ended);
    let (ending, _) = scene.ends().ended.clone().unwrap();
    assert_eq!(ending, Ending::<&str>::CloseTimeout.to_string());
}

/// The peer has closed, and takes no more: the answer waits.
fn unanswered() -> Scene {
    let mut scene = Scene::open(&config(), silent);
    scene.turns();
    scene.ends().room = Some(3);
    scene.receives_close(Some(&CloseFrame::from(CloseCode::NORMAL_CLOSURE)));
    assert!(matches!(scene.turns(), Wait::For { output: true, .. }));
    scene
}

#[test]
fn an_end_is_clean_when_close_frames_went_both_ways() {
    let mut scene = unanswered();
    scene.ends().room = None;
    assert_eq!(scene.turns(), Wait::Ended);
    assert_eq!(*scene.table().is_clean.lock().unwrap(), Some(true));
}

#[test]
fn an_end_is_not_clean_when_the_answer_to_a_close_never_left() {
    let mut scene = unanswered();
    scene.table().pass_time(config().close_timeout);
    assert_eq!(scene.turns(), Wait::Ended);
    assert_eq!(*scene.table().is_clean.lock().unwrap(), Some(false));
    assert!(scene.calls().contains(&Call::Close(1000)), "the peer's own");

    let mut scene = unanswered();
    scene.ends().failure = Some("reset");
    assert_eq!(scene.turns(), Wait::Ended);
    assert_eq!(*scene.table().is_clean.lock().unwrap(), Some(false));

    let scene = unanswered();
    assert!(scene.session.give_up(Ending::ChildStopped));
    assert_eq!(*scene.table().is_clean.lock().unwrap(), Some(false));
}

#[test]
fn a_close_of_a_peer_that_was_given_up_answers_nothing() {
    let mut scene = Scene::open(&config(), silent);
    scene.turns();
    scene.session.stop_sending();
    scene.receives_close(Some(&CloseFrame::from(CloseCode::NORMAL_CLOSURE)));
    assert_eq!(scene.turns(), Wait::Ended);
    assert_eq!(*scene.table().is_clean.lock().unwrap(), Some(false));
    assert_eq!(scene.ends().is_answer, Some(false));
}

#[test]
fn a_process_that_stops_closes_it() {
    let mut scene = Scene::open(&config(), silent);
    scene.turns();
    let now = session::Machine::now(scene.table());
    scene.session.drain_at(now + Duration::from_secs(3));
    scene.turns();
    assert!(scene.sent().is_empty());
    scene.table().pass_time(Duration::from_secs(3));
    scene.turns();
    assert_eq!(scene.sent(), ["close Some(1001)"]);
}

#[test]
fn a_peer_that_vanishes_ends_it() {
    let mut scene = Scene::open(&config(), echo);
    scene.receives(&["last words"]);
    scene.ends().is_eof = true;
    assert_eq!(scene.turns(), Wait::Ended);
    assert_eq!(
        scene.calls()[1..],
        [
            Call::Message("last words".into()),
            Call::Close(1006),
            Call::Disconnect
        ]
    );
}

#[test]
fn a_transport_that_breaks_ends_it() {
    let mut scene = Scene::open(&config(), silent);
    scene.turns();
    scene.ends().failure = Some("reset");
    assert_eq!(scene.turns(), Wait::Ended);
    let (ending, is_lost) = scene.ends().ended.clone().unwrap();
    assert_eq!(ending, "the connection broke: reset");
    assert!(is_lost);
}

/// What has been read is handled, whatever it was held back for, when the transport breaks.
#[track_caller]
fn assert_all_is_handled(mut scene: Scene, sent: &[String]) {
    let handled = scene.calls().len() - 1;
    assert!(handled < sent.len(), "nothing is held back");
    scene.ends().failure = Some("reset");
    // As the poller does, which sees the reset.
    scene.session.resume();
    assert_eq!(scene.turns(), Wait::Ended);
    let calls = scene.calls();
    let handled = calls.iter().filter_map(|call| match call {
        Call::Message(message) => Some(message),
        _ => None,
    });
    assert!(handled.eq(sent), "{calls:?}");
    assert_eq!(
        calls[calls.len() - 2..],
        [Call::Close(1006), Call::Disconnect]
    );
}

fn receives_all(scene: &mut Scene, sent: &[String]) {
    scene.receives(&sent.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn input_that_waits_for_room_is_handled_when_the_transport_breaks() {
    let mut scene = Scene::open(&config(), |session, call| {
        if let Call::Message(message) = call {
            // It is refused once nothing can be sent any more.
            let _ = session.send(text(message));
        }
    });
    scene.ends().room = Some(0);
    let sent = messages(30);
    receives_all(&mut scene, &sent);
    scene.turns();
    assert_all_is_handled(scene, &sent);
}

#[test]
fn input_that_waits_for_its_rate_is_handled_when_the_transport_breaks() {
    let config = Config {
        rate_limit: Some((1, 1)),
        ..config()
    };
    let mut scene = Scene::open(&config, silent);
    let sent = messages(5);
    receives_all(&mut scene, &sent);
    scene.turns();
    // Something has to be written, for the failure to be seen before the next read.
    scene.ends().room = Some(0);
    scene.session.send(text("x")).unwrap();
    assert_all_is_handled(scene, &sent);
}

#[test]
fn a_transport_that_broke_is_not_written_to_again() {
    let mut scene = Scene::open(&config(), silent);
    scene.turns();
    scene.ends().failure = Some("no buffer space");
    scene.session.send(text("lost")).unwrap();
    scene.ends().failure = None;
    scene.session.resume();
    assert_eq!(scene.turns(), Wait::Ended);
    assert!(scene.sent().is_empty());
    let (ending, _) = scene.ends().ended.clone().unwrap();
    assert_eq!(ending, "the connection broke: no buffer space");
}

#[test]
fn a_session_that_never_opens_has_its_last_call_only() {
    let scene = Scene::accepted(&config(), silent);
    scene.session.fail_to_open();
    scene.session.fail_to_open();
    assert_eq!(scene.calls(), [Call::Disconnect]);
    assert!(!scene.session.give_up(Ending::ChildStopped));
}

#[test]
fn a_panic_in_a_callback_closes_it_with_1011() {
    let mut scene = Scene::open(&config(), silent);
    *scene.table().misstep.lock().unwrap() = Some(table::Misstep::OnMessage);
    scene.receives(&["a", "b"]);
    assert_eq!(scene.turns(), Wait::Ended);
    assert_eq!(scene.sent(), ["close Some(1011)"]);
    assert_eq!(
        scene.calls(),
        [Call::Open, Call::Close(1006), Call::Disconnect]
    );
}
