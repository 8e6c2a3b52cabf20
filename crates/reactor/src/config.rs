//! How a reactor is to be.

use std::time::Duration;
use std::{fmt, io};

/// How a reactor is to be.
pub struct Config {
    /// How many workers there are at least, and how many take events at most as long as no callback
    /// blocks; at least 1. The number of processors is a good value.
    pub min_threads: usize,
    /// How many workers there may be in all; `min_threads` to [`Config::THREADS_LIMIT`].
    pub max_threads: usize,
    /// How long a worker in excess of `min_threads` stays without work. At most 24 days are meant.
    pub idle_timeout: Duration,
    /// What the threads' names begin with; a dash and a number follow, or `-sup`. Linux shows 15 bytes
    /// of a name: the first 10 of this are taken.
    pub name: String,
    /// The threads' stack size in bytes; 0 for the system's default (`ulimit -s`). Not below the
    /// system's minimum, and a multiple of the page size where the system wants that.
    pub stack_size: usize,
    /// Runs each worker thread: gets its whole life as a function, which it must call once. For what a thread has to
    /// have before its first callback and to give back after its last.
    pub around_thread: Option<AroundThread>,
    /// Is told what should not have happened, such as a panic in a callback or a thread that cannot be
    /// made. Called on any of the reactor's threads.
    pub on_fault: Option<FaultCallback>,
}

/// The type of [`Config::on_fault`]: gets one line of English without a line break of ours.
pub type FaultCallback = Box<dyn Fn(&str) + Send + Sync>;

/// The type of [`Config::around_thread`].
pub type AroundThread = Box<dyn Fn(&mut dyn FnMut()) + Send + Sync>;

impl Config {
    /// The highest [`Config::max_threads`].
    pub const THREADS_LIMIT: usize = 4096;

    pub(crate) fn check(&self) -> io::Result<()> {
        let text = if self.min_threads == 0 {
            "min_threads is 0"
        } else if self.max_threads < self.min_threads {
            "max_threads is below min_threads"
        } else if self.max_threads > Self::THREADS_LIMIT {
            "max_threads is above its limit"
        } else {
            return Ok(());
        };
        Err(io::Error::new(io::ErrorKind::InvalidInput, text))
    }

    pub(crate) fn short_name(&self) -> &str {
        let mut end = self.name.len().min(10);
        while !self.name.is_char_boundary(end) {
            end -= 1;
        }
        &self.name[..end]
    }
}

impl Default for Config {
    /// As many threads as processors, up to 64, for a minute.
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            min_threads: processors.min(64),
            max_threads: 64,
            idle_timeout: Duration::from_secs(60),
            name: "reactor".to_owned(),
            stack_size: 0,
            around_thread: None,
            on_fault: None,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("min_threads", &self.min_threads)
            .field("max_threads", &self.max_threads)
            .field("idle_timeout", &self.idle_timeout)
            .field("name", &self.name)
            .field("stack_size", &self.stack_size)
            .finish_non_exhaustive()
    }
}
