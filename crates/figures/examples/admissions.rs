//! What it takes to admit a connection, and to refuse one of a client that has as many as it may:
//! `cargo run --release -p figures --example admissions`.

use std::net::Ipv4Addr;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use figures::{Alive, Board, Layout, Process, Seat};

const OPEN: u32 = 50_000;
/// Of each client.
const HELD: u32 = 10;
const ROUNDS: u32 = 2_000;
const LAYOUT: Layout = Layout {
    slots: 16,
    entries: 1 << 16,
    threads: 0,
};
const ALIVE: Alive<'static> = &|_| true;

fn main() {
    let words = (0..LAYOUT.words()).map(|_| AtomicU64::new(0));
    let words: &'static [AtomicU64] = Vec::leak(words.collect());
    Board::new(words, LAYOUT, 7).expect("a board of this size");
    let board = Board::find(words).expect("the board that was just made");
    let process = Process { pid: 1, started: 1 };
    let (seat, _) = Seat::claim(board, process, 0, ALIVE).expect("a seat on an empty board");
    let location = board.location("host/echo", "echo");
    let address = |number: u32| Some(Ipv4Addr::from_bits(0x0a00_0000 + number).into());
    let held: Vec<_> = (0..OPEN)
        .map(|number| seat.open(location, address(number / HELD)))
        .collect();
    for (what, limit, is_within) in [("admission", HELD + 1, true), ("refusal", HELD, false)] {
        let start = Instant::now();
        for round in 0..ROUNDS {
            let entry = seat.open(location, address(round));
            assert_eq!(entry.is_within(limit.into(), ALIVE), is_within);
        }
        println!("{what} with {OPEN} open: {:?}", start.elapsed() / ROUNDS);
    }
    drop(held);
}
