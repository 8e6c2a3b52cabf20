//! Closing a connection of another child.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use figures::{
    About, CloseRequest, Entry, Filter, Order, Posted, PostedForMany, REQUESTS, Seat, Wish,
};

use crate::support::{Processes, SMALL, board};

fn request(id: u64, reason: &str) -> CloseRequest {
    CloseRequest {
        id,
        code: 4001,
        reason: reason.to_owned(),
    }
}

#[test]
fn a_request_reaches_the_child_that_has_the_connection_and_no_other() {
    let (board, processes) = (board(SMALL), Processes::default());
    let seats = [
        processes.claim(board, 1).unwrap(),
        processes.claim(board, 2).unwrap(),
    ];
    let location = board.location("host/echo", "echo");
    let entries = [seats[0].open(location, None), seats[1].open(location, None)];
    entries
        .iter()
        .for_each(|entry| entry.opened(&About::default()));
    let before = seats[1].bell().load(Ordering::Relaxed);
    let wanted = request(entries[1].id(), "an operator’s wish");
    let posted = board.post(&wanted, &|process| processes.are_alive(process));
    assert!(matches!(posted, Posted::Waits(bell) if std::ptr::eq(bell, seats[1].bell())));
    assert_ne!(seats[1].bell().load(Ordering::Relaxed), before);
    assert_eq!(seats[0].take_orders(), []);
    let wish = Wish::Close {
        code: 4001,
        reason: wanted.reason,
    };
    let connections = vec![(wanted.id, Duration::ZERO)];
    assert_eq!(seats[1].take_orders(), [Order { connections, wish }]);
    assert_eq!(seats[1].take_orders(), []);
}

#[test]
fn only_what_is_open_can_be_closed() {
    let (board, processes) = (board(SMALL), Processes::default());
    let seat = processes.claim(board, 1).unwrap();
    let entry = seat.open(board.location("host/echo", "echo"), None);
    let post = |id| board.post(&request(id, ""), &|process| processes.are_alive(process));
    let is_there = |id| matches!(post(id), Posted::Waits(_));
    assert!(!is_there(entry.id()), "still opening");
    entry.opened(&About::default());
    assert!(is_there(entry.id()));
    for id in [0, entry.id() + 1, u64::MAX] {
        assert!(!is_there(id));
    }
    processes.kill(1);
    assert!(!is_there(entry.id()), "its child is gone");
}

#[test]
fn a_reason_is_cut_to_what_a_close_frame_takes() {
    let (board, processes) = (board(SMALL), Processes::default());
    let seat = processes.claim(board, 1).unwrap();
    let entry = seat.open(board.location("host/echo", "echo"), None);
    entry.opened(&About::default());
    let long = "ü".repeat(100);
    board.post(&request(entry.id(), &long), &|process| {
        processes.are_alive(process)
    });
    let orders = seat.take_orders();
    assert!(matches!(&orders[0].wish, Wish::Close { reason, .. } if *reason == "ü".repeat(61)));
}

#[test]
fn too_many_requests_are_refused_until_some_are_taken() {
    let (board, processes) = (board(SMALL), Processes::default());
    let seat = processes.claim(board, 1).unwrap();
    let entry = seat.open(board.location("host/echo", "echo"), None);
    entry.opened(&About::default());
    let post = || {
        board.post(&request(entry.id(), ""), &|process| {
            processes.are_alive(process)
        })
    };
    for _ in 0..REQUESTS {
        assert!(matches!(post(), Posted::Waits(_)));
    }
    assert!(matches!(post(), Posted::Full));
    assert_eq!(seat.take_orders().len(), REQUESTS);
    assert!(matches!(post(), Posted::Waits(_)));
}

