//! A writer is stopped after each word that it writes; what the next ones find is in order.

use std::num::NonZeroU64;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

use super::{Locked, Message, Published, Publisher};
use crate::memory::stops::stopped_after;
use crate::table::Topics;
use crate::{
    Batch, Epoch, Flags, Futex, Kind, Layout, Limits, Log, Member, Notice, Owner, PublishError,
    Reader, Seat, Token, Topic,
};

const ALL: Limits = Limits {
    messages: usize::MAX,
    age: None,
    now: 0,
};
const EPOCH: Epoch = Epoch(NonZeroU64::MIN);
/// More words than any writer here writes.
const MANY: usize = 100_000;

/// A log whose words are an image that can be restored.
struct World {
    words: &'static [AtomicU64],
    image: Vec<u64>,
    log: Log<'static>,
}

/// A message, by its parts that matter here.
#[derive(Clone, Copy)]
struct Sent<'a> {
    topic: &'a str,
    flags: Flags,
    key: Option<&'a str>,
    payload: &'a [u8],
}

const PLAIN: Flags = Flags {
    retain: false,
    volatile: false,
    exclude_origin: false,
    uncompressed: false,
};
const RETAIN: Flags = Flags {
    retain: true,
    ..PLAIN
};

impl World {
    fn new(topics: usize, before: &[Sent<'_>]) -> Self {
        let layout = Layout {
            ring: 8 << 10,
            topics,
            seats: 2,
        };
        let words: Vec<AtomicU64> = (0..layout.words().unwrap())
            .map(|_| AtomicU64::new(0))
            .collect();
        let words: &'static [AtomicU64] = words.leak();
        let log = Log::new(words, layout, EPOCH, [1, 2]).unwrap();
        for sent in before {
            publish(log, sent).unwrap();
        }
        let image = image(words);
        World { words, image, log }
    }

    /// The log as it was when it was made. Its lock is nobody's, before and afterwards.
    fn restore(&self) {
        for (word, &value) in self.words.iter().zip(&self.image) {
            word.store(value, SeqCst);
        }
    }
}

fn image(words: &[AtomicU64]) -> Vec<u64> {
    words.iter().map(|word| word.load(SeqCst)).collect()
}

fn publish(log: Log<'_>, sent: &Sent<'_>) -> Result<Published, PublishError> {
    Publisher::new(log, Futex).publish(&Message {
        topic: &topic(sent.topic),
        kind: Kind::Binary,
        flags: sent.flags,
        origin: 0,
        time: 1,
        key: sent.key,
        payload: sent.payload,
    })
}

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

fn seat(log: Log<'static>) -> Seat<'static> {
    log.claim(Owner(NonZeroU64::MIN), |_| true).unwrap()
}

/// Everything that is told of a topic's history.
fn history(log: Log<'_>, name: &str) -> Vec<(u64, Vec<u8>)> {
    let mut batch = Batch::new();
    let Some(history) = log.history(&topic(name)).unwrap() else {
        return Vec::new();
    };
    history.recent(&ALL, &mut batch);
    let records = batch.iter();
    let records: Vec<_> = records
        .inspect(|record| assert_eq!(record.topic, name))
        .map(|record| (record.id.0, record.payload.to_vec()))
        .collect();
    assert!(records.is_sorted_by(|(one, _), (other, _)| one < other));
    assert_eq!(
        records.last().map_or(0, |record| record.0),
        history.last().0
    );
    records
}

fn retained(log: Log<'_>, name: &str) -> Option<Vec<u8>> {
    let mut batch = Batch::new();
    log.retained(&topic(name), &mut batch).unwrap();
    batch.iter().next().map(|record| record.payload.to_vec())
}

fn read_all(reader: &mut Reader<'_>) -> Vec<(u64, String, Vec<u8>)> {
    let mut batch = Batch::new();
    let mut all = Vec::new();
    loop {
        reader.next(&mut batch).expect("nothing is missing");
        if batch.is_empty() {
            return all;
        }
        all.extend(batch.iter().map(|record| {
            (
                record.id.0,
                record.topic.to_owned(),
                record.payload.to_vec(),
            )
        }));
    }
}

/// What holds whenever nobody has the lock.
fn check(log: Log<'_>) {
    let locked = Locked::new(log.parts).unwrap();
    let retained: u64 = locked
        .topics()
        .live()
        .map(|(_, entry)| entry.retained_words())
        .sum();
    assert_eq!(locked.word(crate::memory::header::RETAINED), retained);
    let commit = locked.word(crate::memory::header::COMMIT);
    let tail = locked.word(crate::memory::header::TAIL);
    assert_eq!(locked.word(crate::memory::header::WRITTEN), commit);
    assert!(commit - tail <= log.parts.ring.len());
    for (slot, _) in locked.topics().live() {
        let has_any = locked.seats().subscribers(slot) > 0;
        assert_eq!(locked.subscribed().is_set(slot), has_any, "entry {slot}");
    }
    drop(locked);
    for (slot, entry) in Topics(log.parts).live() {
        let topic = topic(&entry.text().unwrap());
        let name = crate::table::Name::new(&topic, log.parts.seed());
        assert_eq!(
            Topics(log.parts).find(&name),
            Some(slot),
            "{topic} is found"
        );
    }
}

/// Publishes `sent`, stopped after each number of words in turn, and has another writer go on; that one is stopped, too,
/// after each number of words up to `again`, and a third one goes on.
fn at_each_step(world: &World, sent: &Sent<'_>, again: usize) -> usize {
    let mut steps = 0;
    for first in 0..MANY {
        let mut is_done = false;
        for second in (0..again.max(1)).map(|second| if again == 0 { MANY } else { second }) {
            world.restore();
            let log = world.log;
            let before = history(log, sent.topic);
            let retained_before = retained(log, sent.topic);
            let mut reader = seat(log).reader().unwrap();
            is_done = stopped_after(first, || publish(log, sent)).is_some();
            // What is stopped here is the recovery first of all.
            let other = Sent {
                topic: "other",
                flags: PLAIN,
                key: None,
                payload: b"other",
            };
            stopped_after(second, || publish(log, &other));
            publish(log, &other).unwrap();

            check(log);
            let read = read_all(&mut reader);
            assert!(
                read.is_sorted_by(|one, next| one.0 + 1 == next.0),
                "ids are dense over all topics"
            );
            let count = read
                .iter()
                .filter(|(_, topic, _)| topic == sent.topic)
                .count();
            assert!(count <= 1);
            assert!(count == 1 || !is_done, "what was published is there");
            let after = history(log, sent.topic);
            let new: Vec<_> = after
                .iter()
                .filter(|record| !before.contains(record))
                .collect();
            if !sent.flags.volatile {
                assert_eq!(new.len(), count, "the history has what the reader has");
            }
            assert!(new.iter().all(|(_, payload)| payload == sent.payload));
            if sent.flags.retain {
                let expected = match count {
                    0 => retained_before,
                    _ => Some(sent.payload.to_vec()),
                };
                assert_eq!(retained(log, sent.topic), expected);
            }
            if sent.key.is_some() {
                let again = publish(log, sent).unwrap();
                assert_eq!(
                    again.is_repeated,
                    count == 1,
                    "the key is known with its record"
                );
                let count = read.len() + usize::from(!again.is_repeated);
                let mut reader_count = read.len();
                reader_count += read_all(&mut reader).len();
                assert_eq!(reader_count, count);
            }
        }
        if is_done {
            steps = first;
            break;
        }
    }
    assert!(steps > 15, "it was stopped");
    steps
}

fn plain<'a>(topic: &'a str, payload: &'a [u8]) -> Sent<'a> {
    Sent {
        topic,
        flags: PLAIN,
        key: None,
        payload,
    }
}

#[test]
fn a_publish_is_recovered_from_at_each_step() {
    let world = World::new(4, &[plain("a", b"1"), plain("b", b"2"), plain("a", b"3")]);
    let sent = Sent {
        key: Some("key"),
        ..plain("a", &[7; 100])
    };
    at_each_step(&world, &sent, 0);
}

#[test]
fn so_is_a_recovery() {
    let world = World::new(4, &[plain("a", b"1"), plain("b", b"2"), plain("a", b"3")]);
    let sent = Sent {
        key: Some("key"),
        flags: RETAIN,
        ..plain("a", b"4")
    };
    at_each_step(&world, &sent, 40);
}

#[test]
fn so_is_a_publish_to_a_new_topic() {
    let world = World::new(4, &[plain("a", b"1")]);
    at_each_step(&world, &plain("new", b"2"), 60);
}

#[test]
fn so_is_an_eviction() {
    let before = [plain("a", b"1"), plain("b", b"2"), plain("other", b"3")];
    let world = World::new(3, &before);
    at_each_step(&world, &plain("new", b"4"), 60);
}

#[test]
fn so_is_a_publish_that_wraps_around() {
    // From one place to the next, so that the end of the ring is met at each word of the record.
    for length in (0..200).step_by(8) {
        let filler = vec![1; 650];
        let mut before = vec![plain("a", &filler); 10];
        let rest = vec![2; 300 + length];
        before.push(plain("b", &rest));
        before.push(plain("b", b"short"));
        let world = World::new(4, &before);
        at_each_step(&world, &plain("a", &[9; 64]), 0);
    }
}

#[test]
fn so_is_a_retained_record_that_moves() {
    let filler = [1; 600];
    let value = Sent {
        flags: RETAIN,
        ..plain("value", b"kept")
    };
    let mut before = vec![value; 1];
    before.extend(vec![plain("a", &filler); 30]);
    let mut world = World::new(4, &before);
    let sent = plain("a", &filler);
    for _ in 0..12 {
        // The next one, or one of those after it, moves the value.
        let steps = at_each_step(&world, &sent, 0);
        for first in 0..=steps {
            world.restore();
            stopped_after(first, || publish(world.log, &sent));
            publish(world.log, &sent).unwrap();
            assert_eq!(
                retained(world.log, "value"),
                Some(b"kept".to_vec()),
                "after {first}"
            );
        }
        world.restore();
        publish(world.log, &sent).unwrap();
        world.image = image(world.words);
    }
}

#[test]
fn so_is_a_volatile_one() {
    let world = World::new(4, &[plain("a", b"1")]);
    let sent = Sent {
        flags: Flags {
            volatile: true,
            ..PLAIN
        },
        ..plain("a", b"2")
    };
    at_each_step(&world, &sent, 0);
}

#[test]
fn a_subscriber_is_counted_or_not_at_each_step() {
    let world = World::new(1, &[plain("a", b"1")]);
    for first in 0..MANY {
        world.restore();
        let seat = seat(world.log);
        let done = stopped_after(first, || seat.subscribe(&topic("new")));
        check(world.log);
        if let Some(done) = done {
            let (subscription, history) = done.unwrap();
            assert_eq!(history.subscribers(), 1);
            assert_eq!(
                seat.subscribe(&topic("other")).err(),
                Some(crate::SubscribeError::TopicsFull)
            );
            seat.unsubscribe(subscription).unwrap();
            seat.subscribe(&topic("other")).unwrap().0.slot();
            return;
        }
        assert!(seat.subscribers(&topic("new")).unwrap() <= 1);
    }
    panic!("it ends");
}

/// The last subscriber of a topic goes, by itself or with its child, killed after each word: the topic makes room, or is
/// known to have a subscriber.
#[test]
fn the_last_subscriber_is_gone_or_not_at_each_step() {
    let world = World::new(1, &[]);
    for is_swept in [false, true] {
        let mut steps = 0;
        for step in 0..MANY {
            world.restore();
            let child = world.log.claim(Owner(NonZeroU64::MIN), |_| true).unwrap();
            let (subscription, _) = child.subscribe(&topic("a")).unwrap();
            let done = stopped_after(step, || match is_swept {
                true => assert_eq!(world.log.sweep(|_| false), Ok(1)),
                false => child.unsubscribe(subscription).unwrap(),
            });
            check(world.log);
            steps += 1;
            let is_gone = world
                .log
                .history(&topic("a"))
                .unwrap()
                .unwrap()
                .subscribers()
                == 0;
            let published = publish(world.log, &plain("new", b"1"));
            assert_eq!(published.is_ok(), is_gone, "step {step}: {published:?}");
            if done.is_some() {
                assert!(is_gone);
                break;
            }
        }
        assert!(steps > 3, "{steps}");
    }
}

#[test]
fn what_was_evicted_cannot_be_resumed() {
    let world = World::new(2, &[plain("a", b"1"), plain("b", b"2"), plain("c", b"3")]);
    let mut batch = Batch::new();
    let resume = |name: &str, id, batch: &mut Batch| {
        publish(world.log, &plain(name, b"new")).unwrap();
        let since = Token {
            epoch: EPOCH,
            id: crate::RecordId(id),
        };
        world
            .log
            .history(&topic(name))
            .unwrap()
            .unwrap()
            .resume(since, &ALL, batch)
    };
    // a, record 1, had to go for c.
    assert_eq!(
        resume("a", 0, &mut batch),
        Err(crate::CannotResume::Forgotten)
    );
    assert_eq!(resume("a", 3, &mut batch), Ok(()));
    assert_eq!(batch.len(), 2);
}

/// Somebody joins, and somebody leaves; killed after each word, each of them is a member or is none, and whoever is dismissed
/// afterwards is told of.
#[test]
fn a_member_is_there_or_not() {
    let member = |text: &str| Member::new(text).unwrap();
    let world = World::new(4, &[]);
    let topic = Topic::new("a").unwrap();
    let owner = Owner(NonZeroU64::MIN);
    let mut steps = 0;
    for leaves in [false, true] {
        for step in 0..MANY {
            world.restore();
            let seat = world.log.claim(owner, |_| true).unwrap();
            let mut reader = seat.reader().unwrap();
            let (subscription, _) = seat.subscribe(&topic).unwrap();
            let held = leaves.then(|| {
                let held = seat.enter(&subscription, &member("Ada"), true).unwrap();
                seat.announce(&held, &Futex).unwrap();
                held
            });
            let is_stopped = stopped_after(step, || match held {
                Some(held) => seat.exit(held, &Futex).unwrap(),
                None => {
                    let held = seat.enter(&subscription, &member("Ada"), true).unwrap();
                    seat.announce(&held, &Futex).unwrap();
                }
            })
            .is_none();
            let members = world.log.members(&topic).unwrap();
            assert!(members.is_empty() || members == ["Ada"], "{members:?}");
            if !is_stopped {
                assert_eq!(members.is_empty(), leaves);
            }
            assert_eq!(world.log.sweep(|_| false), Ok(1));
            assert!(world.log.members(&topic).unwrap().is_empty());
            let mut batch = Batch::new();
            reader.next(&mut batch).unwrap();
            let notices = batch.iter().map(|record| {
                let notice = Notice::read(record.payload).unwrap();
                (notice.has_left, notice.members)
            });
            let notices: Vec<(bool, u32)> = notices.collect();
            // Whoever was told of has left in the end, rather twice than never, and of nobody else is it said.
            let (joined, left) = ((false, 1), (true, 0));
            let expected: &[&[_]] = match leaves {
                true => &[&[joined, left], &[joined, left, left]],
                false => &[&[], &[left], &[joined, left]],
            };
            assert!(expected.contains(&&notices[..]), "step {step}: {notices:?}");
            steps += 1;
            if !is_stopped {
                break;
            }
        }
    }
    assert!(steps > 20, "{steps}");
}
