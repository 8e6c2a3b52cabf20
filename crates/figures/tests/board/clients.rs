//! How many connections a client has, over all children.

use std::sync::Barrier;
use std::thread;

use figures::{About, Layout, Process, Seat};

use crate::support::board;

const LARGE: Layout = Layout {
    slots: 4,
    entries: 1000,
    threads: 0,
};
const ALIVE: figures::Alive<'static> = &|_| true;

fn seat(board: figures::Board<'static>, pid: u32) -> std::sync::Arc<Seat<'static>> {
    let (seat, _) = Seat::claim(board, Process { pid, started: 1 }, 0, ALIVE).unwrap();
    seat
}

fn ip(text: &str) -> Option<std::net::IpAddr> {
    Some(text.parse().unwrap())
}

#[test]
fn a_client_has_as_many_as_it_may_in_all_children_together() {
    let board = board(LARGE);
    let seats = [seat(board, 1), seat(board, 2)];
    let location = board.location("host/echo", "echo");
    let open = |number: usize, client: &str| {
        let entry = seats[number % 2].open(location, ip(client));
        let may = entry.is_within(3, ALIVE);
        may.then_some(entry)
    };
    let mut entries: Vec<_> = (0..3)
        .map(|number| open(number, "192.0.2.1").unwrap())
        .collect();
    assert!(open(0, "192.0.2.1").is_none());
    assert!(open(1, "192.0.2.1").is_none());
    let other = open(1, "192.0.2.2");
    assert!(other.is_some());
    entries.pop();
    assert!(open(0, "192.0.2.1").is_some());
}

#[test]
fn a_network_of_ipv6_is_one_client() {
    let board = board(LARGE);
    let seat = seat(board, 1);
    let location = board.location("host/echo", "echo");
    let one = seat.open(location, ip("2001:db8:0:1::1"));
    assert!(one.is_within(1, ALIVE));
    let same = seat.open(location, ip("2001:db8:0:1:2:3:4:5"));
    assert!(!same.is_within(1, ALIVE));
    let other = seat.open(location, ip("2001:db8:0:2::1"));
    assert!(other.is_within(1, ALIVE));
}

#[test]
fn a_connection_that_has_ended_does_not_count() {
    let board = board(LARGE);
    let seat = seat(board, 1);
    let location = board.location("host/echo", "echo");
    let one = seat.open(location, ip("192.0.2.1"));
    one.opened(&About::default());
    one.closed(1000);
    let refused = seat.open(location, ip("192.0.2.1"));
    drop(refused);
    assert!(seat.open(location, ip("192.0.2.1")).is_within(1, ALIVE));
}

#[test]
fn connections_of_a_child_that_is_gone_do_not_count() {
    let board = board(LARGE);
    let gone = seat(board, 1);
    let location = board.location("host/echo", "echo");
    let open = |seat: &std::sync::Arc<Seat<'static>>, client| seat.open(location, ip(client));
    // Nobody drops what a dead child had.
    for _ in 0..5 {
        std::mem::forget(open(&gone, "192.0.2.1"));
    }
    let here = seat(board, 2);
    let kept = open(&here, "192.0.2.1");
    assert!(!kept.is_within(1, ALIVE));
    // The parent has noticed another's end, and this child's own look finds it.
    board.ended(3);
    assert!(!kept.is_within(5, ALIVE));
    assert!(kept.is_within(1, &|process| process.pid != 1));
    assert!(!kept.is_within(0, &|process| process.pid != 1));
    // The parent has noticed it.
    board.ended(1);
    assert!(kept.is_within(1, ALIVE));
    // Whoever takes the slot afterwards takes nothing back twice, and neither does the parent.
    let next = seat(board, 4);
    board.ended(1);
    let another = open(&next, "192.0.2.1");
    assert!(!another.is_within(1, ALIVE) && another.is_within(2, ALIVE));
}

#[test]
fn who_takes_the_slot_of_a_dead_child_takes_its_connections_back_too() {
    let board = board(Layout {
        slots: 2,
        entries: 10,
        threads: 0,
    });
    let location = board.location("host/echo", "echo");
    let here = seat(board, 1);
    let gone = seat(board, 2);
    for client in ["192.0.2.1", "192.0.2.1", "2001:db8::1"] {
        std::mem::forget(gone.open(location, ip(client)));
    }
    let claimed = Seat::claim(board, Process { pid: 3, started: 1 }, 0, &|process| {
        process.pid != 2
    });
    assert!(claimed.is_some());
    // Its end is noticed later: the slot is another's now.
    board.ended(2);
    for client in ["192.0.2.1", "2001:db8::1"] {
        assert!(here.open(location, ip(client)).is_within(1, ALIVE));
    }
}

#[test]
fn connections_without_an_address_are_one_client_and_not_the_machines_own() {
    let board = board(LARGE);
    let seat = seat(board, 1);
    let location = board.location("host/echo", "echo");
    let unix = seat.open(location, None);
    let loopback = seat.open(location, ip("::1"));
    assert!(unix.is_within(1, ALIVE) && loopback.is_within(1, ALIVE));
    assert!(!seat.open(location, None).is_within(1, ALIVE));
    assert!(!seat.open(location, ip("::1")).is_within(1, ALIVE));
}

#[test]
fn no_more_than_may_pass_however_many_come_at_once() {
    const THREADS: u32 = 4;
    const ROUNDS: usize = 300;
    const LIMIT: usize = 2;
    let board = board(LARGE);
    let location = board.location("host/echo", "echo");
    let barrier = Barrier::new(THREADS as usize);
    let passed: Vec<Vec<bool>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|number| {
                let barrier = &barrier;
                scope.spawn(move || {
                    let seat = seat(board, number + 1);
                    (0..ROUNDS)
                        .map(|_| {
                            barrier.wait();
                            let entry = seat.open(location, ip("192.0.2.1"));
                            let may = entry.is_within(LIMIT as u64, ALIVE);
                            barrier.wait();
                            drop(entry);
                            may
                        })
                        .collect()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    for round in 0..ROUNDS {
        let count = passed.iter().filter(|of_thread| of_thread[round]).count();
        assert!(
            (1..=LIMIT).contains(&count),
            "{count} passed in round {round}"
        );
    }
}

#[test]
fn a_location_has_what_living_children_have_of_it() {
    let board = board(LARGE);
    let seats = [1, 2].map(|pid| {
        let process = Process { pid, started: 1 };
        Seat::claim(board, process, 0, ALIVE).unwrap().0
    });
    let (location, other) = (
        board.location("host/a", "echo"),
        board.location("host/b", "echo"),
    );
    let entries = [
        seats[0].open(location, ip("192.0.2.1")),
        seats[1].open(location, ip("192.0.2.2")),
    ];
    let alone = seats[0].open(other, ip("192.0.2.1"));
    assert!(alone.is_within_location(1, ALIVE));
    assert!(entries[1].is_within_location(2, ALIVE));
    assert!(!entries[1].is_within_location(1, ALIVE));
    // That of a child that is gone is none.
    assert!(entries[1].is_within_location(1, &|process| process.pid == 2));
    entries[0].closed(1000);
    entries[0].closed(1000);
    assert!(entries[1].is_within_location(1, ALIVE));
    let [one, _other] = entries;
    drop(one);
    assert!(!seats[0].open(location, None).is_within_location(1, ALIVE));
    assert!(seats[0].open(other, None).is_within_location(2, ALIVE));
}
