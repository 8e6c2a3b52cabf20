//! Closing a connection of another child.

use std::sync::atomic::Ordering;

use figures::{CloseRequest, Posted, REQUESTS};

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
    entries.iter().for_each(|entry| entry.opened());
    let before = seats[1].bell().load(Ordering::Relaxed);
    let wanted = request(entries[1].id(), "an operator’s wish");
    let posted = board.post(&wanted, &|process| processes.are_alive(process));
    assert!(matches!(posted, Posted::Waits(bell) if std::ptr::eq(bell, seats[1].bell())));
    assert_ne!(seats[1].bell().load(Ordering::Relaxed), before);
    assert_eq!(seats[0].take_requests(), []);
    assert_eq!(seats[1].take_requests(), [wanted]);
    assert_eq!(seats[1].take_requests(), []);
}

#[test]
fn only_what_is_open_can_be_closed() {
    let (board, processes) = (board(SMALL), Processes::default());
    let seat = processes.claim(board, 1).unwrap();
    let entry = seat.open(board.location("host/echo", "echo"), None);
    let post = |id| board.post(&request(id, ""), &|process| processes.are_alive(process));
    let is_there = |id| matches!(post(id), Posted::Waits(_));
    assert!(!is_there(entry.id()), "still opening");
    entry.opened();
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
    entry.opened();
    let long = "ü".repeat(100);
    board.post(&request(entry.id(), &long), &|process| {
        processes.are_alive(process)
    });
    assert_eq!(seat.take_requests()[0].reason, "ü".repeat(61));
}

#[test]
fn too_many_requests_are_refused_until_some_are_taken() {
    let (board, processes) = (board(SMALL), Processes::default());
    let seat = processes.claim(board, 1).unwrap();
    let entry = seat.open(board.location("host/echo", "echo"), None);
    entry.opened();
    let post = || {
        board.post(&request(entry.id(), ""), &|process| {
            processes.are_alive(process)
        })
    };
    for _ in 0..REQUESTS {
        assert!(matches!(post(), Posted::Waits(_)));
    }
    assert!(matches!(post(), Posted::Full));
    assert_eq!(seat.take_requests().len(), REQUESTS);
    assert!(matches!(post(), Posted::Waits(_)));
}
