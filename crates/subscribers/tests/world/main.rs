//! A world of publishers, processes, subscribers that are slow or vanish, and come back: whatever a seed has them do, each
//! subscriber sees what was published in order, without a gap that it is not told, and nothing twice.
//!
//! `WORLD_SEED=n` runs one seed, and tells its story.

mod peer;

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use fastrand::Rng;
use peer::{Peer, Seen};
use subscribers::{Form, Hub, Outlet, Slow, Subscriber, Terms};
use topics::{
    Batch, Bell, Epoch, Flags, Kind, Layout, Log, Message, Owner, Publisher, Reader, Token, Topic,
};

const SEEDS: u64 = 400;
const STEPS: usize = 600;
const TOPICS: usize = 4;
const CHILDREN: usize = 3;

/// A bell that nobody hears: here, a step is when somebody looks.
#[derive(Clone, Copy)]
struct Mute;

impl Bell for Mute {
    fn wait(&self, _: &AtomicU64, _: u64, _: Duration) {}
    fn wake(&self, _: &AtomicU64) {}
}

/// A process.
struct Child {
    owner: Owner,
    hub: Hub,
    reader: Reader<'static>,
}

/// A client with its connection, if it has one.
struct Client {
    /// Its topics, by their numbers.
    numbers: Vec<usize>,
    slow: Slow,
    /// The last id that it knows of.
    since: Option<Token>,
    connection: Option<(usize, Arc<Peer>, Arc<Subscriber>)>,
    /// What was published to its topics up to here it has seen, or was told of.
    seen: u64,
}

struct World {
    rng: Rng,
    log: Log<'static>,
    next_owner: u64,
    dead: Vec<Owner>,
    children: Vec<Option<Child>>,
    clients: Vec<Client>,
    /// What was published: topic and payload, by id.
    published: Vec<(usize, String)>,
    /// What was forgotten of each topic: the messages up to this one.
    forgotten: [u64; TOPICS],
    is_told: bool,
    marks: Marks,
}

/// What must have happened in some world, or the seeds prove little.
#[derive(Default, Debug, Clone, Copy)]
struct Marks {
    resumed: usize,
    lost: usize,
    dropped: usize,
    closed_slow: usize,
    gaps: usize,
    killed: usize,
    caught_up: usize,
}

fn topic(number: usize) -> Topic {
    Topic::new(&format!("/{number}")).unwrap()
}

impl World {
    fn new(seed: u64, is_told: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let layout = Layout {
            ring: [8 << 10, 64 << 10][rng.usize(..2)],
            topics: 16,
            seats: 16,
        };
        let words: Vec<AtomicU64> = (0..layout.words().unwrap())
            .map(|_| AtomicU64::new(0))
            .collect();
        let epoch = Epoch(NonZeroU64::new(seed + 1).unwrap());
        let log = Log::new(words.leak(), layout, epoch, [1, 2]).unwrap();
        let mut world = World {
            log,
            next_owner: 1,
            dead: Vec::new(),
            children: Vec::new(),
            clients: Vec::new(),
            published: Vec::new(),
            forgotten: [0; TOPICS],
            is_told,
            marks: Marks::default(),
            rng,
        };
        for _ in 0..CHILDREN {
            let child = world.child();
            world.children.push(Some(child));
        }
        for _ in 0..6 {
            let count = 1 + world.rng.usize(..3);
            let numbers = (0..count).map(|_| world.rng.usize(..TOPICS)).collect();
            let slow = [Slow::Close, Slow::Drop, Slow::Latest][world.rng.usize(..3)];
            world.clients.push(Client {
                numbers,
                slow,
                since: None,
                connection: None,
                seen: 0,
            });
        }
        world
    }

    fn tell(&self, line: impl FnOnce() -> String) {
        if self.is_told {
            println!("{}", line());
        }
    }

    fn child(&mut self) -> Child {
        let owner = Owner(NonZeroU64::new(self.next_owner).unwrap());
        self.next_owner += 1;
        let dead = self.dead.clone();
        let seat = self.log.claim(owner, |owner| !dead.contains(&owner));
        let hub = Hub::new(self.log, seat.unwrap(), Mute);
        let reader = hub.reader().unwrap();
        Child { owner, hub, reader }
    }

    fn step(&mut self) {
        match self.rng.usize(..100) {
            0..40 => self.publish(),
            40..60 => self.pump(),
            60..80 => self.take(),
            80..90 => self.connect(),
            90..97 => self.part(),
            97..99 => {
                let number = self.rng.usize(..TOPICS);
                self.forgotten[number] = self.published.len() as u64;
                let topic = topic(number);
                self.tell(|| format!("{topic} is forgotten"));
                self.log.forget(&topic).unwrap();
            }
            _ => self.kill(),
        }
    }

