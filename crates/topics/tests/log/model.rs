//! The log beside a model of it that keeps everything.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use topics::Subscription;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Publish {
        topic: u8,
        size: usize,
        retain: bool,
        volatile: bool,
        key: Option<u8>,
    },
    Subscribe {
        child: usize,
        topic: u8,
    },
    Unsubscribe {
        child: usize,
    },
    Forget {
        topic: u8,
    },
    Resume {
        topic: u8,
        back: u64,
    },
    Read,
    Retained {
        topic: u8,
    },
    Reborn {
        child: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let topic = 0..7_u8;
    let publish = (
        topic.clone(),
        0..680_usize,
        0..6_u8,
        0..6_u8,
        proptest::option::of(0..9_u8),
    )
        .prop_map(|(topic, size, retain, volatile, key)| {
            let retain = retain == 0;
            Step::Publish {
                topic,
                // What is retained has to be small.
                size: if retain { size % 40 } else { size },
                retain,
                volatile: volatile == 0,
                key,
            }
        });
    prop_oneof![
        12 => publish,
        2 => (0..2_usize, topic.clone()).prop_map(|(child, topic)| Step::Subscribe { child, topic }),
        1 => (0..2_usize).prop_map(|child| Step::Unsubscribe { child }),
        1 => topic.clone().prop_map(|topic| Step::Forget { topic }),
        4 => (topic.clone(), 0..30_u64).prop_map(|(topic, back)| Step::Resume { topic, back }),
        2 => Just(Step::Read),
        2 => topic.prop_map(|topic| Step::Retained { topic }),
        1 => (0..2_usize).prop_map(|child| Step::Reborn { child }),
    ]
}

/// What was published with a key.
#[derive(Clone)]
struct Keyed {
    id: u64,
    flags: Flags,
    payload: Vec<u8>,
}

/// A record, as the model has it.
#[derive(Clone)]
struct Kept {
    id: u64,
    topic: u8,
    volatile: bool,
    payload: Vec<u8>,
}

struct World {
    log: Log<'static>,
    children: Vec<(Seat<'static>, Vec<(u8, Subscription)>)>,
    births: u64,
    reader: Reader<'static>,
    /// How far the reader has read.
    read: u64,
    all: Vec<Kept>,
    keys: HashMap<(u8, u8), Keyed>,
    /// Nothing is known of a topic up to here.
    floors: HashMap<u8, u64>,
    retained: HashMap<u8, u64>,
    /// Which topics are in the table, and up to where nothing is known of one that was evicted.
    present: HashSet<u8>,
    evicted: u64,
}

impl World {
    /// Six topics have room, seven are used.
    fn new() -> Self {
        let log = log(Layout { topics: 6, ..SMALL });
        let child = |number| (log.claim(owner(number), |_| true).unwrap(), Vec::new());
        let children = vec![child(1), child(2)];
        World {
            reader: children[0].0.reader().unwrap(),
            log,
            children,
            births: 2,
            read: 0,
            all: Vec::new(),
            keys: HashMap::new(),
            floors: HashMap::new(),
            retained: HashMap::new(),
            present: HashSet::new(),
            evicted: 0,
        }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Publish {
                topic,
                size,
                retain,
                volatile,
                key,
            } => {
                self.publish(
                    topic,
                    size,
                    Flags {
                        retain,
                        volatile,
                        ..Flags::default()
                    },
                    key,
                );
            }
            Step::Subscribe { child, topic } => {
                if let Ok((subscription, history)) = self.children[child].0.subscribe(&name(topic))
                {
                    self.children[child].1.push((topic, subscription));
                    assert_eq!(history.subscribers(), self.subscribers(topic));
                }
            }
            Step::Unsubscribe { child } => {
                if let Some((_, subscription)) = self.children[child].1.pop() {
                    self.children[child].0.unsubscribe(subscription).unwrap();
                }
            }
            Step::Forget { topic } => {
                if self.log.forget(&name(topic)).unwrap() {
                    let last = self
                        .all
                        .iter()
                        .rfind(|kept| kept.topic == topic && !kept.volatile);
                    let floor = self.floors.entry(topic).or_default();
                    *floor = last.map_or(0, |kept| kept.id).max(*floor);
                    self.retained.remove(&topic);
                }
            }
            Step::Resume { topic, back } => self.resume(topic, back),
            Step::Read => self.read_on(),
            Step::Retained { topic } => {
                let mut batch = Batch::new();
                self.log.retained(&name(topic), &mut batch).unwrap();
                let found = batch
                    .iter()
                    .next()
                    .map(|record| (record.id.0, record.payload.to_vec()));
                let expected = self
                    .retained
                    .get(&topic)
                    .map(|&id| (id, self.kept(id).payload.clone()));
                assert_eq!(found, expected);
            }
            Step::Reborn { child } => {
                let gone = owner(self.owner_of(child));
                self.log.sweep(|process| process != gone).unwrap();
                self.births += 1;
                let seat = self.log.claim(owner(self.births), |_| true).unwrap();
                assert_eq!(seat.index(), child);
                // The other subscriptions are the dead one's; it gives nothing back.
                self.children[child] = (seat, Vec::new());
            }
        }
    }

    /// Takes into account which topics have been evicted, or are there anew.
    fn look_at_the_table(&mut self) {
        let topics = self.log.topics().unwrap();
        let now: HashSet<u8> = (0..7)
            .filter(|&topic| {
                topics
                    .iter()
                    .any(|figures| figures.name == name(topic).as_str())
            })
            .collect();
        for topic in self.present.difference(&now) {
            assert_eq!(self.subscribers(*topic), 0, "nobody needed it");
            let last = self
                .all
                .iter()
                .rfind(|kept| kept.topic == *topic && !kept.volatile);
            let floor = self.floors.get(topic).copied().unwrap_or_default();
            self.evicted = last.map_or(0, |kept| kept.id).max(floor).max(self.evicted);
            self.retained.remove(topic);
        }
        for topic in now.difference(&self.present) {
            self.floors.insert(*topic, self.evicted);
        }
        self.present = now;
    }

