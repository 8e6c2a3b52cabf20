//! What one subscription may see next: it knows what was published, and nothing of how that is delivered.

use subscribers::Slow;

use crate::journal::{Journal, Published, TOPICS};
use crate::world::World;

/// What a client sees of one subscription.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    /// The first message of `topics.json`: whether it is recovered, and the id.
    Hello(Option<bool>, u64),
    /// The message with this id.
    Message(u64),
    Dropped(u64),
    /// Some are missing; what it may come back with.
    Gap(u64),
    /// How many members there are now, of a topic.
    Joined(usize, u32),
    Left(usize, u32),
    Members(usize, u32),
}

/// One subscription, as its client knows it.
pub struct Model {
    pub topics: Vec<usize>,
    slow: Slow,
    /// As a publisher; 0 is nobody.
    origin: u64,
    phase: Phase,
    /// What it may come back with.
    pub since: Option<u64>,
    /// The last message that it has seen; nothing before it comes any more.
    seen: u64,
    /// The same, by topic.
    seen_of: [u64; TOPICS],
    /// Nothing up to here is missed.
    floor: u64,
    /// So many were dropped, it was told, and it is not known yet which.
    dropped: u64,
    /// How many that are is known exactly.
    is_exact: bool,
    /// It may be shown what topics retain, once for each subscription.
    is_newcomer: bool,
    retained_left: [u32; TOPICS],
    members: [Option<u32>; TOPICS],
    /// The next notice has to follow on the last one.
    is_members_sure: [bool; TOPICS],
    /// What an earlier subscription has been told may still be on its way.
    is_again: bool,
    /// What is volatile behind this one, it gets as well.
    volatile_from: u64,
}

enum Phase {
    /// What comes is looked at once it is known where it begins.
    Opening(Vec<(Seen, Option<u64>)>),
    Open,
    /// No subscription: what is on its way may still come.
    Closed,
}

impl Model {
    /// A subscription that is about to be; `since`: what it comes back with.
    pub fn new(topics: Vec<usize>, slow: Slow, origin: u64, since: Option<u64>) -> Self {
        Model {
            topics,
            slow,
            origin,
            phase: Phase::Opening(Vec::new()),
            since,
            seen: 0,
            seen_of: [0; TOPICS],
            floor: 0,
            dropped: 0,
            is_exact: true,
            is_newcomer: true,
            retained_left: [1; TOPICS],
            members: [None; TOPICS],
            is_members_sure: [false; TOPICS],
            is_again: false,
            volatile_from: u64::MAX,
        }
    }

    /// It is live: from now on it gets what is volatile, as long as it does not fall behind.
    pub fn is_live(&mut self, from: u64) {
        self.volatile_from = from;
    }

    /// It is slow, or was passed by: what is volatile may be lost to it.
    pub fn may_miss_volatile(&mut self) {
        self.volatile_from = u64::MAX;
    }

    /// It is subscribed, and gets everything behind `floor`, perhaps more, but nothing up to `least`.
    pub fn begins(&mut self, world: &World, journal: &Journal, least: u64, floor: u64) {
        (self.seen, self.floor) = (self.seen.max(least), floor);
        self.seen_of = self.seen_of.map(|seen| seen.max(least));
        self.is_exact &= self.seen == floor;
        // A client that subscribes again by itself does not come back.
        self.is_newcomer = self.is_again || self.since != Some(floor);
        if let Phase::Opening(early) = std::mem::replace(&mut self.phase, Phase::Open) {
            for (seen, id) in early {
                self.sees(world, journal, seen, id);
            }
        }
    }

    /// It is subscribed no more.
    pub fn ends(&mut self) {
        self.phase = Phase::Closed;
        (self.floor, self.is_exact) = (u64::MAX, false);
    }

