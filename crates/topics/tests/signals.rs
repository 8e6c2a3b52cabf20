//! A signal handler that publishes, as the end of a process may, while the thread that it interrupts publishes, too.

use std::num::NonZeroU64;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use topics::{Epoch, Flags, Futex, Kind, Layout, Log, Message, Publisher, Topic, hold_signals};

#[path = "support/shared.rs"]
#[allow(dead_code, reason = "there is one process here")]
mod shared;
#[path = "support/signal.rs"]
mod signal;

const LAYOUT: Layout = Layout {
    ring: 64 << 10,
    topics: 8,
    seats: 4,
};
/// Of the thread. Of the handler, there are as many as signals come.
const MESSAGES: u64 = 200_000;

struct Scene {
    log: Log<'static>,
    topic: Topic,
}

/// Made before the first signal, since nothing may be allocated in a handler.
static SCENE: OnceLock<Scene> = OnceLock::new();
static BY_HANDLER: AtomicU64 = AtomicU64::new(0);
static REFUSED: AtomicU64 = AtomicU64::new(0);

fn publish(scene: &Scene) -> bool {
    let message = Message {
        topic: &scene.topic,
        kind: Kind::Text,
        flags: Flags::default(),
        origin: 0,
        time: 0,
        key: None,
        payload: b"a message",
    };
    Publisher::new(scene.log, Futex).publish(&message).is_ok()
}

extern "C" fn handle(_: libc::c_int) {
    let count = match SCENE.get().is_some_and(publish) {
        true => &BY_HANDLER,
        false => &REFUSED,
    };
    count.fetch_add(1, Ordering::Relaxed);
}

#[test]
fn a_handler_never_finds_its_own_thread_at_it() {
    let (words, _) = shared::make(LAYOUT.words().unwrap()).unwrap();
    let scene = SCENE.get_or_init(|| Scene {
        log: Log::new(words, LAYOUT, Epoch(NonZeroU64::MIN), [3, 4]).unwrap(),
        topic: Topic::new("a").unwrap(),
    });
    hold_signals();
    // SAFETY: what the handler uses is made, and its thread is in the middle of nothing then, which is what is tested.
    unsafe { signal::handle(handle) };
    let (publisher, is_over) = (signal::Target::this(), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                // SAFETY: the thread waits for this one.
                unsafe { publisher.interrupt() };
                thread::yield_now();
            }
        });
        let all = (0..MESSAGES).all(|_| publish(scene));
        is_over.store(true, Ordering::Relaxed);
        assert!(all, "the thread's own");
    });
    let by_handler = BY_HANDLER.load(Ordering::Relaxed);
    assert!(by_handler > 0, "signals came");
    assert_eq!(REFUSED.load(Ordering::Relaxed), 0);
    assert_eq!(scene.log.figures().latest.0, MESSAGES + by_handler);
}
