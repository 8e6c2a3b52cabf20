//! Children, and their subscribers.

use topics::{ClaimError, SubscribeError, Sweeping};

use super::*;

#[test]
fn subscribers_are_counted_over_all_children() {
    let log = log(SMALL);
    let children: Vec<_> = (1..=3)
        .map(|number| log.claim(owner(number), |_| true).unwrap())
        .collect();
    let mut held = Vec::new();
    for (index, child) in children.iter().enumerate() {
        for _ in 0..=index {
            held.push((index, child.subscribe(&topic("a")).unwrap().0));
        }
        assert_eq!(child.subscribers(&topic("a")), Ok(index as u64 + 1));
    }
    assert_eq!(
        send(log, &message(&topic("a"), b"")).unwrap().subscribers,
        6
    );
    assert_eq!(
        send(log, &message(&topic("b"), b"")).unwrap().subscribers,
        0
    );
    for (index, subscription) in held {
        children[index].unsubscribe(subscription).unwrap();
    }
    assert_eq!(
        send(log, &message(&topic("a"), b"")).unwrap().subscribers,
        0
    );
}

#[test]
fn the_dead_do_not_count() {
    let log = log(SMALL);
    let one = log.claim(owner(1), |_| true).unwrap();
    let two = log.claim(owner(2), |_| true).unwrap();
    let _held = [
        one.subscribe(&topic("a")).unwrap().0,
        two.subscribe(&topic("a")).unwrap().0,
    ];
    assert_eq!(log.sweep(|_| true), Ok(0));
    assert_eq!(log.sweep(|process| process != owner(1)), Ok(1));
    assert_eq!(log.history(&topic("a")).unwrap().unwrap().subscribers(), 1);
    assert_eq!(
        one.subscribe(&topic("a")).err(),
        Some(SubscribeError::SeatLost)
    );
    // Whoever takes the seat begins with nothing, and is not taken for the dead one.
    let three = log.claim(owner(3), |_| true).unwrap();
    assert_eq!(three.index(), one.index());
    assert_eq!(three.subscribers(&topic("a")), Ok(0));
    let _kept = three.subscribe(&topic("a")).unwrap().0;
    assert_eq!(one.leave(), Ok(()));
    assert_eq!(log.history(&topic("a")).unwrap().unwrap().subscribers(), 2);
}

#[test]
fn seats_are_bounded_and_a_dead_childs_is_taken() {
    let log = log(SMALL);
    for number in 1..=SMALL.seats as u64 {
        let _ = log.claim(owner(number), |_| true).unwrap();
    }
    assert_eq!(log.claim(owner(9), |_| true).err(), Some(ClaimError::Full));
    assert_eq!(
        log.claim(owner(9), |process| process != owner(3))
            .unwrap()
            .index(),
        2
    );
    let children = log.figures().children;
    assert_eq!(children.len(), SMALL.seats);
    assert_eq!(children[2].owner, owner(9));
}

#[test]
fn who_claims_a_seat_sweeps() {
    let log = log(SMALL);
    let dead = log.claim(owner(1), |_| true).unwrap();
    let _held = dead.subscribe(&topic("a")).unwrap().0;
    let new = log.claim(owner(2), |process| process != owner(1));
    assert_eq!(new.unwrap().index(), dead.index());
    assert_eq!(log.history(&topic("a")).unwrap().unwrap().subscribers(), 0);
}

/// Does it while another thread has the log's lock.
fn while_held<T>(log: Log<'static>, work: impl FnOnce() -> T) -> T {
    let (has_it, begins) = std::sync::mpsc::channel();
    let (end, ends) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            log.hold_lock(|| {
                has_it.send(()).unwrap();
                // Or it is given up.
                let _ = ends.recv();
            });
        });
        begins.recv().unwrap();
        let done = work();
        end.send(()).unwrap();
        done
    })
}

#[test]
fn a_sweep_that_is_not_possible_is_made_up_for() {
    let log = log(SMALL);
    let dead = log.claim(owner(1), |_| true).unwrap();
    let _held = dead.subscribe(&topic("a")).unwrap().0;
    let subscribers = || log.history(&topic("a")).unwrap().unwrap().subscribers();
    let sweeping = Sweeping::new();
    log.note_death();
    let settle = || sweeping.settle(&log, |_| false, &Mute);
    while_held(log, settle);
    assert_eq!(subscribers(), 1);
    settle();
    assert_eq!(subscribers(), 0);
    // Nobody looks for the dead again until somebody is said to have ended.
    let late = log.claim(owner(2), |_| true).unwrap();
    let _kept = late.subscribe(&topic("a")).unwrap().0;
    settle();
    assert_eq!(subscribers(), 1);
    log.note_death();
    settle();
    assert_eq!(subscribers(), 0);
}

