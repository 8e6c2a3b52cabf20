//! Which callback of its plugin a connection is in, and since when: so that a plugin that hangs leaves a trace.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

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

/// Who is told of callbacks that have taken very long.
pub trait Overseer: Send + Sync {
    /// A callback has returned, after `time`.
    fn took_very_long(&self, name: &'static str, time: Duration);
}

/// The callback that runs.
///
/// One word, which the thread that runs the callback writes before and after it, for others to look at: its number; 0 for
/// none. The first who looks adds the time, in milliseconds, from which on it is certain that the callback runs: to ask for the
/// time of each would cost as much as all the rest. The highest bit says that it has been logged, the next that it has
/// waited for the peer, and that the time is when it went on.
#[derive(Default)]
pub struct Calling(AtomicU64);

const IS_LOGGED: u64 = 1 << 63;
const HAS_WAITED: u64 = 1 << 62;
const TIME_BITS: u32 = 56;
const TIME: u64 = (1 << TIME_BITS) - 1;

impl Calling {
    /// A callback begins.
    #[inline]
    pub fn begin(&self, callback: Callback) {
        self.0
            .store((callback as u64) << TIME_BITS, Ordering::Relaxed);
    }

    /// The callback has returned after this time. Says its name if it was very long and that has not been logged; waits
    /// for the peer are not the plugin's.
    #[inline]
    pub fn end(&self, time: Duration) -> Option<&'static str> {
        let name = match time >= VERY_LONG {
            true => self.name_of_long(),
            false => None,
        };
        self.0.store(0, Ordering::Relaxed);
        name
    }

    #[cold]
    fn name_of_long(&self) -> Option<&'static str> {
        let word = self.0.load(Ordering::Relaxed);
        match word & HAS_WAITED {
            0 => name(word),
            _ => self.look(Instant::now()),
        }
    }

    /// The thread that runs the callback waits for the peer meanwhile, which is no fault of the plugin's.
    pub fn outside(&self, wait: impl FnOnce()) {
        let word = self.0.swap(0, Ordering::Relaxed);
        wait();
        let begins_anew = word & !TIME | HAS_WAITED | milliseconds(Instant::now());
        self.0.store(begins_anew, Ordering::Relaxed);
    }

    /// The name of the callback that runs.
    pub fn running(&self) -> Option<&'static str> {
        name(self.0.load(Ordering::Relaxed) & !IS_LOGGED)
    }

    /// The name of the callback that runs, if it has been seen running for very long; once for each.
    pub fn look(&self, now: Instant) -> Option<&'static str> {
        let seen = self.0.load(Ordering::Relaxed);
        let began = seen & TIME;
        let name = name(seen)?;
        let now = milliseconds(now);
        let is_long = began != 0 && now.saturating_sub(began) >= VERY_LONG.as_millis() as u64;
        let marked = match began {
            0 => seen | now,
            _ if is_long => seen | IS_LOGGED,
            _ => return None,
        };
        // The callback may have ended meanwhile, and another of its kind may run: it is marked a moment too early then.
        let is_marked = self
            .0
            .compare_exchange(seen, marked, Ordering::Relaxed, Ordering::Relaxed);
        (is_long && is_marked.is_ok()).then_some(name)
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
    let number = usize::try_from((word & !HAS_WAITED) >> TIME_BITS).ok()?;
    NAMES.get(number.checked_sub(1)?).copied()
}

/// Since the first look at a clock in this process; at least 1, so that no word is 0.
fn milliseconds(now: Instant) -> u64 {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    let begin = *BEGIN.get_or_init(|| now);
    let time = now.saturating_duration_since(begin);
    // Not `as_millis`, whose 128 bits cost more than the subtraction.
    time.as_secs() * 1000 + u64::from(time.subsec_millis()) + 1
}
