//! Lines that anybody can cause as often as they like: the first of them are written, the others counted.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use httpd::log::Subject;
use httpd::server::Server;

use super::Level;
use super::say::log;
use super::tag::Tag;

/// How many lines of one kind are written in a [`WINDOW`].
const BURST: u32 = 10;
const WINDOW: Duration = Duration::from_secs(10);

static REPEATS: Mutex<Vec<Repeats>> = Mutex::new(Vec::new());

/// The lines of one kind.
struct Repeats {
    tag: Tag,
    level: Level,
    /// What the sum of those that are not written is about.
    of: &'static str,
    since: Instant,
    written: u32,
    counted: u64,
}

/// [`log`], for a line that may come a thousand times: after some, those like it are counted for a while. `of` says what they
/// are about, in the plural. Of two that come at once, one may be counted for the other.
pub fn log_or_count(
    subject: &Subject<'_>,
    level: Level,
    tag: Tag,
    of: &'static str,
    text: impl FnOnce() -> String,
) {
    if is_to_be_written(level, tag, of, Instant::now()) {
        log(subject, level, tag, text);
    }
}

fn is_to_be_written(level: Level, tag: Tag, of: &'static str, now: Instant) -> bool {
    let mut all = REPEATS.lock().unwrap_or_else(PoisonError::into_inner);
    let known = all
        .iter()
        .position(|repeats| repeats.tag as u16 == tag as u16);
    let index = known.unwrap_or_else(|| {
        all.push(Repeats {
            tag,
            level,
            of,
            since: now,
            written: 0,
            counted: 0,
        });
        all.len() - 1
    });
    let repeats = &mut all[index];
    // Those that have been counted are told first, by the thread that looks for them.
    if repeats.counted == 0 && now.saturating_duration_since(repeats.since) >= WINDOW {
        repeats.since = now;
        repeats.written = 0;
    }
    let is_written = repeats.written < BURST;
    match is_written {
        true => repeats.written += 1,
        false => repeats.counted += 1,
    }
    is_written
}

/// Says how many lines have been counted instead of written. Called every few seconds, and at the end of the child.
pub fn tell(is_end: bool) {
    let now = Instant::now();
    let mut told = Vec::new();
    {
        // prefork's end comes in a signal handler, which must not wait for the thread that it interrupts.
        let Ok(mut all) = REPEATS.try_lock() else {
            return;
        };
        for repeats in &mut *all {
            let time = now.saturating_duration_since(repeats.since);
            if repeats.counted > 0 && (is_end || time >= WINDOW) {
                told.push((
                    repeats.tag,
                    repeats.level,
                    repeats.of,
                    repeats.counted,
                    time,
                ));
                repeats.counted = 0;
                repeats.written = 0;
                repeats.since = now;
            }
        }
    }
    let Some(server) = Server::main() else { return };
    for (tag, level, of, counted, time) in told {
        log(&Subject::Server(server), level, tag, || {
            format!(
                "{counted} more {of} in the last {} s, in this child",
                time.as_secs()
            )
        });
    }
}
