//! Publishers that are killed at any instruction: readers find every record whole, in order, and none missing that its
//! publisher has been told of.
//!
//! Each publisher is a process of its own, this test again. Every few milliseconds one of them gets SIGKILL, and another
//! one begins. `TOPICS_KILL_SECONDS` says how long that goes on.

use std::collections::HashMap;
use std::env;
use std::num::NonZeroU64;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use topics::{
    Batch, Cause, Epoch, Flags, Futex, Kind, Layout, Limits, Log, Message, Owner, Publisher,
    Reader, RecordId, Seat, Token, Topic,
};

#[path = "support/shared.rs"]
mod shared;

const LAYOUT: Layout = Layout {
    ring: 16 << 20,
    topics: 100,
    seats: 8,
};
const EPOCH: Epoch = Epoch(NonZeroU64::MIN);
const PUBLISHERS: usize = 3;
/// Few enough that each has a long history.
const TOPICS: u64 = 16;
/// The most publishers of a run; each has a word for what it knows to be published.
const LIVES: usize = 1 << 17;
const VARIABLE: &str = "TOPICS_KILL_PUBLISHER";

#[test]
fn publishers_that_are_killed_damage_nothing() {
    let seconds = env::var("TOPICS_KILL_SECONDS").map_or(3, |text| text.parse().expect("seconds"));
    let log_words = LAYOUT.words().unwrap();
    let (words, fd) = shared::make(log_words + LIVES).unwrap();
    let (words, known) = words.split_at(log_words);
    let log = Log::new(words, LAYOUT, EPOCH, [3, 4]).unwrap();

    let is_over = AtomicBool::new(false);
    let (kills, sums) = thread::scope(|scope| {
        // Each begins before there is a publisher, whenever its thread does.
        let readers = [1, 2].map(|number| Place::claim(log, number));
        let readers = readers.map(|place| {
            let is_over = &is_over;
            scope.spawn(move || read(log, place, is_over))
        });
        let kills = kill(fd, Duration::from_secs(seconds));
        is_over.store(true, Ordering::SeqCst);
        (kills, readers.map(|reader| reader.join().unwrap()))
    });

    let figures = log.figures();
    for sums in &sums {
        assert_eq!(sums.last, figures.latest, "each reader has come to the end");
        if sums.overruns == 0 {
            assert_eq!(sums.read, figures.latest.0);
            for (life, known) in known.iter().enumerate() {
                let known = known.load(Ordering::SeqCst);
                let read = sums.lives.get(&(life as u64)).copied().unwrap_or_default();
                assert!(
                    read == known || read == known + 1,
                    "publisher {life} knows of {known}, {read} were read"
                );
            }
        }
    }
    println!(
        "{kills} kills, {} of them inside the lock; {} records, {:.2} M/s, {:.2} µs of processor time each; read {:?}, overruns {:?}, resumed {:?}; \
         0 damaged",
        figures.recovered,
        figures.latest,
        figures.latest.0 as f64 / seconds as f64 / 1e6,
        children_time().as_secs_f64() * 1e6 / figures.latest.0 as f64,
        sums.iter().map(|sums| sums.read).collect::<Vec<_>>(),
        sums.iter().map(|sums| sums.overruns).collect::<Vec<_>>(),
        sums.iter().map(|sums| sums.resumed).collect::<Vec<_>>(),
    );
    assert!(kills > 10 && figures.latest.0 > 1000);
}

/// Starts publishers and kills them, for so long; returns how many were killed.
fn kill(fd: i32, time: Duration) -> usize {
    let mut lives = 0..LIVES;
    let mut start = || lives.next().map(|life| publisher(fd, life));
    let mut publishers: Vec<Child> = (0..PUBLISHERS).filter_map(|_| start()).collect();
    let (begin, mut kills) = (Instant::now(), 0);
    let mut random = fastrand::Rng::with_seed(1);
    while begin.elapsed() < time {
        thread::sleep(Duration::from_micros(random.u64(2_000..12_000)));
        let Some(next) = start() else {
            break;
        };
        let index = random.usize(..publishers.len());
        end(std::mem::replace(&mut publishers[index], next));
        kills += 1;
    }
    publishers.into_iter().for_each(end);
    kills + PUBLISHERS
}

/// The processor time of all publishers, their starts included: what a busy machine does not make longer.
fn children_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit(')').next().unwrap().split_whitespace();
    let ticks: u64 = fields
        .skip(13)
        .take(2)
        .map(|ticks| ticks.parse::<u64>().unwrap())
        .sum();
    Duration::from_millis(ticks * 10)
}

fn end(mut publisher: Child) {
    publisher.kill().unwrap();
    publisher.wait().unwrap();
}