    fn publish(&mut self) {
        for _ in 0..1 + self.rng.usize(..4) {
            let number = self.rng.usize(..TOPICS);
            let payload = format!("{}:", self.published.len() + 1);
            let payload = payload + &".".repeat(self.rng.usize(..200));
            let published = Publisher::new(self.log, Mute).publish(&Message {
                topic: &topic(number),
                kind: Kind::Text,
                flags: Flags::default(),
                origin: 0,
                time: 0,
                key: None,
                payload: payload.as_bytes(),
            });
            self.published.push((number, payload));
            assert_eq!(published.unwrap().id.0, self.published.len() as u64);
        }
        self.tell(|| format!("{} are published", self.published.len()));
    }

    fn pump(&mut self) {
        let index = self.rng.usize(..CHILDREN);
        let Some(child) = &mut self.children[index] else {
            return;
        };
        let mut batch = Batch::new();
        child.hub.pump(&mut child.reader, &mut batch);
        self.tell(|| format!("child {index} delivers"));
    }

    /// A client takes some of what waits for it.
    fn take(&mut self) {
        let index = self.rng.usize(..self.clients.len());
        let count = 1 + self.rng.usize(..20);
        self.see(index, count);
        let Some((child, peer, subscriber)) = &self.clients[index].connection else {
            return;
        };
        if peer.wants_room()
            && let Some(child) = &self.children[*child]
        {
            child.hub.go_on(subscriber);
            self.marks.caught_up += 1;
        }
    }

    fn see(&mut self, index: usize, count: usize) {
        let Some((_, peer, _)) = &self.clients[index].connection else {
            return;
        };
        let peer = Arc::clone(peer);
        for seen in peer.take(count) {
            self.tell(|| format!("client {index} sees {seen:?}"));
            self.check(index, seen);
        }
        if let Some(why) = peer.closed()
            && peer.is_empty()
        {
            if why == subscribers::Closing::Slow {
                self.marks.closed_slow += 1;
                assert_eq!(self.clients[index].slow, Slow::Close);
            }
            self.leave(index);
        }
    }

    /// What a client sees next must be what was published next to its topics, or it is told how much is missing.
    fn check(&mut self, index: usize, seen: Seen) {
        let client = &mut self.clients[index];
        let ids = (client.seen + 1..).zip(&self.published[client.seen as usize..]);
        let missing: Vec<u64> = ids
            .filter(|(_, (number, _))| client.numbers.contains(number))
            .map(|(id, _)| id)
            .collect();
        match seen {
            Seen::Hello { recovered, id } => {
                match recovered {
                    None | Some(false) => client.seen = id.id.0,
                    Some(true) => assert_eq!(id.id.0, client.since.unwrap().id.0),
                }
                if let Some(recovered) = recovered {
                    let mark = match recovered {
                        true => &mut self.marks.resumed,
                        false => &mut self.marks.lost,
                    };
                    *mark += 1;
                }
                client.since = Some(id);
            }
            Seen::Dropped(count) => {
                assert_ne!(client.slow, Slow::Close);
                self.marks.dropped += 1;
                // The next message says which they were: so many of those that are missing.
                let last = missing.get(count as usize - 1);
                assert!(last.is_some(), "{count} dropped of {missing:?}");
                client.seen = match client.slow {
                    Slow::Drop => *last.unwrap(),
                    // Of each topic another number is skipped: only the sum is told.
                    _ => client.seen,
                };
            }
            Seen::Gap { id } => {
                self.marks.gaps += 1;
                assert!(id.id.0 >= client.seen);
                client.seen = id.id.0;
                client.since = Some(id);
            }
            Seen::Message { id, data } => {
                assert!(id.id.0 > client.seen, "{id} after {}", client.seen);
                assert_eq!(self.published[id.id.0 as usize - 1].1, data);
                if client.slow == Slow::Close {
                    assert_eq!(missing.first(), Some(&id.id.0), "a gap that was not told");
                } else {
                    assert!(missing.contains(&id.id.0));
                    if client.slow == Slow::Drop {
                        assert_eq!(missing.first(), Some(&id.id.0), "a drop that was not told");
                    }
                }
                client.seen = id.id.0;
                client.since = Some(id);
            }
        }
    }