    fn owner_of(&self, child: usize) -> u64 {
        let figures = self.log.figures();
        let children = figures.children.iter();
        children
            .filter(|figures| figures.seat == child)
            .map(|figures| figures.owner.0.get())
            .next()
            .unwrap()
    }

    fn publish(&mut self, topic: u8, size: usize, flags: Flags, key: Option<u8>) {
        let payload: Vec<u8> = (0..size)
            .map(|index| (index + self.all.len()) as u8 ^ topic)
            .collect();
        // With a key, the same payload is published again, perhaps with other flags.
        let known = key.and_then(|key| self.keys.get(&(topic, key)).cloned());
        let payload = known
            .as_ref()
            .map_or(payload, |known| known.payload.clone());
        let key_text = key.map(|key| key.to_string());
        let text = name(topic);
        let result = send(
            self.log,
            &Message {
                flags,
                key: key_text.as_deref(),
                ..message(&text, &payload)
            },
        );
        match result {
            Ok(published) => {
                assert_eq!(published.subscribers, self.subscribers(topic));
                assert_eq!(published.is_repeated, known.is_some());
                if let Some(known) = known {
                    assert_eq!((published.id.0, flags), (known.id, known.flags));
                    return;
                }
                let id = self.all.len() as u64 + 1;
                assert_eq!(published.id.0, id);
                if let Some(key) = key {
                    let payload = payload.clone();
                    self.keys.insert((topic, key), Keyed { id, flags, payload });
                }
                if flags.retain {
                    self.retained.insert(topic, id);
                }
                self.all.push(Kept {
                    id,
                    topic,
                    volatile: flags.volatile,
                    payload,
                });
            }
            Err(PublishError::KeyReused) => {
                assert!(known.is_some_and(|known| known.flags != flags));
            }
            Err(PublishError::TopicsFull) => {
                assert!(!self.is_held(topic));
            }
            Err(PublishError::RetainedFull) => assert!(flags.retain),
            Err(error) => panic!("{error:?}"),
        }
    }

    fn resume(&self, topic: u8, back: u64) {
        let latest = self.all.len() as u64;
        let since = latest.saturating_sub(back);
        let Some(history) = self.log.history(&name(topic)).unwrap() else {
            return;
        };
        let missed: Vec<&Kept> = self
            .all
            .iter()
            .filter(|kept| kept.id > since && kept.topic == topic && !kept.volatile)
            .collect();
        let mut batch = Batch::new();
        match history.resume(token(since), &ALL, &mut batch) {
            Ok(()) => {
                assert!(since >= self.floors[&topic]);
                let found: Vec<_> = batch
                    .iter()
                    .map(|record| (record.id.0, record.payload))
                    .collect();
                let expected: Vec<_> = missed
                    .iter()
                    .map(|kept| (kept.id, &kept.payload[..]))
                    .collect();
                assert_eq!(found, expected);
            }
            Err(CannotResume::Overrun) => {
                let first = missed.first().expect("something was missed");
                let later: usize = self.all[first.id as usize - 1..]
                    .iter()
                    .map(|kept| kept.payload.len() + 112)
                    .sum();
                assert!(
                    later > SMALL.ring * 3 / 4,
                    "it would still have been there: {later}"
                );
            }
            Err(CannotResume::Forgotten) => {
                assert!(since < self.floors[&topic]);
            }
            Err(error) => panic!("{error:?}"),
        }
    }

    fn read_on(&mut self) {
        let mut batch = Batch::new();
        loop {
            match self.reader.next(&mut batch) {
                Ok(()) if batch.is_empty() => break,
                Ok(()) => {
                    for record in batch.iter() {
                        self.read += 1;
                        let kept = &self.all[self.read as usize - 1];
                        assert_eq!((record.id.0, record.payload), (kept.id, &kept.payload[..]));
                        assert_eq!(record.topic, name(kept.topic).as_str());
                    }
                }
                Err(gap) => {
                    assert_eq!(
                        (gap.after.0, gap.cause),
                        (self.read, topics::Cause::Overrun)
                    );
                    let unread = &self.all[self.read as usize..];
                    let bytes: usize = unread.iter().map(|kept| kept.payload.len() + 112).sum();
                    assert!(
                        bytes > SMALL.ring * 3 / 4,
                        "it would still have been there: {bytes}"
                    );
                    self.reader.next(&mut batch).unwrap();
                    let first = batch.iter().next().expect("something is there").id.0;
                    // It may be the very next: what was overwritten may be copies of retained messages, which nobody reads.
                    assert!(first > self.read);
                    self.read = first - 1 + batch.len() as u64;
                }
            }
        }
        assert_eq!(self.read, self.all.len() as u64);
    }

    fn kept(&self, id: u64) -> &Kept {
        &self.all[id as usize - 1]
    }

    fn subscribers(&self, topic: u8) -> u64 {
        let held = self.children.iter().flat_map(|(_, held)| held);
        held.filter(|(of, _)| *of == topic).count() as u64
    }

    fn is_held(&self, topic: u8) -> bool {
        self.subscribers(topic) > 0
    }
}

fn name(topic: u8) -> Topic {
    super::topic(&format!("topic/{topic}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_does_what_the_model_does(steps in proptest::collection::vec(step(), 1..250)) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
            world.look_at_the_table();
        }
        world.read_on();
    }
}
