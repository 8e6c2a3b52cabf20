//! The board: what is counted is read, whatever becomes of the children.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use figures::{About, Closes, Filter, Listing, Process, RefusedFor, Seat, State, Threads};

use crate::support::{Processes, SMALL, board};

fn ip(text: &str) -> Option<std::net::IpAddr> {
    Some(text.parse().unwrap())
}

#[test]
fn a_connection_is_counted_in_each_of_its_states() {
    let (board, processes) = (board(SMALL), Processes::default());
    let seat = processes.claim(board, 1).unwrap();
    let entry = seat.open(board.location("host/echo", "echo"), ip("192.0.2.1"));
    let states = || {
        let total = processes.read(board).total;
        (total.opening, total.open, total.closing, total.accepted)
    };
    assert_eq!(states(), (1, 0, 0, 0));
    entry.opened(&About::default());
    assert_eq!(states(), (0, 1, 0, 1));
    entry.closing();
    assert_eq!(states(), (0, 0, 1, 1));
    entry.closed(1000);
    entry.closed(1001);
    assert_eq!(states(), (0, 0, 0, 1));
    drop(entry);
    assert_eq!(states(), (0, 0, 0, 1));
    let closes = processes.read(board).total.closes;
    let closes: Vec<_> = closes.into_iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(closes, [(Closes::of(1000), 1)]);
}

#[test]
fn counts_stay_when_a_connection_ends() {
    let (board, processes) = (board(SMALL), Processes::default());
    let seat = processes.claim(board, 1).unwrap();
    let location = board.location("host/echo", "echo");
    for _ in 0..10 {
        let entry = seat.open(location, None);
        entry.opened(&About::default());
        entry.message_in();
        entry.bytes_in(7);
        entry.message_out();
        entry.message_out();
        entry.bytes_out(20);
        entry.queued(5);
        let total = processes.read(board).total;
        assert_eq!(total.queued, 5);
        drop(entry);
    }
    let total = processes.read(board).total;
    assert_eq!((total.messages_in, total.messages_out), (10, 20));
    assert_eq!((total.bytes_in, total.bytes_out), (70, 200));
    assert_eq!((total.open, total.queued), (0, 0));
}