    fn connect(&mut self) {
        let index = self.rng.usize(..self.clients.len());
        let child_index = self.rng.usize(..CHILDREN);
        if self.clients[index].connection.is_some() {
            return;
        }
        let Some(child) = &self.children[child_index] else {
            return;
        };
        let limit = [300, 2000, 1 << 20][self.rng.usize(..3)];
        let peer = Arc::new(Peer::new(limit));
        let client = &mut self.clients[index];
        let terms = Terms {
            form: Form::Json,
            slow: client.slow,
            messages: [3, 1000][self.rng.usize(..2)],
            age: None,
            is_told_of_members: false,
            origin: 0,
        };
        let outlet: Weak<dyn Outlet> = {
            let weak: Weak<Peer> = Arc::downgrade(&peer);
            weak
        };
        let topics = client.numbers.iter().map(|&number| topic(number)).collect();
        let subscriber = child.hub.subscribe(topics, client.since, terms, outlet);
        let subscriber = subscriber.unwrap();
        client.connection = Some((child_index, peer, subscriber));
        let since = client.since;
        self.tell(|| format!("client {index} comes to child {child_index}, since {since:?}"));
    }

    /// A client vanishes, with what it has not taken.
    fn part(&mut self) {
        let index = self.rng.usize(..self.clients.len());
        self.leave(index);
    }

    fn leave(&mut self, index: usize) {
        if let Some((child, _, subscriber)) = self.clients[index].connection.take() {
            self.tell(|| format!("client {index} leaves"));
            if let Some(child) = &self.children[child] {
                child.hub.leave(&subscriber);
            }
        }
        let client = &mut self.clients[index];
        // What it has seen is what it comes back with.
        client.seen = client.since.map_or(0, |since| since.id.0);
    }

    /// A process dies, and another one takes its place. What it has written may still be read.
    fn kill(&mut self) {
        let index = self.rng.usize(..CHILDREN);
        self.tell(|| format!("child {index} dies"));
        self.marks.killed += 1;
        if let Some(child) = self.children[index].take() {
            self.dead.push(child.owner);
        }
        for client in 0..self.clients.len() {
            if matches!(&self.clients[client].connection, Some((child, _, _)) if *child == index) {
                let some = self.rng.usize(..30);
                self.see(client, some);
                self.leave(client);
            }
        }
        let child = self.child();
        self.children[index] = Some(child);
    }

    /// In the end, everybody gets all there is.
    fn settle(&mut self) {
        for _ in 0..1000 {
            let mut has_read = false;
            for child in self.children.iter_mut().flatten() {
                has_read |= child.hub.pump(&mut child.reader, &mut Batch::new());
            }
            let mut is_waiting = false;
            for index in 0..self.clients.len() {
                self.see(index, usize::MAX);
                let Some((child, peer, subscriber)) = &self.clients[index].connection else {
                    continue;
                };
                if peer.wants_room() {
                    is_waiting = true;
                    let child = self.children[*child].as_ref().unwrap();
                    child.hub.go_on(subscriber);
                }
            }
            if !has_read && !is_waiting {
                break;
            }
        }
        for (index, client) in self.clients.iter().enumerate() {
            if client.connection.is_none() {
                continue;
            }
            let is_its = |number: &usize| client.numbers.contains(number);
            let ids = (1..).zip(&self.published);
            // Who gets the newest only does not get one that was forgotten meanwhile.
            let is_there =
                |id: u64, number: usize| client.slow != Slow::Latest || id > self.forgotten[number];
            let last = ids
                .filter(|(id, (number, _))| is_its(number) && is_there(*id, *number))
                .last();
            let last = last.map_or(0, |(id, _)| id);
            assert!(
                client.seen >= last,
                "client {index} has seen {} of {last}",
                client.seen
            );
        }
    }
}

fn run(seed: u64, is_told: bool) -> Marks {
    let mut world = World::new(seed, is_told);
    for _ in 0..STEPS {
        world.step();
    }
    world.settle();
    world.marks
}

#[test]
fn every_subscriber_sees_all_in_order_or_is_told() {
    if let Ok(seed) = std::env::var("WORLD_SEED") {
        run(seed.parse().unwrap(), true);
        return;
    }
    static SEED: AtomicU64 = AtomicU64::new(0);
    let mut sum = Marks::default();
    for seed in 0..SEEDS {
        SEED.store(seed, Ordering::Relaxed);
        let marks = std::panic::catch_unwind(|| run(seed, false))
            .unwrap_or_else(|_| panic!("WORLD_SEED={seed} tells how"));
        sum.resumed += marks.resumed;
        sum.lost += marks.lost;
        sum.dropped += marks.dropped;
        sum.closed_slow += marks.closed_slow;
        sum.gaps += marks.gaps;
        sum.killed += marks.killed;
        sum.caught_up += marks.caught_up;
    }
    let all = [
        sum.resumed,
        sum.lost,
        sum.dropped,
        sum.closed_slow,
        sum.gaps,
        sum.killed,
        sum.caught_up,
    ];
    println!("{sum:?}");
    assert!(all.iter().all(|&count| count > 50), "{sum:?}");
}