fn publisher(fd: i32, life: usize) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "a_publisher", "--nocapture", "--test-threads=1"])
        .env(VARIABLE, format!("{fd} {life}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Not a test: one of the publishers above, in a process of its own.
#[test]
fn a_publisher() {
    let Ok(arguments) = env::var(VARIABLE) else {
        return;
    };
    let (fd, life) = arguments.split_once(' ').unwrap();
    let (fd, life): (i32, u64) = (fd.parse().unwrap(), life.parse().unwrap());
    let log_words = LAYOUT.words().unwrap();
    let words = shared::map(fd, log_words + LIVES).unwrap();
    let (words, known) = words.split_at(log_words);
    let publisher = Publisher::new(Log::find(words).unwrap(), Futex);
    let topics: Vec<Topic> = (0..TOPICS).map(topic).collect();
    let mut random = fastrand::Rng::with_seed(life);
    let mut payload = Vec::new();
    for count in 1_u64.. {
        let size = match random.u16(..) {
            0..16 => random.usize(..100_000),
            16..1024 => random.usize(..4_000),
            _ => random.usize(..300),
        };
        fill(&mut payload, life, count, size);
        let message = Message {
            topic: &topics[random.usize(..topics.len())],
            kind: Kind::Binary,
            flags: Flags {
                retain: size < 100,
                ..Flags::default()
            },
            origin: life,
            time: count,
            key: None,
            payload: &payload,
        };
        publisher.publish(&message).unwrap();
        known[life as usize].store(count, Ordering::SeqCst);
    }
}

fn topic(number: u64) -> Topic {
    Topic::new(&format!("topic/{number}")).unwrap()
}

/// Who, which, and bytes that follow from them.
fn fill(payload: &mut Vec<u8>, life: u64, count: u64, size: usize) {
    payload.clear();
    payload.extend(life.to_le_bytes());
    payload.extend(count.to_le_bytes());
    let mut state = life ^ count << 20;
    for _ in 0..size / 8 {
        state = state.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
        payload.extend(state.to_le_bytes());
    }
}

#[derive(Default)]
struct Sums {
    read: u64,
    last: RecordId,
    overruns: u64,
    resumed: u64,
    /// How many of each publisher.
    lives: HashMap<u64, u64>,
}

/// Where somebody reads.
struct Place {
    seat: Seat<'static>,
    reader: Reader<'static>,
}

impl Place {
    fn claim(log: Log<'static>, number: u64) -> Self {
        let owner = Owner(NonZeroU64::new(number).unwrap());
        let seat = log.claim(owner, |_| true).unwrap();
        let reader = seat.reader().unwrap();
        Place { seat, reader }
    }
}

/// Reads until it is over and everything was read, and checks each record.
fn read(log: Log<'static>, place: Place, is_over: &AtomicBool) -> Sums {
    let Place { seat, mut reader } = place;
    let held: Vec<_> = (0..TOPICS)
        .map(|number| seat.subscribe(&topic(number)).unwrap().0)
        .collect();
    let mut sums = Sums::default();
    let mut topics: HashMap<String, RecordId> = HashMap::new();
    let (mut batch, mut expected) = (Batch::new(), Vec::new());
    let mut batches = 0;
    loop {
        let was_over = is_over.load(Ordering::SeqCst);
        if let Err(gap) = reader.next(&mut batch) {
            assert_eq!((gap.cause, gap.after), (Cause::Overrun, sums.last));
            sums.overruns += 1;
            // From here on, counts and predecessors are not known.
            sums.lives.clear();
            topics.clear();
            continue;
        }
        for record in batch.iter() {
            assert!(record.id > sums.last, "ids rise");
            assert!(
                sums.overruns > 0 || record.id.0 == sums.last.0 + 1,
                "none is missing"
            );
            sums.last = record.id;
            sums.read += 1;
            let (life, count) = (record.origin, record.time);
            fill(&mut expected, life, count, record.payload.len() - 16);
            assert!(
                record.payload == expected,
                "record {} is what was published",
                record.id
            );
            if let Some(before) = sums.lives.insert(life, count) {
                assert_eq!(count, before + 1, "each publisher's are in its order");
            }
            if let Some(previous) = topics.insert(record.topic.to_owned(), record.id) {
                assert_eq!(
                    record.previous, previous,
                    "a record knows its topic's previous one"
                );
            }
        }
        batches += 1;
        if batches % 64 == 0 {
            sums.resumed += resume(log, sums.last, batches);
        }
        if batch.is_empty() {
            if was_over {
                break;
            }
            reader.wait(&Futex, Duration::from_millis(100));
        }
    }
    held.into_iter()
        .for_each(|held| seat.unsubscribe(held).unwrap());
    sums
}

/// Resumes one topic from a little before `latest`, and reads what it retains.
fn resume(log: Log<'_>, latest: RecordId, round: u64) -> u64 {
    let limits = Limits {
        messages: 10_000,
        age: None,
        now: 0,
    };
    let topic = topic(round % TOPICS);
    let mut batch = Batch::new();
    if log.retained(&topic, &mut batch).unwrap() {
        let record = batch.iter().next().unwrap();
        let mut expected = Vec::new();
        fill(
            &mut expected,
            record.origin,
            record.time,
            record.payload.len() - 16,
        );
        assert!(record.payload == expected && record.topic == topic.as_str());
    }
    let Some(history) = log.history(&topic).unwrap() else {
        return 0;
    };
    let since = Token {
        epoch: EPOCH,
        id: RecordId(latest.0.saturating_sub(200)),
    };
    if history.resume(since, &limits, &mut batch).is_err() {
        return 0;
    }
    let mut previous = None;
    for record in batch.iter() {
        assert!(record.id > since.id && record.topic == topic.as_str());
        assert!(
            previous.is_none_or(|previous| previous == record.previous),
            "none is missing"
        );
        previous = Some(record.id);
    }
    assert!(previous.is_none_or(|last| last == history.last()));
    batch.len() as u64
}
