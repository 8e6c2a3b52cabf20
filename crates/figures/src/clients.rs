//! How many connections each client has, over all children: one table that all of them count in.
//!
//! ```text
//!  client ── permutation with the board's seed ──► window (15 bits), tag (49 bits)
//!  window ── 16 rows of one word:  tag (49 bits) | count (15 bits),  0 when nobody has it
//! ```
//!
//! The permutation loses nothing, so that window and tag stand for one client only, and the count is exact. A row is one
//! word, changed as a whole: there is no moment at which another thread sees half of a change, and no lock that a dead
//! child could keep. A client may have two rows (when one is full, or when two connections that are its first came at
//! once); the sum counts.
//!
//! # Children that die
//!
//! An entry says which row counts it: before it is counted, until after it is no more. So the process that cleans up behind a dead
//! child takes back all that it had. If it was killed between the two, one is taken back that was not there, so that this
//! client may have one more than its limit until it has none; **never one less**. The parent cleans up when it has
//! noticed the end ([`Board::ended`](crate::Board::ended)), else the child that takes the place ([`crate::Seat::claim`]).
//! Until then, whoever is about to refuse a client leaves out what dead children count for it
//! ([`Entry::is_within`](crate::Entry::is_within)), and changes nothing: it may be killed itself.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::client::Client;

const WINDOW_BITS: u32 = 15;
/// Among how many windows clients are spread.
pub(crate) const WINDOWS: usize = 1 << WINDOW_BITS;
/// The rows of a window: two cache lines, which one look brings in.
pub(crate) const WINDOW: usize = 16;
/// A tag has what the window does not say.
const COUNT: u64 = (1 << WINDOW_BITS) - 1;

pub(crate) type Window = [AtomicU64; WINDOW];

/// The table.
#[derive(Clone, Copy)]
pub(crate) struct Clients<'m> {
    windows: &'m [Window],
    /// Keeps clients from choosing their windows.
    seed: u64,
}

/// What a row counts of its client.
fn count(row: u64, tag: u64) -> u64 {
    match row >> WINDOW_BITS == tag {
        true => row & COUNT,
        false => 0,
    }
}

impl<'m> Clients<'m> {
    pub fn new(windows: &'m [Window], seed: u64) -> Self {
        Clients { windows, seed }
    }

    /// Counts one more connection of a client, and says which one it is. `place` gets what takes it out again.
    /// `None`: there is no room for one more client here, and the connection is not counted.
    pub fn enter(self, client: Client, place: &AtomicU64) -> Option<u64> {
        let (window, tag) = self.find(client);
        let rows = self.windows.get(window)?;
        // Each time round, another thread has got on.
        loop {
            let seen = || {
                rows.iter()
                    .map(|row| row.load(Ordering::Relaxed))
                    .enumerate()
            };
            let has_room = |row: u64| (1..COUNT).contains(&count(row, tag));
            let found = seen()
                .find(|&(_, row)| has_room(row))
                .or_else(|| seen().find(|&(_, row)| row == 0));
            let Some((index, before)) = found else {
                place.store(0, Ordering::SeqCst);
                return None;
            };
            place.store((window * WINDOW + index) as u64 + 1, Ordering::SeqCst);
            let after = tag << WINDOW_BITS | (count(before, tag) + 1);
            if rows[index]
                .compare_exchange(before, after, Ordering::SeqCst, Ordering::Relaxed)
                .is_ok()
            {
                let others = rows.iter().enumerate().filter(|&(other, _)| other != index);
                let others = others.map(|(_, row)| count(row.load(Ordering::SeqCst), tag));
                return Some(count(after, tag) + others.sum::<u64>());
            }
        }
    }

