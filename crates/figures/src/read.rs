//! Reading the board while children write on it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::board::{Alive, Board, Process, read_build, slot};
use crate::entry::{COUNTERS, State};
use crate::filter::Filter;
use crate::layout::LOCATIONS;
use crate::seat::{Limits, Threads};
use crate::seen::{Seen, Sieve};
use crate::snapshot::{Child, Connection, Figures, LocationFigures, Snapshot, unix_ms};
use crate::tally::{Closes, RefusedFor, Sums, field as tally};

/// Which connections to list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listing {
    /// From this number on.
    pub from: u64,
    /// At most so many.
    pub count: usize,
    /// Of those that it means.
    pub filter: Filter,
}

impl Listing {
    /// The most that are listed at once.
    pub const LONGEST: usize = 1000;
    /// None.
    pub const NONE: Listing = Listing {
        from: 0,
        count: 0,
        filter: Filter::ALL,
    };
}

impl Default for Listing {
    fn default() -> Self {
        Listing {
            from: 0,
            count: 100,
            filter: Filter::ALL,
        }
    }
}

/// What is summed up for one Location.
struct Reading {
    location: usize,
    name: String,
    plugin: String,
    sums: Sums,
    figures: Figures,
}

/// The connections that are listed.
struct Page<'m, 'l> {
    listing: &'l Listing,
    sieve: Sieve<'l>,
    /// How many WebSockets the filter means, listed or not.
    matching: u64,
    found: Vec<(Seen<'m>, State, u32)>,
}

impl<'m, 'l> Page<'m, 'l> {
    fn new(listing: &'l Listing, board: Board<'_>) -> Self {
        Page {
            listing,
            sieve: Sieve::new(&listing.filter, board),
            matching: 0,
            found: Vec::new(),
        }
    }

    /// A connection of the child with this process id.
    fn offer(&mut self, seen: Seen<'m>, state: State, pid: u32) {
        if self.listing.count > 0 && self.sieve.lets_through(&seen, pid) {
            self.matching += u64::from(state != State::Opening);
            if seen.id >= self.listing.from {
                self.found.push((seen, state, pid));
            }
        }
    }

    /// Those that are listed, and the number of the one behind them.
    fn finish(mut self, readings: &[Reading]) -> (Vec<Connection>, Option<u64>) {
        let count = self.listing.count;
        self.found.sort_unstable_by_key(|(seen, ..)| seen.id);
        let next = self.found.get(count).map(|(seen, ..)| seen.id);
        self.found.truncate(count);
        // Their texts only now: to read them takes longer than all the rest.
        let connections = self.found.into_iter().filter_map(|(seen, state, pid)| {
            let mut readings = readings.iter();
            let reading = readings.find(|reading| reading.location == seen.location)?;
            seen.connection(state, pid, &reading.name)
        });
        (connections.collect(), next)
    }
}

impl<'m> Board<'m> {
    /// Reads everything. What is on its way from one place to another at this moment is missed, never counted
    /// twice, and no counter is less than it has been.
    pub fn read(self, listing: &Listing, alive: Alive<'_>) -> Snapshot {
        let mut readings = self.readings();
        // The order matters: first where counts go to, then where they come from.
        for reading in &mut readings {
            reading.sums.add_tally(&self.retired[reading.location]);
        }
        let mut children = Vec::new();
        let mut page = Page::new(listing, self);
        let build = self.build();
        for (index, owner) in self.taken() {
            let process = Process::unpack(owner).filter(|&process| alive(process));
            let slot = self.slot(index);
            let mut count = 0;
            for reading in &mut readings {
                if slot.is_used(reading.location) {
                    let words = &slot.tallies[reading.location];
                    reading.sums.add_tally(words);
                    if process.is_some() {
                        let unlisted = words[tally::UNLISTED].load(Ordering::Relaxed);
                        reading.figures.open += unlisted;
                        count += unlisted;
                    }
                }
            }
            for seen in slot.seen() {
                let Some(reading) = readings
                    .iter_mut()
                    .find(|reading| reading.location == seen.location)
                else {
                    continue;
                };
                for (&(_, to), number) in COUNTERS.iter().zip(seen.counters) {
                    reading.sums.add(to, number);
                }
                if let (Some(process), Some(state), true) =
                    (process, seen.state, seen.owner == owner)
                {
                    count += 1;
                    let figures = &mut reading.figures;
                    figures.queued += seen.queued;
                    match state {
                        State::Opening => figures.opening += 1,
                        State::Open => figures.open += 1,
                        State::Closing => figures.closing += 1,
                    }
                    page.offer(seen, state, process.pid);
                }
            }
            if let Some(process) = process {
                children.push(child(slot.header, process, count, &build));
            }
        }
        let matching = page.matching;
        let (connections, next) = page.finish(&readings);
        children.sort_unstable_by_key(|child| (child.generation, child.pid));
        for reading in &mut readings {
            reading.sums.mark(&self.marks[reading.location]);
        }
        let locations = locations(readings);
        let mut total = Figures::default();
        for location in &locations {
            total.add(&location.figures);
        }
        let now = Duration::from_millis(unix_ms());
        Snapshot {
            now,
            since: Duration::from_millis(self.made()),
            build,
            total,
            locations,
            children_died: self.died(),
            children,
            busy: self.rates().busy(now, |client| self.clients().of(client)),
            matching,
            connections,
            topics: None,
            next,
        }
    }

