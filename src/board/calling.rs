//! Which callback of its plugin a thread is in, and since when: so that a plugin that hangs leaves a trace, and one that
//! ends the process.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use figures::{Call, Caller, Calls, Running, Seen};
use httpd::socket::current_thread;

use super::Entry;

/// A callback that takes longer is logged.
pub const VERY_LONG: Duration = Duration::from_secs(10);

/// A callback of a plugin.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Callback {
    Connect = 1,
    Open,
    Message,
    Writable,
    Timer,
    Pong,
    Close,
    Disconnect,
    ChildStart,
    ChildStop,
    Topic,
}

impl Callback {
    const ALL: [Callback; 11] = [
        Callback::Connect,
        Callback::Open,
        Callback::Message,
        Callback::Writable,
        Callback::Timer,
        Callback::Pong,
        Callback::Close,
        Callback::Disconnect,
        Callback::ChildStart,
        Callback::ChildStop,
        Callback::Topic,
    ];

    /// Its name in the plugin's table.
    pub fn name(self) -> &'static str {
        match self {
            Callback::Connect => "on_connect",
            Callback::Open => "on_open",
            Callback::Message => "on_message",
            Callback::Writable => "on_writable",
            Callback::Timer => "on_timer",
            Callback::Pong => "on_pong",
            Callback::Close => "on_close",
            Callback::Disconnect => "on_disconnect",
            Callback::ChildStart => "child_start",
            Callback::ChildStop => "child_stop",
            Callback::Topic => "on_topic",
        }
    }

    /// The name of the callback that a call on the board is of.
    pub fn name_of(call: &Call<u8>) -> &'static str {
        let mut all = Self::ALL.into_iter();
        let callback = all.find(|callback| *callback as u8 == call.callback);
        callback.map_or("a callback", Self::name)
    }
}

/// What one connection, or the process itself, calls of its plugin.
#[derive(Clone, Copy)]
pub struct Calling {
    caller: Caller,
    calls: Calls<'static>,
}

/// A call that is under way. It is over by [`UnderWay::returned`] only, not by a `drop`: what unwinds from here ends the
/// process, and the board is to tell of it.
#[must_use]
pub struct UnderWay {
    running: Option<Running<'static>>,
    begin: Instant,
    began: u64,
}

/// What there is to say of a call that has returned.
pub struct Returned {
    /// What time it is then.
    pub end: Instant,
    pub time: Duration,
    /// It was very long, and nobody has said so yet.
    pub is_to_be_told: bool,
}

impl Calling {
    /// The calls of a connection.
    pub fn of_connection(entry: &Entry, plugin: &str) -> Self {
        let (caller, calls) = entry.caller(plugin);
        Calling { caller, calls }
    }

    pub(super) fn of_process(caller: Caller, calls: Calls<'static>) -> Self {
        Calling { caller, calls }
    }

    /// A callback is about to be called, and the board says so until it has returned.
    #[inline]
    pub fn begins(&self, callback: Callback, begin: Instant) -> UnderWay {
        let began = milliseconds(begin);
        let (calls, callback) = (self.calls, callback as u8);
        UnderWay {
            running: calls.begin(current_thread(), self.caller, callback, began),
            begin,
            began,
        }
    }

    /// The thread that runs the callback waits for a peer meanwhile, which is no fault of the plugin's.
    pub fn outside(&self, wait: impl FnOnce()) {
        match self.calls.of_thread(current_thread()) {
            Some(seen) => seen.outside(wait, || milliseconds(Instant::now())),
            None => wait(),
        }
    }
}

impl UnderWay {
    /// The callback has returned.
    #[inline]
    pub fn returned(self) -> Returned {
        let end = Instant::now();
        let time = end.saturating_duration_since(self.begin);
        let since = match self.running {
            Some(running) => running.end(),
            None => Some(self.began),
        };
        Returned {
            end,
            time,
            is_to_be_told: time >= VERY_LONG && since.is_some_and(|since| is_very_long(since, end)),
        }
    }
}

/// Whether a call has been running for very long, and nobody has been told.
pub(super) fn has_run_very_long(seen: &Seen<'_>, now: Instant) -> bool {
    seen.since().is_some_and(|since| is_very_long(since, now))
}

fn is_very_long(since: u64, now: Instant) -> bool {
    milliseconds(now).saturating_sub(since) >= VERY_LONG.as_millis() as u64
}

/// Since the first look at a clock in this process; at least 1.
fn milliseconds(now: Instant) -> u64 {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    let begin = *BEGIN.get_or_init(|| now);
    let time = now.saturating_duration_since(begin);
    // Not `as_millis`, whose 128 bits cost more than the subtraction.
    time.as_secs() * 1000 + u64::from(time.subsec_millis()) + 1
}