    /// One connection less of a client that is counted at `place`.
    pub fn leave(self, client: Client, place: &AtomicU64) {
        let (_, tag) = self.find(client);
        let index = place.load(Ordering::SeqCst).wrapping_sub(1);
        let row = usize::try_from(index)
            .ok()
            .and_then(|index| self.windows.as_flattened().get(index));
        if let Some(row) = row {
            // What a dead child has not counted any more is not there.
            let _ = row.fetch_update(Ordering::SeqCst, Ordering::Relaxed, |row| {
                match count(row, tag) {
                    0 => None,
                    1 => Some(0),
                    _ => Some(row - 1),
                }
            });
        }
        place.store(0, Ordering::SeqCst);
    }

    /// How many connections a client has.
    pub fn of(self, client: Client) -> u64 {
        let (window, tag) = self.find(client);
        let rows = self.windows.get(window).into_iter().flatten();
        rows.map(|row| count(row.load(Ordering::SeqCst), tag)).sum()
    }

    /// Window and tag of a client: no two clients have both in common.
    fn find(self, client: Client) -> (usize, u64) {
        let mixed = client.mixed(self.seed);
        (mixed as usize % WINDOWS, mixed >> WINDOW_BITS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows() -> &'static [Window] {
        Vec::leak((0..WINDOWS).map(|_| Window::default()).collect())
    }

    fn enter(clients: Clients<'_>, client: u64, places: &mut Vec<AtomicU64>) -> Option<u64> {
        let place = AtomicU64::new(0);
        let nth = clients.enter(Client(client), &place);
        places.push(place);
        nth
    }

    #[test]
    fn each_client_is_counted_by_itself() {
        let clients = Clients::new(windows(), 7);
        let mut places = Vec::new();
        for round in 1..=3 {
            for client in 0..20_000 {
                assert_eq!(enter(clients, client, &mut places), Some(round));
            }
        }
        assert_eq!(clients.of(Client(19_999)), 3);
        for (index, place) in places.iter().enumerate() {
            clients.leave(Client(index as u64 % 20_000), place);
        }
        let rows = clients.windows.as_flattened();
        assert!(rows.iter().all(|row| row.load(Ordering::Relaxed) == 0));
    }

    #[test]
    fn a_client_may_have_more_than_a_row_counts() {
        let clients = Clients::new(windows(), 7);
        let mut places = Vec::new();
        let most = 3 * COUNT;
        for nth in 1..=most {
            assert_eq!(enter(clients, 4711, &mut places), Some(nth));
        }
        for left in (0..most).rev() {
            clients.leave(Client(4711), &places.pop().unwrap());
            assert_eq!(clients.of(Client(4711)), left);
        }
    }

    #[test]
    fn a_window_that_is_full_counts_no_further_client() {
        let clients = Clients::new(windows(), 7);
        let mut places = Vec::new();
        let (window, _) = clients.find(Client(0));
        let mut fellows = (0..).filter(|&client| clients.find(Client(client)).0 == window);
        for _ in 0..WINDOW {
            assert_eq!(
                enter(clients, fellows.next().unwrap(), &mut places),
                Some(1)
            );
        }
        let one_too_many = fellows.next().unwrap();
        assert_eq!(enter(clients, one_too_many, &mut places), None);
        clients.leave(Client(one_too_many), places.last().unwrap());
        clients.leave(Client(0), &places[0]);
        assert_eq!(enter(clients, one_too_many, &mut places), Some(1));
    }

    #[test]
    fn what_was_taken_back_already_is_not_taken_from_others() {
        let clients = Clients::new(windows(), 7);
        let mut places = Vec::new();
        enter(clients, 1, &mut places);
        let copy = AtomicU64::new(places[0].load(Ordering::Relaxed));
        clients.leave(Client(1), &places[0]);
        clients.leave(Client(1), &copy);
        assert_eq!(clients.of(Client(1)), 0);
        enter(clients, 2, &mut places);
        let foreign = AtomicU64::new(places[2 - 1].load(Ordering::Relaxed));
        clients.leave(Client(1), &foreign);
        assert_eq!(clients.of(Client(2)), 1);
    }
}
