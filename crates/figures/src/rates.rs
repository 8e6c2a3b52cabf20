//! Which clients do more than others: how many handshakes and bytes each had in the last minute, as far as a table of fixed
//! size knows.
//!
//! ```text
//!  client ── mixed with the board's seed ──► one of 64 sets of 16 rows
//!  row    ── client | weight | handshakes, refused, bytes: of an even and of an odd minute, each with its number
//! ```
//!
//! Whoever has no row takes that of the lightest in its set, and its weight with it (the Space-Saving sketch of Metwally, Agrawal
//! and El Abbadi): so a client that has more than a sixteenth of what a set counts has a row, however many others
//! come once. What a row counts begins when the client takes it: it says less than there was, never more, but
//! for the moment in which a row changes hands. A weight is halved with each minute, so that the past gives way.
//!
//! Nothing here is locked, and nothing is counted for a message: bytes come in steps of [`STEP`], and the rest at a
//! connection's end. Each word is changed as a whole, whoever dies when.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::client::Client;

/// The words of a row: a cache line.
pub(crate) const ROW: usize = 8;
/// The rows of a set.
const ROWS: usize = 16;
/// All rows.
pub(crate) const ALL_ROWS: usize = 64 * ROWS;
pub(crate) type Row = [AtomicU64; ROW];

/// In what steps the bytes of a connection, and a direction, are counted while it is open.
pub(crate) const STEP: u64 = 1 << 16;
/// How many clients are told of, for each figure.
const MOST: usize = 10;
/// A client with more handshakes a second than this is told of.
const MANY_HANDSHAKES: f64 = 0.1;
/// A client with more bytes a second than this is told of.
const MANY_BYTES: f64 = 100_000.0;

/// Words of a row.
const CLIENT: usize = 0;
const WEIGHT: usize = 1;

/// What is counted: the first of its two words.
#[derive(Clone, Copy)]
pub(crate) enum Figure {
    Handshakes = 2,
    Refused = 4,
    Bytes = 6,
}

/// The clients that do more than others, and what the busiest do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Busy {
    /// The most handshakes of any client in a second.
    pub most_handshakes: f64,
    /// The most bytes of any client in a second.
    pub most_bytes: f64,
    /// Ten with most handshakes and ten with most bytes, as far as these are many; who exceeds most comes first.
    pub clients: Vec<BusyClient>,
}

/// What a client does; each rate is that of the last minute.
#[derive(Clone, Debug, PartialEq)]
pub struct BusyClient {
    /// An address, or the first of a network; `None` for all those on Unix sockets.
    pub client: Option<IpAddr>,
    /// How many connections it has now.
    pub connections: u64,
    /// Opening handshakes in a second, those that were refused included.
    pub handshakes: f64,
    /// Those that were refused.
    pub refused: f64,
    /// Bytes in a second, both ways.
    pub bytes: f64,
}

/// The table.
#[derive(Clone, Copy)]
pub(crate) struct Rates<'m> {
    rows: &'m [Row],
    /// Keeps clients from choosing their rows.
    seed: u64,
}

/// A minute's count in one word.
#[derive(Clone, Copy)]
struct Count(u64);

impl Count {
    const BITS: u32 = 40;
    const MOST: u64 = (1 << Self::BITS) - 1;

    fn new(minute: u64, count: u64) -> Self {
        Count(minute << Self::BITS | count.min(Self::MOST))
    }

    fn of(word: &AtomicU64) -> Self {
        Count(word.load(Ordering::Relaxed))
    }

    /// How many minutes ago it was counted.
    fn age(self, minute: u64) -> u64 {
        let mask = (1 << (u64::BITS - Self::BITS)) - 1;
        minute.wrapping_sub(self.0 >> Self::BITS) & mask
    }

    fn count(self) -> u64 {
        self.0 & Self::MOST
    }

    /// What was counted in just this minute.
    fn in_minute(self, minute: u64) -> u64 {
        match self.age(minute) {
            0 => self.count(),
            _ => 0,
        }
    }

    /// Half of it with each minute.
    fn decayed(self, minute: u64) -> u64 {
        self.count() >> self.age(minute).min(63)
    }
}

fn change(word: &AtomicU64, changed: impl Fn(Count) -> Count) {
    let change = |before| Some(changed(Count(before)).0);
    let _ = word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
}

impl<'m> Rates<'m> {
    pub fn new(rows: &'m [Row], seed: u64) -> Self {
        Rates { rows, seed }
    }

