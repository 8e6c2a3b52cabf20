//! The figures at one moment.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::entry::State;
use crate::histogram::Histogram;
use crate::rates::Busy;
use crate::seat::{Limits, Threads};
use crate::tally::{Closes, RefusedFor};
use crate::texts::About;
use crate::topics::Topics;

/// What [`Board::read`](crate::Board::read) has read.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When it was read.
    pub now: Duration,
    /// Since when is counted. This and every other time: since the Unix epoch.
    pub since: Duration,
    /// The module that the parent has loaded last.
    pub build: String,
    /// The sum over all Locations.
    pub total: Figures,
    /// By name and plugin.
    pub locations: Vec<LocationFigures>,
    /// How many children have died, instead of ending when they were told to.
    pub children_died: u64,
    /// Those that live.
    pub children: Vec<Child>,
    /// The clients that do more than others.
    pub busy: Busy,
    /// How many WebSockets match what was asked for, listed or not.
    pub matching: u64,
    /// The connections that were asked for, by their numbers.
    pub connections: Vec<Connection>,
    /// The figures of topics, which are not on the board: `None` until somebody has put them here.
    pub topics: Option<Topics>,
    /// The number to ask for the next connections from; `None` when there are no more.
    pub next: Option<u64>,
}

/// The figures of one Location.
#[derive(Clone, Debug)]
pub struct LocationFigures {
    /// The address of its WebSockets.
    pub name: String,
    /// Its plugin.
    pub plugin: String,
    /// Its figures.
    pub figures: Figures,
}

/// Figures, of one Location or of all.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Connections before their 101.
    pub opening: u64,
    /// Open WebSockets.
    pub open: u64,
    /// WebSockets in their closing handshake.
    pub closing: u64,
    /// Handshakes accepted.
    pub accepted: u64,
    /// Handshakes refused, for each reason.
    pub refused: Vec<(RefusedFor, u64)>,
    /// Messages that came.
    pub messages_in: u64,
    /// Messages that were sent.
    pub messages_out: u64,
    /// Bytes read from connections.
    pub bytes_in: u64,
    /// Bytes written to connections.
    pub bytes_out: u64,
    /// Bytes that wait for peers.
    pub queued: u64,
    /// How long pings took.
    pub round_trips: Histogram,
    /// The longest time that a callback took.
    pub longest_callback: Duration,
    /// WebSockets that have ended, for each code.
    pub closes: Vec<(Closes, u64)>,
}

/// One child.
#[derive(Clone, Debug)]
pub struct Child {
    /// Its process id.
    pub pid: u32,
    /// The generation of the configuration that it has.
    pub generation: u64,
    /// Whether it is to end.
    pub is_stopping: bool,
    /// Since when it counts.
    pub since: Duration,
    /// The module that it has; empty when nobody has said so.
    pub build: String,
    /// Whether the parent has loaded another one since.
    pub is_outdated: bool,
    /// What it takes.
    pub limits: Limits,
    /// How many bytes its unfinished messages have.
    pub message_memory: u64,
    /// Its threads.
    pub threads: Threads,
    /// Its connections, in whatever state.
    pub connections: u64,
}

/// One connection.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Its number.
    pub id: u64,
    /// The child that has it.
    pub pid: u32,
    /// Its Location's name.
    pub location: String,
    /// The client's address.
    pub client: Option<IpAddr>,
    /// What it is called, once it is open.
    pub about: Option<About>,
    /// How far it is.
    pub state: State,
    /// Since when it is there.
    pub since: Duration,
    /// Messages that came.
    pub messages_in: u64,
    /// Messages that were sent.
    pub messages_out: u64,
    /// Bytes read.
    pub bytes_in: u64,
    /// Bytes written.
    pub bytes_out: u64,
    /// Bytes that wait for the peer.
    pub queued: u64,
    /// The latest ping.
    pub round_trip: Option<Duration>,
}

impl Figures {
    /// How many handshakes were refused for a reason.
    pub fn refused(&self, reason: RefusedFor) -> u64 {
        let found = self.refused.iter().find(|(of, _)| *of == reason);
        found.map_or(0, |(_, count)| *count)
    }

    /// How many handshakes were refused.
    pub fn all_refused(&self) -> u64 {
        self.refused.iter().map(|(_, count)| count).sum()
    }

    /// Adds the figures of another Location.
    pub fn add(&mut self, other: &Figures) {
        for (sum, count) in [
            (&mut self.opening, other.opening),
            (&mut self.open, other.open),
            (&mut self.closing, other.closing),
            (&mut self.accepted, other.accepted),
            (&mut self.messages_in, other.messages_in),
            (&mut self.messages_out, other.messages_out),
            (&mut self.bytes_in, other.bytes_in),
            (&mut self.bytes_out, other.bytes_out),
            (&mut self.queued, other.queued),
        ] {
            *sum += count;
        }
        add_each(&mut self.refused, &other.refused);
        add_each(&mut self.closes, &other.closes);
        let counts = &mut self.round_trips.counts;
        counts.resize(counts.len().max(other.round_trips.counts.len()), 0);
        for (sum, count) in counts.iter_mut().zip(&other.round_trips.counts) {
            *sum += count;
        }
        self.round_trips.sum += other.round_trips.sum;
        self.longest_callback = self.longest_callback.max(other.longest_callback);
    }
}

/// Both lists have the same keys, or the sum has none yet.
fn add_each<K: Copy>(sums: &mut Vec<(K, u64)>, others: &[(K, u64)]) {
    if sums.is_empty() {
        sums.extend_from_slice(others);
        return;
    }
    for ((_, sum), (_, count)) in sums.iter_mut().zip(others) {
        *sum += count;
    }
}

impl Snapshot {
    /// The threads of all children.
    pub fn threads(&self) -> Threads {
        let mut sum = Threads::default();
        for child in &self.children {
            sum.busy += child.threads.busy;
            sum.idle += child.threads.idle;
        }
        sum
    }
}

/// Unix time.
pub(crate) fn unix_time() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default()
}

/// Milliseconds of Unix time.
pub(crate) fn unix_ms() -> u64 {
    unix_time().as_millis() as u64
}
