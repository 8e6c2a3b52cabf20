//! Children that die: what is lost with them, and what their threads were calling.

use figures::{About, Caller, Layout};

use crate::support::{Processes, SMALL, board};

const FEW: Layout = Layout {
    entries: 2,
    ..SMALL
};

#[test]
fn a_child_that_dies_says_what_was_lost_and_what_it_was_calling() {
    let (board, processes) = (board(FEW), Processes::default());
    let seat = processes.claim(board, 7).unwrap();
    let location = board.location("host/echo", "echo");
    // The last one has no entry: there are two.
    let entries = [(), (), ()].map(|()| seat.open(location, None));
    for entry in &entries {
        entry.opened(&About::default());
    }
    entries[1].closing();
    let opening = seat.open(location, None);
    let room = board.plugin("room");
    let caller = Caller::new(room, entries[1].id());
    let running = seat.calls().begin(4096, caller, 3, 1).unwrap();
    let returned = seat
        .calls()
        .begin(8192, Caller::new(room, 0), 9, 1)
        .unwrap();
    assert_eq!(returned.end(), Some(1));
    processes.kill(7);
    // Nothing is dropped, nothing returns.
    let id = entries[1].id();
    std::mem::forget((entries, opening, running));

    let death = board.ended(7).unwrap();
    assert_eq!((death.pid, death.lost), (7, 3));
    let calls: Vec<_> = death
        .calls
        .iter()
        .map(|call| (call.callback, call.id))
        .collect();
    assert_eq!(calls, [(3, id)]);
    assert_eq!(board.plugin_name(death.calls[0].plugin), "room");
    let snapshot = processes.read(board);
    assert_eq!(snapshot.children_died, 1);
    assert_eq!((snapshot.total.open, snapshot.total.opening), (0, 0));
    let closed = snapshot.total.closes.iter().filter(|(_, count)| *count > 0);
    let closed: Vec<_> = closed.map(|(code, count)| (code.name(), *count)).collect();
    assert_eq!(closed, [("1006".to_owned(), 3)]);
    // Once.
    assert!(board.ended(7).is_none());
    let (next, death) = processes.claim_and_tell(board, 8).unwrap();
    assert!(death.is_none());
    assert_eq!(next.calls().running().count(), 0);
    assert_eq!(processes.read(board).children_died, 1);
}

#[test]
fn a_child_that_leaves_has_not_died() {
    let (board, processes) = (board(FEW), Processes::default());
    let seat = processes.claim(board, 7).unwrap();
    let entry = seat.open(board.location("host/echo", "echo"), None);
    entry.opened(&About::default());
    seat.leave();
    // It is there until its process is gone.
    assert_eq!(processes.read(board).total.open, 1);
    processes.kill(7);
    std::mem::forget(entry);
    assert!(board.ended(7).is_none());
    let snapshot = processes.read(board);
    assert_eq!((snapshot.children_died, snapshot.total.open), (0, 0));
    let closes = snapshot.total.closes.iter().map(|(_, count)| count);
    assert_eq!(closes.sum::<u64>(), 1);
}

#[test]
fn who_takes_a_seat_tells_of_a_death_that_nobody_has_heard_of() {
    let (board, processes) = (board(FEW), Processes::default());
    let seats = [1, 2, 3].map(|pid| processes.claim(board, pid).unwrap());
    let entry = seats[1].open(board.location("host/echo", "echo"), None);
    entry.opened(&About::default());
    std::mem::forget(entry);
    processes.kill(1);
    processes.kill(2);
    assert_eq!(board.ended(1).map(|death| death.lost), Some(0));
    // Rather the seat of one whose death has been told.
    let (_, death) = processes.claim_and_tell(board, 4).unwrap();
    assert!(death.is_none());
    let (_, death) = processes.claim_and_tell(board, 5).unwrap();
    let death = death.unwrap();
    assert_eq!((death.pid, death.lost), (2, 1));
    // The parent hears of it later.
    assert!(board.ended(2).is_none());
    assert_eq!(processes.read(board).children_died, 2);
    assert!(processes.claim(board, 6).is_none());
}

#[test]
fn plugins_beyond_the_last_label_have_a_name_in_common() {
    let board = board(FEW);
    let names: Vec<_> = (0..figures::PLUGINS)
        .map(|index| format!("plugin{index}"))
        .collect();
    for name in &names[1..] {
        let label = board.plugin(name);
        assert_eq!(
            (board.plugin(name), &board.plugin_name(label)),
            (label, name)
        );
    }
    assert_eq!(
        board.plugin_name(board.plugin("one more")),
        "another plugin"
    );
}
