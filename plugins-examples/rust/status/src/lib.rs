//! Tells its clients, again and again, what the server's process is doing.
//!
//! ```text
//! <Location "/status">
//!   SetHandler websocket-handler
//!   WebSocketHandler modules/mod_websocket_rust_status.so status_init
//!   WebSocketPluginOption update-ms 1000
//! </Location>
//! ```
//!
//! `/status` gets an update at once and then every `update-ms` milliseconds; `/status?update-ms=250`
//! chooses for itself. Either is a number from 100 to 60000; any other is a configuration error in
//! the option, and HTTP status 400 in the query. An update is a JSON text:
//!
//! | member | |
//! |---|---|
//! | `time` | seconds since 1970, with a fraction |
//! | `pid`, `uptime` | the child process that has this WebSocket, and the seconds since it began |
//! | `load` | the machine's load averages over 1, 5 and 15 minutes |
//! | `memory.rss` | the process's resident memory, in bytes |
//! | `threads`, `descriptors` | how many the process has |
//! | `connections` | how many WebSockets of this plugin are open in the process |
//! | `sent` | the number of this update, from 1 |
//!
//! A client that reads slowly misses updates; they are not counted. What a client sends is ignored.

#![forbid(unsafe_code)]

use std::fs;
use std::io;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;
use websocket_plugin::{
    Handshake, Message, Options, Plugin, Process, Rejection, SendError, Sender, export_plugin, log,
};

const MIN_UPDATE: u64 = 100;
const MAX_UPDATE: u64 = 60_000;
const DEFAULT_UPDATE: u64 = 1000;
/// Close code "internal error" (RFC 6455 §7.4.1).
const INTERNAL_ERROR: u16 = 1011;

#[derive(Default)]
struct Status {
    /// When the child process began.
    started: OnceLock<Instant>,
    connections: AtomicUsize,
    /// What was read last, and when.
    newest: Mutex<Option<(Instant, Sample)>>,
}

/// One connection.
struct Watcher {
    update: Duration,
    sent: u64,
}

impl Plugin for Status {
    type Connection = Watcher;

    fn configure(&self, options: &Options<'_>) -> Result<(), String> {
        options.allow_only(&["update-ms"])?;
        default_update(options).map(drop)
    }

    fn child_start(&self, _process: &Process) {
        self.started.get_or_init(Instant::now);
    }

    fn connect(&self, handshake: &Handshake<'_>) -> Result<Watcher, Rejection> {
        let update = match handshake.query("update-ms") {
            None => default_update(&handshake.options())?,
            Some(asked) => match asked.parse() {
                Ok(update @ MIN_UPDATE..=MAX_UPDATE) => update,
                _ => return Err(Rejection::bad_request()),
            },
        };
        self.connections.fetch_add(1, Ordering::Relaxed);
        let update = Duration::from_millis(update);
        Ok(Watcher { update, sent: 0 })
    }

    fn open(&self, watcher: &mut Watcher, peer: &Sender) {
        self.timer(watcher, peer);
    }

    fn message(&self, _watcher: &mut Watcher, _peer: &Sender, _message: Message<'_>) {}

    fn timer(&self, watcher: &mut Watcher, peer: &Sender) {
        let update = match self.update(watcher.sent + 1) {
            Ok(update) => update,
            Err(error) => {
                log::error!("cannot read /proc: {error}");
                let _ = peer.close_with(INTERNAL_ERROR, "");
                return;
            }
        };
        match peer.try_send(Message::Text(&update)) {
            Ok(()) => watcher.sent += 1,
            // The peer is slow: the next update will be newer than this one.
            Err(SendError::WouldBlock) => {}
            Err(_) => return,
        }
        let _ = peer.set_timer(watcher.update);
    }

    fn disconnect(&self, _watcher: Watcher) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Status {
    fn update(&self, sent: u64) -> io::Result<String> {
        let time = SystemTime::UNIX_EPOCH.elapsed();
        let update = Update {
            time: time.map_or(0.0, |time| time.as_secs_f64()),
            pid: std::process::id(),
            uptime: self
                .started
                .get_or_init(Instant::now)
                .elapsed()
                .as_secs_f64(),
            sample: self.sample()?,
            connections: self.connections.load(Ordering::Relaxed),
            sent,
        };
        Ok(serde_json::to_string(&update)?)
    }

    /// What /proc says. It is read ten times a second at most, however many clients there are.
    fn sample(&self) -> io::Result<Sample> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        match *newest {
            Some((at, sample)) if at.elapsed() < Duration::from_millis(MIN_UPDATE) => Ok(sample),
            _ => {
                let sample = Sample::read()?;
                *newest = Some((Instant::now(), sample));
                Ok(sample)
            }
        }
    }
}

fn default_update(options: &Options<'_>) -> Result<u64, String> {
    options.number("update-ms", MIN_UPDATE..=MAX_UPDATE, DEFAULT_UPDATE)
}

#[derive(Serialize)]
struct Update {
    time: f64,
    pid: u32,
    uptime: f64,
    #[serde(flatten)]
    sample: Sample,
    connections: usize,
    sent: u64,
}

#[derive(Clone, Copy, Serialize)]
struct Sample {
    load: [f64; 3],
    memory: Memory,
    threads: u64,
    descriptors: usize,
}

#[derive(Clone, Copy, Serialize)]
struct Memory {
    rss: u64,
}

impl Sample {
    fn read() -> io::Result<Self> {
        let load = fs::read_to_string("/proc/loadavg")?;
        let mut load = load.split_whitespace().map(number);
        let mut next = || load.next().unwrap_or_else(|| Err(not_understood()));
        let status = fs::read_to_string("/proc/self/status")?;
        Ok(Self {
            load: [next()?, next()?, next()?],
            memory: Memory {
                rss: 1024 * field::<u64>(&status, "VmRSS:")?,
            },
            threads: field(&status, "Threads:")?,
            // One of them is the directory that is being read.
            descriptors: fs::read_dir("/proc/self/fd")?.count() - 1,
        })
    }
}

/// The number behind a name in /proc/self/status, see proc(5).
fn field<T: FromStr>(status: &str, name: &str) -> io::Result<T> {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|line| line.split_whitespace().next());
    value.map_or_else(|| Err(not_understood()), number)
}

fn number<T: FromStr>(text: &str) -> io::Result<T> {
    text.parse().map_err(|_| not_understood())
}

fn not_understood() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

export_plugin!(status_init, Status::default());

#[cfg(test)]
mod tests;
