//! What the busiest clients do, over all children.

use std::net::IpAddr;

use figures::{About, BusyClient, RefusedFor};

use crate::support::{Processes, SMALL, board};

const OFTEN: &str = "192.0.2.1";
const MUCH: &str = "192.0.2.2";
const SELDOM: &str = "192.0.2.3";
const MEGABYTE: usize = 1_000_000;

fn ip(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

fn found(clients: &[BusyClient], name: &str) -> Option<BusyClient> {
    clients
        .iter()
        .find(|client| client.client == ip(name))
        .cloned()
}

#[test]
fn handshakes_and_bytes_of_all_children_are_their_client_s() {
    let (board, processes) = (board(SMALL), Processes::default());
    let seats = [1, 2].map(|pid| processes.claim(board, pid).unwrap());
    let location = board.location("ws://host:80/echo", "echo");
    for seat in &seats {
        for _ in 0..30 {
            seat.refused(location, ip(OFTEN), RefusedFor::Plugin);
            let entry = seat.open(location, ip(OFTEN));
            entry.opened(&About::default());
        }
        seat.refused(location, ip(SELDOM), RefusedFor::Plugin);
    }
    let entry = seats[0].open(location, ip(MUCH));
    entry.opened(&About::default());
    for _ in 0..50 {
        entry.bytes_in(MEGABYTE);
        entry.bytes_out(MEGABYTE);
    }
    let busy = processes.read(board).busy;
    // A minute may have begun meanwhile: then some of it is over.
    let about = |rate: f64, wanted: f64| (0.5 * wanted..=1.01 * wanted).contains(&rate);
    let often = found(&busy.clients, OFTEN).unwrap();
    assert!(
        about(often.handshakes, 2.0) && about(often.refused, 1.0),
        "{often:?}"
    );
    assert_eq!((often.connections, often.bytes), (0, 0.0));
    let much = found(&busy.clients, MUCH).unwrap();
    assert!(
        about(much.bytes, 100.0 * MEGABYTE as f64 / 60.0),
        "{much:?}"
    );
    assert_eq!((much.connections, much.refused), (1, 0.0));
    assert_eq!(found(&busy.clients, SELDOM), None);
    assert_eq!(
        (busy.most_handshakes, busy.most_bytes),
        (often.handshakes, much.bytes)
    );
}

#[test]
fn what_is_less_than_a_step_is_counted_at_the_end() {
    let (board, processes) = (board(SMALL), Processes::default());
    let seat = processes.claim(board, 1).unwrap();
    let location = board.location("ws://host:80/echo", "echo");
    let bytes = || processes.read(board).busy.most_bytes;
    let entry = seat.open(location, ip(MUCH));
    entry.opened(&About::default());
    entry.bytes_in(60_000);
    entry.bytes_out(60_000);
    assert_eq!(bytes(), 0.0);
    drop(entry);
    assert!((1_000.0..=2_001.0).contains(&bytes()));
}