    /// Counts something for a client; `now` is Unix time.
    pub fn add(self, client: Client, figure: Figure, count: u64, now: Duration) {
        let minute = now.as_secs() / 60;
        let weight = match figure {
            Figure::Handshakes => count,
            // It is counted as a handshake, too.
            Figure::Refused => 0,
            Figure::Bytes => count / STEP,
        };
        if let Some(row) = self.row(client, minute) {
            change(&row[WEIGHT], |before| {
                Count::new(minute, before.decayed(minute) + weight)
            });
            change(&row[figure as usize + (minute % 2) as usize], |before| {
                Count::new(minute, before.in_minute(minute) + count)
            });
        }
    }

    /// The client's row. Where others take rows all the time, it may have none.
    fn row(self, client: Client, minute: u64) -> Option<&'m Row> {
        let sets = self.rows.chunks_exact(ROWS);
        let index = client.mixed(self.seed) as usize % sets.len().max(1);
        let set = sets.into_iter().nth(index)?;
        let owner = |row: &Row| row[CLIENT].load(Ordering::Relaxed);
        if let Some(row) = set.iter().find(|row| owner(row) == client.0) {
            return Some(row);
        }
        let weight = |row: &&Row| Count::of(&row[WEIGHT]).decayed(minute);
        let row = set.iter().min_by_key(weight)?;
        let before = owner(row);
        row[CLIENT]
            .compare_exchange(before, client.0, Ordering::Relaxed, Ordering::Relaxed)
            .ok()?;
        for word in &row[Figure::Handshakes as usize..] {
            word.store(0, Ordering::Relaxed);
        }
        Some(row)
    }

    /// Who does more than others; `connections` says how many a client has.
    pub fn busy(self, now: Duration, connections: impl Fn(Client) -> u64) -> Busy {
        let mut all: Vec<(Client, BusyClient)> = Vec::new();
        for row in self.rows {
            let client = Client(row[CLIENT].load(Ordering::Relaxed));
            if client.0 == 0 {
                continue;
            }
            let rate = |figure| rate(row, figure, now);
            let seen = BusyClient {
                client: client.address(),
                connections: 0,
                handshakes: rate(Figure::Handshakes),
                refused: rate(Figure::Refused),
                bytes: rate(Figure::Bytes),
            };
            // Two threads may have taken a row each for it.
            match all.iter_mut().find(|(other, _)| *other == client) {
                Some((_, same)) => same.add(&seen),
                None => all.push((client, seen)),
            }
        }
        let mut busy = Busy::default();
        let mut told: Vec<(Client, BusyClient)> = Vec::new();
        type Rate = fn(&BusyClient) -> f64;
        let figures: [(Rate, f64, &mut f64); 2] = [
            (
                |of| of.handshakes,
                MANY_HANDSHAKES,
                &mut busy.most_handshakes,
            ),
            (|of| of.bytes, MANY_BYTES, &mut busy.most_bytes),
        ];
        for (rate, many, most) in figures {
            all.sort_by(|(_, one), (_, other)| rate(other).total_cmp(&rate(one)));
            *most = all.first().map_or(0.0, |(_, first)| rate(first));
            for (client, of) in all.iter().take(MOST).filter(|(_, of)| rate(of) > many) {
                if !told.iter().any(|(other, _)| other == client) {
                    told.push((*client, of.clone()));
                }
            }
        }
        told.sort_by(|(_, one), (_, other)| other.excess().total_cmp(&one.excess()));
        let counted = told.into_iter().map(|(client, of)| BusyClient {
            connections: connections(client),
            ..of
        });
        busy.clients = counted.collect();
        busy
    }
}

/// A rate of the last minute: what was counted in this one, and as much of the last one as is not yet a minute ago.
fn rate(row: &Row, figure: Figure, now: Duration) -> f64 {
    let minute = now.as_secs() / 60;
    let count = |minute: u64| {
        let word = &row[figure as usize + (minute % 2) as usize];
        Count::of(word).in_minute(minute) as f64
    };
    let elapsed = (now.as_secs_f64() / 60.0).fract();
    (count(minute) + (1.0 - elapsed) * count(minute.saturating_sub(1))) / 60.0
}

impl BusyClient {
    fn add(&mut self, other: &BusyClient) {
        self.handshakes += other.handshakes;
        self.refused += other.refused;
        self.bytes += other.bytes;
    }

    /// How many times as much it does as it takes to be told of.
    fn excess(&self) -> f64 {
        (self.handshakes / MANY_HANDSHAKES).max(self.bytes / MANY_BYTES)
    }

