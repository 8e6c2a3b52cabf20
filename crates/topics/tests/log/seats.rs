//! Children, and their subscribers.

use topics::{ClaimError, SubscribeError};

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
    let figures = log.figures();
    let counts = [
        figures.delivered,
        figures.dropped,
        figures.gaps,
        figures.resumed,
    ];
    assert_eq!(counts, [7, 3, 1, 4]);
}
