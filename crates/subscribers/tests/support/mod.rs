//! What tests of this folder stand on: a log of their own, one process's part of it, and a bell that nobody hears.

use std::num::NonZeroU64;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use subscribers::Hub;
use topics::{Bell, Epoch, Layout, Log, Owner, Reader, Topic};

/// A bell that nobody hears.
#[derive(Clone, Copy)]
pub struct Mute;

impl Bell for Mute {
    fn wait(&self, _: &AtomicU64, _: u64, _: Duration) {}
    fn wake(&self, _: &AtomicU64) {}
}

/// A small log with room for so many topics, and its only process.
pub fn process(topics: usize) -> (Log<'static>, Hub, Reader<'static>) {
    let layout = Layout {
        ring: 64 << 10,
        topics,
        seats: 4,
    };
    let words = layout.words().unwrap();
    let words: Vec<AtomicU64> = (0..words).map(|_| AtomicU64::new(0)).collect();
    let log = Log::new(words.leak(), layout, Epoch(NonZeroU64::MIN), [1, 2]).unwrap();
    let seat = log.claim(Owner(NonZeroU64::MIN), |_| true).unwrap();
    let hub = Hub::new(log, seat, Mute);
    let reader = hub.reader().unwrap();
    (log, hub, reader)
}

pub fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}
