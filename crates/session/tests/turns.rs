//! Turns of a session, and what its application sends: without a server, a socket or a clock.

mod table;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use session::limits::{IN_PLACE, QUICK, WRITE};
use session::{ClosedBy, Config, Ending, Outgoing, Receiver, Refused, Session, Wait};
use table::{Call, Scene, Table, config, text};
use websocket_proto::{CloseCode, CloseFrame, Compression, MessageKind, PreparedMessage};

fn echo(session: &Session<Table>, call: &Call) {
    if let Call::Message(message) = call {
        session.send(text(message)).unwrap();
    }
}

fn silent(_: &Session<Table>, _: &Call) {}

fn messages(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{n:0100}")).collect()
}

#[test]
fn a_message_is_answered() {
    let mut scene = Scene::open(&config(), echo);
    scene.receives(&["a", "b"]);
    let wait = scene.turns();
    assert!(matches!(
        wait,
        Wait::For {
            input: true,
            output: false,
            ..
        }
    ));
    let (a, b) = (Call::Message("a".into()), Call::Message("b".into()));
    assert_eq!(scene.calls(), [Call::Open, a, b]);
    assert_eq!(scene.sent(), ["a", "b"]);
}

#[test]
fn a_large_message_is_read_into_its_own_buffer_and_what_follows_it_is_not() {
    let mut scene = Scene::open(&config(), silent);
    // The second one has the first one's buffer.
    let (large, larger) = ("large".repeat(40_000), "larger".repeat(60_000));
    let all = [&*large, "small", &larger, &large, "last"];
    scene.receives(&all);
    scene.turns();
    let messages = all.map(|message| Call::Message(message.to_owned()));
    assert!(scene.calls() == [&[Call::Open][..], &messages].concat());
    assert_eq!(scene.ends().most_asked, *IN_PLACE.end());
}

#[test]
fn what_is_wrong_with_a_large_message_closes_it() {
    let mut scene = Scene::open(&config(), silent);
    scene.receives(&[&"a".repeat(100_000)]);
    // Far behind what the first read has: some byte of its last character is none of UTF-8's.
    *scene.ends().input[0].last_mut().unwrap() ^= 0x80;
    assert_eq!(scene.turns(), Wait::Ended);
    assert!(scene.ends().most_asked > *IN_PLACE.start());
    assert_eq!(scene.sent(), ["close Some(1007)"]);
}

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
fn who_asks_to_be_called_is_called_once_and_in_a_turn() {
    let mut scene = Scene::open(&config(), |session, call| {
        if let Call::Message(_) = call {
            session.call();
            session.call();
        }
    });
    scene.receives(&["a"]);
    // A waiter that does not hear its own thread goes on all the same.
    scene.turns();
    let a = Call::Message("a".into());
    assert_eq!(scene.calls(), [Call::Open, a, Call::Called]);
    // From another thread.
    scene.table().be_thread(2);
    let wakes = scene.table().wakes.load(Ordering::Relaxed);
    scene.session.call();
    assert!(scene.table().wakes.load(Ordering::Relaxed) > wakes);
    scene.table().be_thread(1);
    scene.turns();
    assert_eq!(scene.calls().last(), Some(&Call::Called));
    assert_eq!(scene.calls().len(), 4);
    scene.receives_close(None);
    scene.turns();
    scene.session.call();
    assert_eq!(scene.turn(), Wait::Ended);
    assert!(scene.calls().ends_with(&[Call::Disconnect]));
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
fn a_timer_is_called_once_in_time() {
    let mut scene = Scene::open(&config(), silent);
    scene.turns();
    let at = session::Machine::now(scene.table()) + Duration::from_secs(2);
    assert!(scene.session.set_timer(Some(at)));
    let Wait::For { deadline, .. } = scene.turns() else {
        panic!("it is open")
    };
    assert_eq!(deadline, Some(at));
    scene.table().pass_time(Duration::from_secs(2));
    scene.turns();
    scene.turns();
    assert_eq!(scene.calls(), [Call::Open, Call::Timer]);
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

#[test]
fn a_time_is_told_once_until_the_waiter_has_forgotten_it() {
    let mut scene = Scene::open(&config(), echo);
    let told = |wait| match wait {
        Wait::For {
            deadline, is_new, ..
        } => (deadline.expect("there are pings"), is_new),
        other => panic!("{other:?}"),
    };
    let (first, is_new) = told(scene.turns());
    assert!(is_new);
    scene.table().pass_time(Duration::from_secs(1));
    scene.receives(&["a"]);
    assert_eq!(
        told(scene.turn()),
        (first, false),
        "what is due is due later, and told earlier"
    );
    scene.session.expire();
    scene.receives(&["b"]);
    let (next, is_new) = told(scene.turn());
    assert!(is_new);
    assert_eq!(next, first + Duration::from_secs(1));
    scene.receives(&["c"]);
    assert_eq!(told(scene.turn()), (next, false));
}

#[test]
fn a_turn_gives_way_behind_a_callback_that_takes_long() {
    for is_pong in [true, false] {
        let mut scene = Scene::open(&config(), |session, call| {
            if let Call::Pong(_) | Call::Message(_) = call {
                session.environment().pass_time(Duration::from_millis(50));
            }
        });
        scene.turns();
        match is_pong {
            true => scene.receives_pongs(10),
            // Each is what one read finds.
            false => (0..10).for_each(|_| scene.receives(&["late"])),
        }
        let before = scene.calls().len();
        assert_eq!(scene.turn(), Wait::Again);
        assert_eq!(scene.calls().len(), before + 1, "{:?}", scene.calls());
    }
}

#[test]
fn a_second_turn_at_once_is_taken_by_the_first() {
    let mut scene = Scene::open(&config(), |session, call| {
        if *call == Call::Open {
            let nothing = Wait::For {
                input: false,
                output: false,
                deadline: None,
                is_new: false,
            };
            assert_eq!(session.turn(&mut [0; 100], false), nothing);
        }
    });
    assert_eq!(scene.turn(), Wait::Again, "there may be more to do");
    assert!(matches!(scene.turn(), Wait::For { input: true, .. }));
    assert_eq!(scene.calls(), [Call::Open]);
}

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