fn open(seat: &Arc<Seat<'static>>, location: &str, client: &str, user: &str) -> Entry<'static> {
    let location = seat.board().location(location, "echo");
    let entry = seat.open(location, Some(client.parse().unwrap()));
    entry.opened(&About {
        user: Some(user.to_owned()),
        ..About::default()
    });
    entry
}

#[test]
fn those_that_a_filter_means_are_marked_when_they_are_as_many_as_expected() {
    let (board, processes) = (board(SMALL), Processes::default());
    let seats = [1, 2].map(|pid| processes.claim(board, pid).unwrap());
    let entries = [
        open(&seats[0], "host/a", "192.0.2.1", "ann"),
        open(&seats[0], "host/b", "192.0.2.1", "bob"),
        open(&seats[1], "host/a", "192.0.2.2", "bob"),
        open(&seats[1], "host/a", "192.0.2.1", "bobby"),
    ];
    let opening = seats[1].open(board.location("host/a", "echo"), None);
    let post = |filter: &Filter, expected| {
        board.post_for_many(
            filter,
            expected,
            &Wish::Drain,
            Duration::from_secs(10),
            &|process| processes.are_alive(process),
        )
    };
    let filters = [
        (
            Filter {
                user: Some("bob".to_owned()),
                ..Filter::ALL
            },
            vec![1, 2],
        ),
        (
            Filter {
                location: Some("host/a".to_owned()),
                ..Filter::ALL
            },
            vec![0, 2, 3],
        ),
        (
            Filter {
                client: Some("192.0.2.1".parse().unwrap()),
                ..Filter::ALL
            },
            vec![0, 1, 3],
        ),
        (
            Filter {
                child: Some(2),
                ..Filter::ALL
            },
            vec![2, 3],
        ),
        (
            Filter {
                user: Some("bob".to_owned()),
                child: Some(2),
                ..Filter::ALL
            },
            vec![2],
        ),
        (
            Filter {
                user: Some("bo".to_owned()),
                ..Filter::ALL
            },
            vec![],
        ),
        (
            Filter {
                location: Some("host/".to_owned()),
                ..Filter::ALL
            },
            vec![],
        ),
        (
            Filter {
                child: Some(3),
                ..Filter::ALL
            },
            vec![],
        ),
    ];
    for (filter, meant) in filters {
        let count = meant.len() as u64;
        for wrong in [count + 1, count.wrapping_sub(1)] {
            let posted = post(&filter, wrong);
            assert!(
                matches!(posted, PostedForMany::OtherNumber(of) if of == count),
                "{filter:?}"
            );
        }
        let nobody: [Vec<Order>; 2] = [&seats[0], &seats[1]].map(|seat| seat.take_orders());
        assert_eq!(nobody, [vec![], vec![]]);
        let waits = matches!(post(&filter, count), PostedForMany::Waits(_));
        assert_eq!(waits, count > 0, "{filter:?}");
        let orders: Vec<Order> = seats.iter().flat_map(|seat| seat.take_orders()).collect();
        let mut told: Vec<_> = orders
            .iter()
            .flat_map(|order| order.connections.clone())
            .collect();
        told.sort_unstable();
        // Evenly over the time, whichever child has them.
        let wanted = meant.iter().enumerate().map(|(nth, &index)| {
            (
                entries[index].id(),
                Duration::from_millis(10_000 * nth as u64 / count),
            )
        });
        assert_eq!(told, wanted.collect::<Vec<_>>());
        assert!(orders.iter().all(|order| order.wish == Wish::Drain));
        let again: Vec<Order> = seats.iter().flat_map(|seat| seat.take_orders()).collect();
        assert_eq!(again, []);
    }
    drop(opening);
}

#[test]
fn a_mark_is_nobody_elses_when_the_entry_is() {
    let (board, processes) = (board(SMALL), Processes::default());
    let seat = processes.claim(board, 1).unwrap();
    let gone = open(&seat, "host/a", "192.0.2.1", "ann");
    let all = Filter {
        child: Some(1),
        ..Filter::ALL
    };
    let posted = board.post_for_many(&all, 1, &Wish::Drain, Duration::ZERO, &|_| true);
    assert!(matches!(posted, PostedForMany::Waits(_)));
    drop(gone);
    let _next = open(&seat, "host/a", "192.0.2.1", "bob");
    assert_eq!(seat.take_orders(), []);
}

#[test]
fn a_filter_that_means_nobody_takes_no_place() {
    let (board, processes) = (board(SMALL), Processes::default());
    let seat = processes.claim(board, 1).unwrap();
    let nobodys = Filter {
        user: Some("nobody".to_owned()),
        ..Filter::ALL
    };
    // More often than requests may wait.
    for _ in 0..1000 {
        let posted = board.post_for_many(&nobodys, 0, &Wish::Drain, Duration::ZERO, &|_| true);
        assert!(matches!(posted, PostedForMany::OtherNumber(0)));
    }
    assert_eq!(seat.take_orders(), []);
}