#[test]
fn of_those_who_hear_of_a_death_one_sweeps() {
    let log = log(SMALL);
    let processes = [(); 3].map(|()| Sweeping::new());
    let mut asked = 0;
    for round in 1..=2 {
        let dead = log.claim(owner(round), |_| true).unwrap();
        let _held = dead.subscribe(&topic("a")).unwrap().0;
        log.note_death();
        for process in &processes {
            let looks = std::cell::Cell::new(0);
            let is_alive = |_| {
                looks.set(looks.get() + 1);
                false
            };
            process.settle(&log, is_alive, &Mute);
            asked += looks.get();
        }
        assert_eq!(
            asked, round,
            "the first has asked for the one that there was"
        );
    }
}

#[test]
fn how_far_a_child_is_behind_is_told() {
    let log = log(SMALL);
    let seat = seat(log);
    let mut reader = seat.reader().unwrap();
    assert_eq!(log.figures().children[0].lag, 0);
    publish(log, "a", b"12345678");
    assert_eq!(log.figures().children[0].lag, 11 * 8);
    read(&mut reader).unwrap();
    assert_eq!(log.figures().children[0].lag, 0);
}

#[test]
fn what_a_child_has_counted_stays_when_it_is_gone() {
    let log = log(SMALL);
    let seat = log.claim(owner(1), |_| true).unwrap();
    seat.count(Count::Delivered, 5);
    seat.count(Count::Gaps, 1);
    seat.leave().unwrap();
    let again = log.claim(owner(2), |_| true).unwrap();
    let other = log.claim(owner(3), |_| true).unwrap();
    again.count(Count::Delivered, 2);
    other.count(Count::Dropped, 3);
    other.count(Count::Resumed, 4);
    let counted = Counted {
        delivered: 7,
        dropped: 3,
        gaps: 1,
        resumed: 4,
    };
    assert_eq!(log.figures().counted, counted);
}

#[test]
fn what_is_counted_of_a_topic_is_that_topics() {
    let log = log(SMALL);
    let one = log.claim(owner(1), |_| true).unwrap();
    let other = log.claim(owner(2), |_| true).unwrap();
    let held = [&one, &other].map(|seat| seat.subscribe(&topic("a")).unwrap().0);
    let beside = one.subscribe(&topic("b")).unwrap().0;
    let all = [
        Count::Delivered,
        Count::Dropped,
        Count::Gaps,
        Count::Resumed,
    ];
    for (by, what) in (1..).zip(all) {
        one.count_of(held[0].slot(), what, by);
        other.count_of(held[1].slot(), what, 10 * by);
    }
    one.count_of(beside.slot(), Count::Gaps, 7);
    let of = |name: &str| log.history(&topic(name)).unwrap().unwrap().counted();
    let counted = Counted {
        delivered: 11,
        dropped: 22,
        gaps: 33,
        resumed: 44,
    };
    assert_eq!(of("a"), counted);
    let only_gaps = Counted {
        gaps: 7,
        ..Counted::default()
    };
    assert_eq!(of("b"), only_gaps);
    assert_eq!(
        log.figures().counted,
        Counted::default(),
        "that is another sum"
    );
    let listed = log.busiest(9).unwrap();
    let listed: Vec<_> = listed
        .iter()
        .map(|topic| (&*topic.name, topic.counted))
        .collect();
    assert_eq!(listed, [("a", counted), ("b", only_gaps)]);
    // Whichever topic has the entry next begins with nothing.
    one.unsubscribe(beside).unwrap();
    for number in 0..SMALL.topics {
        publish(log, &number.to_string(), b"");
    }
    for topic in log.topics().unwrap() {
        let expected = if topic.name == "a" {
            counted
        } else {
            Counted::default()
        };
        assert_eq!(topic.counted, expected, "{}", topic.name);
    }
}

#[test]
fn an_impatient_one_does_not_wait_for_who_does_not_go_on() {
    let log = log(SMALL);
    let seat = log.claim(owner(1), |_| true).unwrap();
    let subscription = seat.subscribe(&topic("a")).unwrap().0;
    let (impatient, quick) = (log.impatient(), seat.impatient());
    let subscription = while_held(log, || {
        assert!(impatient.is_busy());
        assert_eq!(impatient.history(&topic("a")).err(), Some(LockError::Busy));
        // What could not be given back is still the caller's.
        let (error, subscription) = quick.unsubscribe(subscription).unwrap_err();
        assert_eq!(error, LockError::Busy);
        subscription
    });
    seat.unsubscribe(subscription).unwrap();
    assert!(!impatient.is_busy());
    assert_eq!(seat.subscribers(&topic("a")), Ok(0));
}
