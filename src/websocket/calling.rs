//! Which callback of its plugin a connection is in, and since when: so that a plugin that hangs leaves a trace.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use websocket_proto::CloseCode;

/// A callback that takes longer is logged. At least a second, the grain of what is kept.
pub const VERY_LONG: Duration = Duration::from_secs(10);

/// A callback of a plugin.
#[derive(Clone, Copy)]
pub enum Callback {
    Connect = 1,
    Open,
    Message,
    Writable,
    Timer,
    Pong,
    Close,
    Disconnect,
}

/// Whom an outside tells what it cannot do itself: of callbacks that have taken very long, of messages that are refused.
pub trait Overseer: Send + Sync {
    /// A callback has returned, after `time`.
    fn took_very_long(&self, name: &'static str, time: Duration);

    /// A message of the client's is not published, and it is closed with this code and reason.
    fn refuses_message(&self, why: (CloseCode, &'static str));
}

/// The callback that runs.
///
/// One word, which the thread that runs the callback writes before and after it, for others to look at: its number and when
/// it began, in milliseconds; 0 for none. The highest bit says that it has been logged.
#[derive(Default)]
pub struct Calling(AtomicU64);

const IS_LOGGED: u64 = 1 << 63;
const TIME_BITS: u32 = 56;
const TIME: u64 = (1 << TIME_BITS) - 1;

impl Calling {
    /// A callback begins.
    pub fn begin(&self, callback: Callback, now: Instant) {
        self.0.store(
            (callback as u64) << TIME_BITS | milliseconds(now),
            Ordering::Relaxed,
        );
    }

    /// The callback has returned. Says its name if it was very long and that has not been logged.
    pub fn end(&self, now: Instant) -> Option<&'static str> {
        let name = self.look(now);
        self.0.store(0, Ordering::Relaxed);
        name
    }

    /// The thread that runs the callback waits for the peer meanwhile, which is no fault of the plugin's.
    pub fn outside(&self, wait: impl FnOnce()) {
        let word = self.0.swap(0, Ordering::Relaxed);
        wait();
        let begins_anew = word & !TIME | milliseconds(Instant::now());
        self.0.store(begins_anew, Ordering::Relaxed);
    }

    /// The name of the callback that runs.
    pub fn running(&self) -> Option<&'static str> {
        name(self.0.load(Ordering::Relaxed) & !IS_LOGGED)
    }

    /// The name of the callback that runs, if it has been running for very long; once for each.
    pub fn look(&self, now: Instant) -> Option<&'static str> {
        let seen = self.0.load(Ordering::Relaxed);
        let began = seen & TIME;
        let name = name(seen)?;
        if milliseconds(now).saturating_sub(began) < VERY_LONG.as_millis() as u64 {
            return None;
        }
        let marked =
            self.0
                .compare_exchange(seen, seen | IS_LOGGED, Ordering::Relaxed, Ordering::Relaxed);
        marked.is_ok().then_some(name)
    }
}

/// The name of the callback that a word tells of, unless it has been logged.
fn name(word: u64) -> Option<&'static str> {
    if word & IS_LOGGED != 0 {
        return None;
    }
    const NAMES: [&str; 8] = [
        "on_connect",
        "on_open",
        "on_message",
        "on_writable",
        "on_timer",
        "on_pong",
        "on_close",
        "on_disconnect",
    ];
    let number = usize::try_from(word >> TIME_BITS).ok()?;
    NAMES.get(number.checked_sub(1)?).copied()
}

/// Since the first look at a clock in this process; at least 1, so that no word is 0.
fn milliseconds(now: Instant) -> u64 {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    let begin = *BEGIN.get_or_init(|| now);
    now.saturating_duration_since(begin).as_millis() as u64 + 1
}