#[test]
fn each_location_has_its_own_figures_and_the_total_is_their_sum() {
    let (board, processes) = (board(SMALL), Processes::default());
    let seat = processes.claim(board, 1).unwrap();
    let (one, other) = (
        board.location("host/b", "echo"),
        board.location("host/a", "echo"),
    );
    assert_ne!(one, other);
    assert_eq!(board.location("host/b", "echo"), one);
    assert_ne!(board.location("host/b", "chat"), one);
    let entries = [one, one, other].map(|location| seat.open(location, None));
    entries
        .iter()
        .for_each(|entry| entry.opened(&About::default()));
    seat.refused(other, None, RefusedFor::Origin);
    let snapshot = processes.read(board);
    let seen: Vec<_> = snapshot
        .locations
        .iter()
        .map(|location| {
            (
                location.name.as_str(),
                location.plugin.as_str(),
                location.figures.open,
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("host/a", "echo", 1),
            ("host/b", "chat", 0),
            ("host/b", "echo", 2)
        ]
    );
    assert_eq!(snapshot.total.open, 3);
    assert_eq!(snapshot.total.refused(RefusedFor::Origin), 1);
    assert_eq!(snapshot.locations[0].figures.refused(RefusedFor::Origin), 1);
    assert_eq!(snapshot.locations[1].figures.all_refused(), 0);
}

#[test]
fn a_child_that_dies_has_no_open_connections_any_more_and_keeps_its_counts() {
    let (board, processes) = (board(SMALL), Processes::default());
    let location = board.location("host/echo", "echo");
    let dying = processes.claim(board, 1).unwrap();
    let living = processes.claim(board, 2).unwrap();
    let entries = [&dying, &dying, &living].map(|seat| seat.open(location, ip("192.0.2.1")));
    for entry in &entries {
        entry.opened(&About::default());
        entry.message_in();
    }
    dying.refused(location, None, RefusedFor::Plugin);
    // Nothing of it is dropped: it has been killed.
    let [one, other, kept] = entries;
    std::mem::forget((one, other, dying));
    processes.kill(1);
    let check = || {
        let snapshot = processes.read(board);
        assert_eq!((snapshot.total.open, snapshot.total.accepted), (1, 3));
        assert_eq!(
            (snapshot.total.messages_in, snapshot.total.all_refused()),
            (3, 1)
        );
        assert_eq!(snapshot.connections.len(), 1);
        snapshot.children.len()
    };
    assert_eq!(check(), 1);
    // The third slot is free, the fourth child gets the dead one's.
    let _third = processes.claim(board, 3).unwrap();
    assert_eq!(check(), 2);
    let fourth = processes.claim(board, 4).unwrap();
    assert_eq!(check(), 3);
    assert!(processes.claim(board, 5).is_none());
    // The dead child's client may connect again.
    let entry = fourth.open(location, ip("192.0.2.1"));
    assert!(entry.is_within(2, &|_| true));
    drop((entry, kept));
}

#[test]
fn a_process_id_that_is_used_again_is_another_process() {
    let (board, processes) = (board(SMALL), Processes::default());
    let seat = processes.claim(board, 1).unwrap();
    let entry = seat.open(board.location("host/echo", "echo"), None);
    entry.opened(&About::default());
    let snapshot = board.read(&Listing::NONE, &|process| process.started == 2);
    assert_eq!((snapshot.total.open, snapshot.total.accepted), (0, 1));
}

#[test]
fn more_connections_than_entries_are_counted_and_not_listed() {
    let (board, processes) = (board(SMALL), Processes::default());
    let seat = processes.claim(board, 1).unwrap();
    let location = board.location("host/echo", "echo");
    let entries: Vec<_> = (0..6).map(|_| seat.open(location, None)).collect();
    for entry in &entries {
        entry.opened(&About::default());
        entry.message_in();
    }
    let snapshot = processes.read(board);
    assert_eq!((snapshot.total.open, snapshot.connections.len()), (6, 4));
    drop(entries);
    let snapshot = processes.read(board);
    assert_eq!((snapshot.total.open, snapshot.total.messages_in), (0, 6));
    // They are all free again.
    let entries: Vec<_> = (0..4).map(|_| seat.open(location, None)).collect();
    entries
        .iter()
        .for_each(|entry| entry.opened(&About::default()));
    assert_eq!(processes.read(board).connections.len(), 4);
}

#[test]
fn more_locations_than_there_is_room_for_are_counted_together() {
    let (board, processes) = (board(SMALL), Processes::default());
    let seat = processes.claim(board, 1).unwrap();
    for number in 0..300 {
        seat.refused(
            board.location(&format!("host/{number}"), "echo"),
            None,
            RefusedFor::Other,
        );
    }
    let snapshot = processes.read(board);
    assert_eq!(snapshot.total.all_refused(), 300);
    let others: Vec<_> = snapshot
        .locations
        .iter()
        .filter(|location| location.name == "(others)")
        .collect();
    assert_eq!(others.len(), 1);
    assert_eq!(others[0].figures.all_refused(), 45);
}

#[test]
fn a_name_that_is_too_long_is_cut_between_characters() {
    let (board, processes) = (board(SMALL), Processes::default());
    let name = "ü".repeat(1000);
    let location = board.location(&name, &"p".repeat(1000));
    assert_eq!(board.location(&name, &"p".repeat(1000)), location);
    let snapshot = processes.read(board);
    assert!(name.starts_with(&snapshot.locations[0].name));
    assert_eq!(snapshot.locations[0].plugin.len(), 128);
}

#[test]
fn connections_are_listed_by_number_page_by_page() {
    let (board, processes) = (board(SMALL), Processes::default());
    let seats = [
        processes.claim(board, 1).unwrap(),
        processes.claim(board, 2).unwrap(),
    ];
    let location = board.location("host/echo", "echo");
    let entries: Vec<_> = (0..5)
        .map(|number| seats[number % 2].open(location, ip("2001:db8::1")))
        .collect();
    let mut listing = Listing {
        from: 0,
        count: 2,
        filter: Filter::ALL,
    };
    let mut seen = Vec::new();
    loop {
        let snapshot = board.read(&listing, &|process| processes.are_alive(process));
        assert!(snapshot.connections.len() <= 2);
        seen.extend(snapshot.connections.iter().map(|connection| connection.id));
        match snapshot.next {
            Some(next) => listing.from = next,
            None => break,
        }
    }
    let ids: Vec<_> = entries.iter().map(|entry| entry.id()).collect();
    assert_eq!(seen, ids);
    let snapshot = processes.read(board);
    let one = &snapshot.connections[1];
    assert_eq!(
        (one.pid, one.client, one.state),
        (2, ip("2001:db8::1"), State::Opening)
    );
    assert_eq!(one.location, "host/echo");
}

#[test]
fn threads_and_generations_are_those_of_living_children() {
    let (board, processes) = (board(SMALL), Processes::default());
    for pid in 1..=2 {
        let seat = processes.claim(board, pid).unwrap();
        seat.set_threads(Threads { busy: 1, idle: 2 });
        if pid == 2 {
            seat.set_stopping();
        }
    }
    let snapshot = processes.read(board);
    assert_eq!(snapshot.threads(), Threads { busy: 2, idle: 4 });
    let stopping: Vec<_> = snapshot
        .children
        .iter()
        .map(|child| (child.pid, child.is_stopping))
        .collect();
    assert_eq!(stopping, [(1, false), (2, true)]);
    processes.kill(2);
    assert_eq!(
        processes.read(board).threads(),
        Threads { busy: 1, idle: 2 }
    );
}

#[test]
fn round_trips_and_callbacks() {
    let (board, processes) = (board(SMALL), Processes::default());
    let seat = processes.claim(board, 1).unwrap();
    let entry = seat.open(board.location("host/echo", "echo"), None);
    for milliseconds in 1..=100 {
        entry.ping_round_trip(Duration::from_millis(milliseconds));
        entry.callback_took(Duration::from_millis(101 - milliseconds));
    }
    let snapshot = processes.read(board);
    assert_eq!(snapshot.total.round_trips.count(), 100);
    let p99 = snapshot.total.round_trips.quantile(0.99).unwrap();
    assert!((0.080..=0.125).contains(&p99.as_secs_f64()), "{p99:?}");
    assert_eq!(snapshot.total.longest_callback, Duration::from_millis(100));
    assert_eq!(
        snapshot.connections[0].round_trip,
        Some(Duration::from_millis(100))
    );
}

/// Connections come and go, in one child after the other that takes the place of one that is gone. A reader never
/// sees a counter go back, nor more than there has been.
#[test]
fn no_counter_goes_backwards_and_nothing_is_counted_twice() {
    const ROUNDS: u32 = 50_000;
    const THREADS: u32 = 2;
    let board = board(SMALL);
    let location = board.location("host/echo", "echo");
    // The child that each thread is at the moment.
    let living = [const { AtomicU32::new(0) }; THREADS as usize];
    let alive = |process: Process| {
        let mut pids = living.iter().map(|pid| pid.load(Ordering::SeqCst));
        pids.any(|pid| pid == process.pid)
    };
    // How many connections there have been, the one that is about to be counted included.
    let begun = AtomicU64::new(0);
    let has_ended = AtomicBool::new(false);
    let count = || {
        let total = board.read(&Listing::NONE, &alive).total;
        [
            total.accepted,
            total.messages_in,
            total.closes.iter().map(|(_, count)| count).sum(),
        ]
    };
    thread::scope(|scope| {
        let (living, alive, begun) = (&living, &alive, &begun);
        let children: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        let pid = 1 + thread * ROUNDS + round;
                        living[thread as usize].store(pid, Ordering::SeqCst);
                        let process = Process { pid, started: 1 };
                        // Another thread may be quicker at the slot that was chosen.
                        let (seat, _) = (0..1000)
                            .find_map(|_| Seat::claim(board, process, 0, alive))
                            .unwrap();
                        begun.fetch_add(1, Ordering::SeqCst);
                        let entry = seat.open(location, None);
                        entry.opened(&About::default());
                        entry.message_in();
                        entry.closed(1000);
                    }
                })
            })
            .collect();
        let reader = scope.spawn(|| {
            let mut last = [0; 3];
            while !has_ended.load(Ordering::Relaxed) {
                let now = count();
                let most = begun.load(Ordering::SeqCst);
                assert!(
                    (0..3).all(|index| (last[index]..=most).contains(&now[index])),
                    "{now:?} after {last:?}, and {most} at most"
                );
                last = now;
            }
        });
        for child in children {
            child.join().unwrap();
        }
        has_ended.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
    assert_eq!(count(), [u64::from(THREADS * ROUNDS); 3]);
}
