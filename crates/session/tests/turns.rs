//! Turns of a session: what it calls its application for, when, and on which thread.

mod table;

use std::sync::atomic::Ordering;
use std::time::Duration;

use session::Wait;
use session::limits::IN_PLACE;
use table::{Call, Scene, config, echo, silent};

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
    scene.receives(&[&"a".repeat(300_000)]);
    // Far behind what the first read has: some byte of its last character is none of UTF-8's.
    *scene.ends().input[0].last_mut().unwrap() ^= 0x80;
    assert_eq!(scene.turns(), Wait::Ended);
    assert!(scene.ends().most_asked > *IN_PLACE.start());
    assert_eq!(scene.sent(), ["close Some(1007)"]);
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
