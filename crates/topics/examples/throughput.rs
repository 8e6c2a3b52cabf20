//! What publishing and reading cost: first both in turns in one thread, then one process publishes and three read, each
//! its own.
//!
//! `cargo run --release -p topics --example throughput [bytes [seconds]]`

use std::env;
use std::num::NonZeroU64;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use topics::{Batch, Epoch, Flags, Futex, Kind, Layout, Log, Message, Owner, Publisher, Topic};

#[path = "../tests/support/shared.rs"]
mod shared;

const LAYOUT: Layout = Layout {
    ring: 16 << 20,
    topics: 10_000,
    seats: 16,
};
const READERS: u64 = 3;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words = LAYOUT.words().expect("the layout is possible");
    if let [role, fd, number] = &arguments[..] {
        assert_eq!(role, "reader");
        let words = shared::map(fd.parse().unwrap(), words).unwrap();
        read(Log::find(words).unwrap(), number.parse().unwrap());
        return;
    }
    let mut numbers = arguments.iter().map(|text| text.parse().expect("a number"));
    let bytes = numbers.next().unwrap_or(1024) as usize;
    let seconds = numbers.next().unwrap_or(3);

    alone(bytes);

    let (words, fd) = shared::make(words).unwrap();
    let log = Log::new(words, LAYOUT, Epoch(NonZeroU64::MIN), [1, 2]).unwrap();
    let readers: Vec<Child> = (1..=READERS).map(|number| start(fd, number)).collect();
    while log
        .history(&topic())
        .unwrap()
        .is_none_or(|history| history.subscribers() < READERS)
    {
        std::thread::sleep(Duration::from_millis(1));
    }

    publish(log, bytes, Duration::from_secs(seconds));
    for mut reader in readers {
        reader.wait().unwrap();
    }
}

/// Publishes and reads in turns, so that nobody waits for anybody.
fn alone(bytes: usize) {
    const AT_ONCE: u64 = 2000;
    const ROUNDS: u64 = 250;
    let (words, _) = shared::make(LAYOUT.words().unwrap()).unwrap();
    let log = Log::new(words, LAYOUT, Epoch(NonZeroU64::MIN), [1, 2]).unwrap();
    let mut reader = log
        .claim(Owner(NonZeroU64::MIN), |_| true)
        .unwrap()
        .reader()
        .unwrap();
    let mut batch = Batch::new();
    let (publisher, payload, topic) = (Publisher::new(log, Futex), vec![b'x'; bytes], topic());
    let (mut publishing, mut reading, mut count) = (Duration::ZERO, Duration::ZERO, 0);
    let start = Instant::now();
    for _ in 0..ROUNDS {
        let before = cpu_time();
        for _ in 0..AT_ONCE {
            publisher.publish(&message(&topic, &payload)).unwrap();
        }
        let between = cpu_time();
        while count % AT_ONCE != 0 || reader.last() != log.latest() {
            reader.next(&mut batch).unwrap();
            count += batch.len() as u64;
        }
        publishing += between - before;
        reading += cpu_time() - between;
    }
    report("published", bytes, count, 0, start.elapsed(), publishing);
    report("read", bytes, count, 0, start.elapsed(), reading);
}

fn message<'a>(topic: &'a Topic, payload: &'a [u8]) -> Message<'a> {
    Message {
        topic,
        kind: Kind::Binary,
        flags: Flags::default(),
        origin: 0,
        time: 0,
        key: None,
        payload,
    }
}

fn topic() -> Topic {
    Topic::new("/room/1").unwrap()
}

fn start(fd: i32, number: u64) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["reader", &fd.to_string(), &number.to_string()])
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

fn publish(log: Log<'_>, bytes: usize, time: Duration) {
    let publisher = Publisher::new(log, Futex);
    let payload = vec![b'x'; bytes];
    let topic = topic();
    let (start, cpu) = (Instant::now(), cpu_time());
    let mut count = 0_u64;
    while start.elapsed() < time {
        for _ in 0..64 {
            publisher.publish(&message(&topic, &payload)).unwrap();
        }
        count += 64;
    }
    report(
        "published",
        bytes,
        count,
        0,
        start.elapsed(),
        cpu_time() - cpu,
    );
    // An empty one ends the readers.
    publisher.publish(&message(&topic, b"")).unwrap();
}

fn read(log: Log<'_>, number: u64) {
    let seat = log
        .claim(Owner(NonZeroU64::new(number).unwrap()), |_| true)
        .unwrap();
    let mut reader = seat.reader().unwrap();
    let (subscription, _) = seat.subscribe(&topic()).unwrap();
    let mut batch = Batch::new();
    let (mut count, mut gaps, mut bytes) = (0, 0, 0);
    let (start, cpu) = (Instant::now(), cpu_time());
    loop {
        if reader.next(&mut batch).is_err() {
            gaps += 1;
            continue;
        }
        if batch.is_empty() {
            reader.wait(&Futex, Duration::from_secs(1));
        }
        for record in batch.iter() {
            bytes = record.payload.len().max(bytes);
        }
        if let Some(last) = batch.iter().last() {
            count += batch.len() as u64;
            if last.payload.is_empty() {
                break;
            }
        }
    }
    report(
        "read",
        bytes,
        count,
        gaps,
        start.elapsed(),
        cpu_time() - cpu,
    );
    seat.unsubscribe(subscription).unwrap();
}

fn report(what: &str, bytes: usize, count: u64, gaps: u64, time: Duration, cpu: Duration) {
    println!(
        "{what:9} {bytes} B: {count}, {:.2} M/s, {:.3} µs of processor time each, {gaps} gaps",
        count as f64 / time.as_secs_f64() / 1e6,
        cpu.as_secs_f64() * 1e6 / count.max(1) as f64,
    );
}

/// The processor time of this thread.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}
