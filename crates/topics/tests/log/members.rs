//! Members, and who is told of them.

use topics::{Membership, Subscription};

use super::*;

fn member(text: &str) -> Member {
    Member::new(text).unwrap()
}

fn members(log: Log<'_>, name: &str) -> Vec<String> {
    let mut members = log.members(&topic(name)).unwrap();
    members.sort();
    members
}

/// A member that has been announced.
fn joins(seat: &Seat<'static>, subscription: &Subscription, name: &str) -> Membership {
    let membership = seat.enter(subscription, &member(name), false).unwrap();
    seat.announce(&membership, &Mute).unwrap();
    membership
}

/// What a reader finds next: who joins (`+`) and leaves (`-`), and how many there are then.
fn notices(reader: &mut Reader<'_>) -> Vec<String> {
    let mut batch = Batch::new();
    reader.next(&mut batch).unwrap();
    let notices = batch.iter().filter(|record| record.kind == Kind::Notice);
    notices
        .map(|record| {
            let notice = Notice::read(record.payload).unwrap();
            let sign = if notice.has_left { '-' } else { '+' };
            format!("{}:{sign}{}{}", record.topic, notice.member, notice.members)
        })
        .collect()
}

#[test]
fn members_are_listed_and_told_of_in_order() {
    let log = log(SMALL);
    let (one, two) = (seat(log), log.claim(owner(2), |_| true).unwrap());
    let mut reader = one.reader().unwrap();
    let (a, _) = one.subscribe(&topic("a")).unwrap();
    let (also_a, _) = two.subscribe(&topic("a")).unwrap();
    let (b, _) = two.subscribe(&topic("b")).unwrap();
    let ada = one.enter(&a, &member("Ada"), true).unwrap();
    assert_eq!(members(log, "a"), ["Ada"], "before it is announced");
    one.announce(&ada, &Mute).unwrap();
    let taken = two.enter(&also_a, &member("Ada"), true);
    assert_eq!(taken.err(), Some(EnterError::Taken));
    let twin = two.enter(&also_a, &member("Ada"), false).unwrap();
    two.announce(&twin, &Mute).unwrap();
    let other = two.enter(&b, &member("Ada"), true).unwrap();
    two.announce(&other, &Mute).unwrap();
    assert_eq!(members(log, "a"), ["Ada", "Ada"]);
    assert_eq!(members(log, "b"), ["Ada"]);
    assert_eq!(members(log, "c"), [""; 0]);
    one.exit(ada, &Mute).unwrap();
    assert_eq!(members(log, "a"), ["Ada"]);
    let told = notices(&mut reader);
    assert_eq!(told, ["a:+Ada1", "a:+Ada2", "b:+Ada1", "a:-Ada1"]);
    // A notice is nothing that was published.
    let history = log.history(&topic("a")).unwrap().unwrap();
    assert_eq!((history.published(), history.last()), (0, RecordId::NONE));
    assert_eq!(log.figures().notices, 4);
    let mut batch = Batch::new();
    history.recent(&ALL, &mut batch);
    assert!(batch.is_empty());
    two.exit(twin, &Mute).unwrap();
    two.exit(other, &Mute).unwrap();
}

#[test]
fn who_has_not_been_announced_is_counted_when_it_is() {
    let log = log(SMALL);
    let seat = seat(log);
    let mut reader = seat.reader().unwrap();
    let (a, _) = seat.subscribe(&topic("a")).unwrap();
    let early = joins(&seat, &a, "early");
    let [late, gone] = ["late", "gone"].map(|name| seat.enter(&a, &member(name), true).unwrap());
    let count = || log.member_count(&topic("a")).unwrap();
    assert_eq!(count(), 1, "the two are told of when they are announced");
    seat.exit(early, &Mute).unwrap();
    seat.announce(&late, &Mute).unwrap();
    assert_eq!(count(), 1);
    seat.exit(gone, &Mute).unwrap();
    seat.exit(late, &Mute).unwrap();
    assert_eq!(count(), 0);
    let told = notices(&mut reader);
    assert_eq!(told, ["a:+early1", "a:-early0", "a:+late1", "a:-late0"]);
}

#[test]
fn the_members_of_the_dead_leave() {
    let log = log(SMALL);
    let (one, two) = (seat(log), log.claim(owner(2), |_| true).unwrap());
    let mut reader = two.reader().unwrap();
    let (a, _) = one.subscribe(&topic("a")).unwrap();
    let (b, _) = one.subscribe(&topic("b")).unwrap();
    let (its, _) = two.subscribe(&topic("a")).unwrap();
    let _ada = joins(&one, &a, "Ada");
    let _bob = joins(&one, &b, "Bob");
    let _eve = joins(&two, &its, "Eve");
    notices(&mut reader);
    assert_eq!(log.sweep(|process| process != owner(1)), Ok(1));
    assert_eq!(members(log, "a"), ["Eve"]);
    assert_eq!(members(log, "b"), [""; 0]);
    assert_eq!(notices(&mut reader), ["a:-Ada1", "b:-Bob0"]);
    // The one that was held for dead is no member's child any more, and takes away nobody.
    let again = log.claim(owner(3), |_| true).unwrap();
    let (a3, _) = again.subscribe(&topic("a")).unwrap();
    let _ada3 = joins(&again, &a3, "Ada");
    assert_eq!(
        one.enter(&a, &member("Zoe"), false).err(),
        Some(EnterError::SeatLost)
    );
    one.exit(_ada, &Mute).unwrap();
    assert_eq!(members(log, "a"), ["Ada", "Eve"]);
}

#[test]
fn there_is_room_for_so_many_and_places_are_used_again() {
    let log = log(SMALL);
    let seat = seat(log);
    let (a, _) = seat.subscribe(&topic("a")).unwrap();
    let longest = "x".repeat(Member::MOST);
    let mut held = Vec::new();
    for _ in 0..SMALL.members() {
        held.push(seat.enter(&a, &member(&longest), false).unwrap());
    }
    let full = seat.enter(&a, &member("one more"), false);
    assert_eq!(full.err(), Some(EnterError::Full));
    seat.exit(held.swap_remove(3), &Mute).unwrap();
    held.push(seat.enter(&a, &member("short"), true).unwrap());
    let listed = members(log, "a");
    assert_eq!(listed.len(), SMALL.members());
    assert_eq!(listed[0], "short");
    assert!(listed[1..].iter().all(|text| *text == longest));
}

#[test]
fn many_members_of_a_dead_child_have_all_left() {
    let layout = Layout {
        ring: 64 << 10,
        ..SMALL
    };
    let log = log(layout);
    let one = seat(log);
    let two = log.claim(owner(2), |_| true).unwrap();
    let (a, _) = two.subscribe(&topic("a")).unwrap();
    let (held, _) = one.subscribe(&topic("a")).unwrap();
    let stays = joins(&one, &held, "Ada");
    for number in 0..63 {
        let _ = joins(&two, &a, &number.to_string());
    }
    let mut reader = one.reader().unwrap();
    assert_eq!(log.sweep(|who| who != owner(2)), Ok(1));
    assert_eq!(members(log, "a"), ["Ada"]);
    let told = notices(&mut reader);
    assert_eq!(
        (told.len(), &*told[0], &*told[62]),
        (63, "a:-063", "a:-621")
    );
    one.exit(stays, &Mute).unwrap();
}