    /// Nothing yet, for each Location that there is.
    fn readings(self) -> Vec<Reading> {
        let labels = (0..LOCATIONS).filter_map(|location| Some((location, self.label(location)?)));
        labels
            .map(|(location, (name, plugin))| Reading {
                location,
                name,
                plugin,
                sums: Sums::new(),
                figures: Figures::default(),
            })
            .collect()
    }

    /// The bells of all slots that were ever taken, for a reader who wants the latest of the children. Nobody hears
    /// a dead child's.
    pub fn bells(self) -> impl Iterator<Item = &'m AtomicU64> {
        self.taken()
            .map(move |(index, _)| &self.slot(index).header[slot::BELL])
    }
}

fn child(header: &[AtomicU64], process: Process, connections: u64, newest: &str) -> Child {
    let word = |field: usize| header[field].load(Ordering::Relaxed);
    let build = read_build(&header[slot::BUILD..]);
    Child {
        pid: process.pid,
        is_outdated: build != newest,
        build,
        limits: Limits {
            connections: word(slot::LIMITS),
            websockets: word(slot::LIMITS + 1),
            message_memory: word(slot::LIMITS + 2),
        },
        message_memory: word(slot::MESSAGE_MEMORY),
        generation: word(slot::GENERATION),
        is_stopping: word(slot::STOPPING) != 0,
        since: Duration::from_millis(word(slot::SINCE)),
        threads: Threads {
            busy: word(slot::THREADS_BUSY),
            idle: word(slot::THREADS_IDLE),
        },
        connections,
    }
}

/// The figures, by name and plugin. Two Locations of one name are one: the child that was writing one of them may
/// have died, so that the name was written again.
fn locations(readings: Vec<Reading>) -> Vec<LocationFigures> {
    let mut locations: Vec<LocationFigures> = Vec::new();
    for Reading {
        name,
        plugin,
        sums,
        figures,
        ..
    } in readings
    {
        let figures = Figures {
            accepted: sums.get(tally::ACCEPTED),
            refused: RefusedFor::ALL
                .map(|reason| (reason, sums.refused(reason)))
                .to_vec(),
            messages_in: sums.get(tally::MESSAGES_IN),
            messages_out: sums.get(tally::MESSAGES_OUT),
            bytes_in: sums.get(tally::BYTES_IN),
            bytes_out: sums.get(tally::BYTES_OUT),
            round_trips: sums.round_trips(),
            longest_callback: Duration::from_nanos(sums.get(tally::LONGEST)),
            closes: Closes::all()
                .map(|code| (code, sums.closed(code)))
                .collect(),
            ..figures
        };
        let is_same = |other: &&mut LocationFigures| other.name == name && other.plugin == plugin;
        match locations.iter_mut().find(is_same) {
            Some(same) => same.figures.add(&figures),
            None => locations.push(LocationFigures {
                name,
                plugin,
                figures,
            }),
        }
    }
    // Nobody wants to see it while there is nothing in it.
    locations.retain(|location| !location.plugin.is_empty() || !location.figures.is_unused());
    locations.sort_by(|one, other| (&one.name, &one.plugin).cmp(&(&other.name, &other.plugin)));
    locations
}

impl Figures {
    fn is_unused(&self) -> bool {
        self.accepted == 0 && self.opening == 0 && self.all_refused() == 0
    }
}
