//! What the log promises, through its public interface, in one process.

mod garbage;
mod history;
mod keys;
mod live;
mod members;
mod model;
mod seats;
mod table;

use std::num::NonZeroU64;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use topics::{
    Batch, Bell, CannotResume, Count, Counted, EnterError, Epoch, Flags, Kind, Layout, Limits,
    LockError, Log, Member, Message, Notice, Owner, PublishError, Published, Publisher, Reader,
    RecordId, Seat, Token, Topic, Trail,
};

const EPOCH: Epoch = Epoch(NonZeroU64::MIN);
const SMALL: Layout = Layout {
    ring: 8 << 10,
    topics: 8,
    seats: 4,
};
const ALL: Limits = Limits {
    messages: usize::MAX,
    age: None,
    now: 0,
};

/// A bell that nobody hears.
#[derive(Clone, Copy)]
struct Mute;

impl Bell for Mute {
    fn wait(&self, _: &AtomicU64, _: u64, _: Duration) {}
    fn wake(&self, _: &AtomicU64) {}
}

fn words(layout: Layout) -> &'static [AtomicU64] {
    let count = layout.words().expect("the layout is possible");
    let words: Vec<AtomicU64> = (0..count).map(|_| AtomicU64::new(0)).collect();
    words.leak()
}

fn log(layout: Layout) -> Log<'static> {
    Log::new(words(layout), layout, EPOCH, [1, 2]).unwrap()
}

fn owner(number: u64) -> Owner {
    Owner(NonZeroU64::new(number).unwrap())
}

fn seat(log: Log<'static>) -> Seat<'static> {
    log.claim(owner(1), |_| true).unwrap()
}

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
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

fn send(log: Log<'_>, message: &Message<'_>) -> Result<Published, PublishError> {
    Publisher::new(log, Mute).publish(message)
}

fn publish(log: Log<'_>, name: &str, payload: &[u8]) -> u64 {
    send(log, &message(&topic(name), payload)).unwrap().id.0
}

fn token(id: u64) -> Token {
    Token {
        epoch: EPOCH,
        id: RecordId(id),
    }
}

/// The ids that are resumed with.
fn resume(log: Log<'_>, name: &str, since: u64, limits: &Limits) -> Result<Vec<u64>, CannotResume> {
    let mut batch = Batch::new();
    let history = log
        .history(&topic(name))
        .unwrap()
        .expect("there is such a topic");
    history.resume(token(since), limits, &mut batch)?;
    Ok(ids(&batch))
}

fn recent(log: Log<'_>, name: &str, limits: &Limits) -> Vec<u64> {
    let mut batch = Batch::new();
    let history = log
        .history(&topic(name))
        .unwrap()
        .expect("there is such a topic");
    history.recent(limits, &mut batch);
    ids(&batch)
}

fn ids(batch: &Batch) -> Vec<u64> {
    batch.iter().map(|record| record.id.0).collect()
}

/// The next records' ids and payloads.
fn read(reader: &mut Reader<'_>) -> Result<Vec<(u64, Vec<u8>)>, topics::Gap> {
    let mut batch = Batch::new();
    let mut all = Vec::new();
    loop {
        reader.next(&mut batch)?;
        if batch.is_empty() {
            return Ok(all);
        }
        all.extend(
            batch
                .iter()
                .map(|record| (record.id.0, record.payload.to_vec())),
        );
    }
}