    /// It is about to be subscribed again, by the same client.
    pub fn begins_again(&mut self) {
        self.phase = Phase::Opening(Vec::new());
        self.is_again = true;
        self.is_members_sure = [false; TOPICS];
        self.retained_left = self.retained_left.map(|left| left + 1);
    }

    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// The client sees something; `told`: with an id, that it may come back with.
    pub fn sees(&mut self, world: &World, journal: &Journal, seen: Seen, told: Option<u64>) {
        if let (Phase::Opening(early), false) = (&mut self.phase, matches!(seen, Seen::Hello(..))) {
            early.push((seen, told));
            return;
        }
        match seen {
            Seen::Hello(recovered, id) => self.is_greeted(world, journal, recovered, id),
            Seen::Message(id) => self.gets(journal, journal.at(id), told),
            Seen::Dropped(count) => {
                world.mark("some are dropped");
                assert_ne!(self.slow, Slow::Close, "nothing is dropped");
                self.dropped += count;
            }
            Seen::Gap(id) => {
                world.mark("a gap is told");
                assert!(id >= self.seen, "a gap up to {id}, behind {}", self.seen);
                self.since = Some(id);
                (self.seen, self.floor) = (id, self.floor.max(id));
                if self.slow == Slow::Latest {
                    // How many there were nobody knows.
                    self.floor = journal_end(journal);
                }
                self.seen_of = self.seen_of.map(|seen| seen.max(id));
                self.dropped = 0;
                self.is_exact = false;
            }
            Seen::Joined(topic, count) => self.is_told(topic, count, 1),
            Seen::Left(topic, count) => self.is_told(topic, count, -1),
            Seen::Members(topic, count) => {
                world.mark("members are counted anew");
                self.members[topic] = Some(count);
                self.is_members_sure[topic] = false;
            }
        }
        if let Some(id) = told {
            self.knows(journal, id);
        }
    }

    /// The client comes back with this id, if it is the last: what came up to it, it has seen, or was told of.
    fn knows(&mut self, journal: &Journal, id: u64) {
        let since = self.since.unwrap_or(0);
        assert!(since <= id, "the ids go back from {since} to {id}");
        let (missing, volatile) = self.missing(journal, id, None);
        match self.slow {
            Slow::Close => assert!(missing.is_empty(), "{missing:?} are missing up to {id}"),
            Slow::Drop => self.were_dropped(&missing, volatile),
            Slow::Latest => {
                let dropped = self.dropped;
                let is_told = missing.len() as u64 <= dropped;
                assert!(
                    is_told,
                    "{missing:?} are missing up to {id}, and {dropped} were dropped"
                );
            }
        }
        self.since = Some(id);
    }

    fn is_greeted(&mut self, world: &World, journal: &Journal, recovered: Option<bool>, id: u64) {
        match recovered {
            Some(true) => {
                world.mark("what was missed is recovered");
                assert_eq!(self.since, Some(id), "it comes back with another id");
            }
            Some(false) => {
                world.mark("what was missed is lost");
                assert!(self.since.is_some_and(|since| since <= id));
                self.since = None;
            }
            None => assert_eq!(self.since, None, "it has come back, and nobody says so"),
        }
        self.begins(world, journal, id, id);
        self.since = Some(id);
    }

    fn is_told(&mut self, topic: usize, count: u32, step: i64) {
        if let (Some(before), true) = (self.members[topic], self.is_members_sure[topic]) {
            let expected = i64::from(before) + step;
            assert_eq!(
                i64::from(count),
                expected,
                "a member has come or gone untold"
            );
        }
        self.members[topic] = Some(count);
        self.is_members_sure[topic] = !self.is_again;
    }