    /// The client, for people: an address, a network of IPv6, or `-` for those on Unix sockets.
    pub fn name(&self) -> String {
        match self.client {
            Some(IpAddr::V4(address)) => address.to_string(),
            Some(IpAddr::V6(network)) => format!("{network}/64"),
            None => "-".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Address;

    const NOON: Duration = Duration::from_secs(1_800_000_000);
    const SECOND: Duration = Duration::from_secs(1);

    fn rates() -> Rates<'static> {
        let rows = (0..ALL_ROWS).map(|_| Row::default());
        Rates::new(Vec::leak(rows.collect()), 7)
    }

    fn client(text: &str) -> Client {
        Address::new(Some(text.parse().unwrap())).client()
    }

    fn busy(rates: Rates<'_>, now: Duration) -> Vec<(String, f64, f64, f64)> {
        let busy = rates.busy(now, |_| 0);
        let clients = busy.clients.into_iter();
        clients
            .map(|of| (of.name(), of.handshakes, of.refused, of.bytes))
            .collect()
    }

    #[test]
    fn a_rate_is_that_of_the_last_minute() {
        let rates = rates();
        let one = client("192.0.2.7");
        for second in 0..60 {
            let now = NOON + second * SECOND;
            rates.add(one, Figure::Handshakes, 2, now);
            rates.add(one, Figure::Refused, 1, now);
            rates.add(one, Figure::Bytes, 10 * STEP, now);
        }
        let bytes = (10 * STEP) as f64;
        let name = || "192.0.2.7".to_owned();
        assert_eq!(busy(rates, NOON + 60 * SECOND), [(name(), 2.0, 1.0, bytes)]);
        assert_eq!(
            busy(rates, NOON + 90 * SECOND),
            [(name(), 1.0, 0.5, bytes / 2.0)]
        );
        assert_eq!(busy(rates, NOON + 120 * SECOND), []);
        // Its words are those of an even minute, as the next but one is.
        rates.add(one, Figure::Handshakes, 60, NOON + 120 * SECOND);
        assert_eq!(busy(rates, NOON + 121 * SECOND), [(name(), 1.0, 0.0, 0.0)]);
    }

    #[test]
    fn who_does_little_is_not_told_of_and_is_the_busiest_all_the_same() {
        let rates = rates();
        rates.add(client("192.0.2.7"), Figure::Handshakes, 6, NOON);
        rates.add(client("192.0.2.7"), Figure::Bytes, 6_000_000, NOON);
        let busy = rates.busy(NOON, |_| 0);
        assert_eq!(busy.clients, []);
        assert_eq!((busy.most_handshakes, busy.most_bytes), (0.1, 100_000.0));
    }

    #[test]
    fn ten_are_told_of_for_each_figure() {
        let rates = rates();
        for number in 0..40 {
            let address = format!("192.0.2.{number}");
            let figure = [Figure::Handshakes, Figure::Bytes][number % 2];
            let count = [100, 100_000_000][number % 2] * (1 + number as u64);
            rates.add(client(&address), figure, count, NOON);
        }
        let names: Vec<String> = busy(rates, NOON).into_iter().map(|of| of.0).collect();
        let mut wanted: Vec<String> = (20..40).map(|number| format!("192.0.2.{number}")).collect();
        assert_eq!(names[..2], ["192.0.2.39", "192.0.2.38"]);
        let mut sorted = names;
        sorted.sort();
        wanted.sort();
        assert_eq!(sorted, wanted);
    }

    #[test]
    fn networks_and_unix_sockets_have_their_names() {
        let rates = rates();
        for address in ["2001:db8:1:2:3::4", "2001:db8:1:2:5::6", "::1"] {
            rates.add(client(address), Figure::Handshakes, 10, NOON);
        }
        rates.add(Address::new(None).client(), Figure::Handshakes, 100, NOON);
        let names: Vec<String> = busy(rates, NOON).into_iter().map(|of| of.0).collect();
        assert_eq!(names, ["-", "2001:db8:1:2::/64", "::/64"]);
    }

    #[test]
    fn who_comes_often_has_a_row_however_many_come_once() {
        let rates = rates();
        let often = client("192.0.2.7");
        let mut others = 0x2001_0db8_0000_0000;
        for round in 0..60 {
            let now = NOON + round * SECOND;
            for _ in 0..20 {
                rates.add(often, Figure::Handshakes, 1, now);
                for _ in 0..500 {
                    others += 1;
                    rates.add(Client(others), Figure::Handshakes, 1, now);
                }
            }
        }
        // Of 20 a second, among 10,000 of others; a set has about 156 of these.
        let busy = busy(rates, NOON + 60 * SECOND);
        assert_eq!(busy[0].0, "192.0.2.7");
        assert!((15.0..=20.0).contains(&busy[0].1), "{busy:?}");
    }

    #[test]
    fn counts_end_at_their_largest() {
        let word = AtomicU64::new(0);
        change(&word, |before| {
            Count::new(5, before.in_minute(5) + u64::MAX / 2)
        });
        assert_eq!(Count::of(&word).in_minute(5), Count::MOST);
        assert_eq!(Count::of(&word).age(6), 1);
        // The clock has gone back.
        assert_eq!(Count::of(&word).in_minute(4), 0);
        assert_eq!(Count::of(&word).decayed(4), 0);
    }
}