    fn gets(&mut self, journal: &Journal, message: Published, told: Option<u64>) {
        let Published { id, topic, .. } = message;
        assert!(self.topics.contains(&topic), "{id} is of another topic");
        assert!(!self.is_own(&message), "{id} is its own");
        if id <= self.seen && self.is_retained(journal, &message) {
            return;
        }
        assert!(id > self.seen, "{id} comes behind {}", self.seen);
        // One that is retained may have come between the two looks at the log's end that the client's own has.
        let may_differ = self.is_newcomer && message.flags.retain;
        let is_told_so = told.is_none_or(|told| told == id || may_differ);
        assert!(is_told_so, "{id} comes with another's id, {told:?}");
        let (missing, volatile) = self.missing(journal, id - 1, Some(topic));
        match self.slow {
            Slow::Close => assert!(missing.is_empty(), "{missing:?} are missing before {id}"),
            Slow::Drop => {
                self.were_dropped(&missing, volatile);
                self.dropped = 0;
            }
            Slow::Latest => {
                let count = missing.len() as u64;
                assert!(
                    count <= self.dropped,
                    "{missing:?} are missing before {id}, and {} were dropped",
                    self.dropped
                );
                self.dropped -= count;
            }
        }
        self.seen = id;
        self.seen_of[topic] = id;
        self.since = Some(id);
        self.is_exact |= id > self.floor;
    }

    /// Whether it is the value of its topic, for a newcomer: the last one that was there.
    fn is_retained(&mut self, journal: &Journal, message: &Published) -> bool {
        let is_value = |later: &Published| later.topic == message.topic && later.flags.retain;
        let is_last = !journal.between(message.id, self.seen).iter().any(is_value);
        let left = &mut self.retained_left[message.topic];
        let is_one = self.is_newcomer && message.flags.retain && is_last && *left > 0;
        *left -= u32::from(is_one);
        is_one
    }

    fn were_dropped(&self, missing: &[u64], volatile: u64) {
        let (least, most) = (missing.len() as u64, missing.len() as u64 + volatile);
        let is_right = self.dropped >= least && (self.dropped <= most || !self.is_exact);
        assert!(
            is_right,
            "{missing:?} are missing, and {} were dropped",
            self.dropped
        );
    }

    fn is_own(&self, message: &Published) -> bool {
        message.flags.exclude_origin && message.origin != 0 && message.origin == self.origin
    }

    /// What it has not seen up to an id, and how many that it need not see. `topic`: for one that gets the newest only.
    fn missing(&self, journal: &Journal, last: u64, topic: Option<usize>) -> (Vec<u64>, u64) {
        let begin = match self.slow {
            Slow::Latest => self.floor,
            _ => self.floor.max(self.seen),
        };
        let mut volatile = 0;
        let mut missing = Vec::new();
        for message in journal.between(begin, last) {
            let is_seen = self.slow == Slow::Latest
                && (message.id <= self.seen_of[message.topic]
                    || topic.is_some_and(|topic| topic != message.topic));
            if is_seen || !self.topics.contains(&message.topic) || self.is_own(&message) {
                continue;
            }
            match message.flags.volatile && message.id <= self.volatile_from {
                true => volatile += 1,
                false => missing.push(message.id),
            }
        }
        (missing, volatile)
    }

    /// Nothing more comes by itself: it must have seen everything, or been told.
    pub fn is_complete(&self, journal: &Journal, who: &str) {
        if !matches!(self.phase, Phase::Open) {
            return;
        }
        let (missing, volatile) = self.missing(journal, u64::MAX, None);
        let is_complete = match self.slow {
            Slow::Close => missing.is_empty(),
            Slow::Drop => {
                self.were_dropped(&missing, volatile);
                true
            }
            Slow::Latest => missing.len() as u64 <= self.dropped,
        };
        assert!(
            is_complete,
            "{who} does not get {missing:?}, and has room for them"
        );
    }

    /// How many members it has been told there are, of a topic.
    pub fn members(&self, topic: usize) -> Option<u32> {
        self.members[topic].filter(|_| matches!(self.phase, Phase::Open) && !self.is_again)
    }
}

fn journal_end(journal: &Journal) -> u64 {
    let all = journal.between(0, u64::MAX);
    all.last().map_or(0, |last| last.id)
}
