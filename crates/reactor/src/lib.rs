//! Waits for many descriptors with few threads: an epoll poller, the worker threads that share it, and
//! timers. Linux only. It knows nothing of the protocol spoken over the descriptors.
//!
//! # How to drive it
//!
//! 1. [`Reactor::start`] makes the threads: [`Config::min_threads`] workers and a supervisor.
//! 2. For each descriptor, a type of yours implements [`Source`]. [`Handle::attach`] takes it in and
//!    returns its [`Registration`]; [`Registration::arm`] starts watching the descriptor. In between
//!    there is time to store the registration where the callbacks find it. ([`Handle::register`] is
//!    both in one.)
//! 3. From then on [`Source::ready`] is called, edge-triggered: on each change for the better, once for
//!    all it is ready for, and once right after arming. Read until the operation would block; what was
//!    not read is not reported again.
//! 4. [`Registration::deregister`] (or dropping it) *before* the descriptor is closed.
//! 5. [`Reactor::stop`] ends and joins the threads.
//!
//! ```
//! use std::io::{Read, Write};
//! use std::os::unix::net::UnixStream;
//! use std::sync::{Arc, Mutex, mpsc};
//!
//! use reactor::{Config, Reactor, Readiness, Source, Turn};
//!
//! struct Input {
//!     turn: Turn,
//!     socket: UnixStream,
//!     received: Mutex<mpsc::Sender<Vec<u8>>>,
//! }
//!
//! impl Source for Input {
//!     fn ready(self: Arc<Self>, readiness: Readiness) {
//!         if !self.turn.begin(readiness) {
//!             return; // another thread is at it, and will look again
//!         }
//!         loop {
//!             let mut buffer = [0; 64];
//!             while let Ok(n @ 1..) = (&self.socket).read(&mut buffer) {
//!                 let _ = self.received.lock().unwrap().send(buffer[..n].to_vec());
//!             }
//!             if self.turn.finish().is_none() {
//!                 return;
//!             }
//!         }
//!     }
//! }
//!
//! # fn main() -> std::io::Result<()> {
//! let reactor = Reactor::start(Config::default())?;
//! let (mut here, there) = UnixStream::pair()?;
//! there.set_nonblocking(true)?;
//! let (sender, receiver) = mpsc::channel();
//! let input = Arc::new(Input {
//!     turn: Turn::new(),
//!     socket: there,
//!     received: Mutex::new(sender),
//! });
//! let registration = reactor.register(&input.socket, input.clone())?;
//! here.write_all(b"hello")?;
//! assert_eq!(receiver.recv().unwrap(), b"hello");
//! registration.deregister();
//! reactor.stop();
//! # Ok(())
//! # }
//! ```
//!
//! # Threads
//!
//! *Callbacks* ([`Source::ready`], [`Source::expired`], jobs) run on worker threads, with no lock of
//! the reactor held: they may call anything here except [`Reactor::stop`], and they may block. A
//! callback that blocks holds up its own thread and nothing else: the events its worker has fetched are
//! taken over, and another thread is made if need be, up to [`Config::max_threads`]. It takes a few
//! milliseconds to be noticed. When `max_threads` callbacks block at once, everything waits for the
//! first of them to return.
//!
//! How many threads take events follows the load. One does as long as it keeps up, because it then
//! finds many events at a time and wakes nobody; more do, up to [`Config::min_threads`], when it does not
//! and there are idle processors; and up to `max_threads` when callbacks spend their time asleep.
//! Threads in excess of `min_threads` end when they had nothing to do for [`Config::idle_timeout`]. An
//! idle reactor does not wake up at all.
//!
//! The calls of one source are *not* serialised: a second event may come in on another thread while the
//! first is being handled. [`Turn`] is there to sort that out.
//!
//! A panic out of a callback is caught and reported through [`Config::on_fault`]; the source stays
//! registered.
//!
//! All threads have the asynchronous signals blocked, so that the process's signals go to threads that
//! expect them; those of faults (SIGSEGV and the like) stay open. The crate has no static state and
//! leaves no thread-local state in threads not its own: once a reactor has been stopped and all handles
//! are dropped, the shared object with this code in it can be unloaded.
//!
//! # Ownership
//!
//! A reactor keeps an `Arc` of each source from `attach` to `deregister` or `stop`. A source may own its
//! registration: the circle is broken at either.
//!
//! # Time
//!
//! Timers count in steps of 10 ms. One never fires before its time, and on an idle machine at most 25 ms
//! after it, plus 50 ms if set for a second or more. No bound is given on a busy one.

#![deny(unsafe_code)]

use std::fmt;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::core::Core;
use crate::registry::Token;
use crate::worker::Job;

pub use crate::readiness::Readiness;
pub use crate::turn::Turn;

mod batch;
mod core;
mod demand;
mod poller;
mod pool;
mod readiness;
mod registry;
mod supervisor;
#[allow(unsafe_code)]
mod sys;
mod timer;
mod turn;
mod worker;

/// Something with a descriptor, or at least a timer, that wants to be called.
pub trait Source: Send + Sync + 'static {
    /// The descriptor has become ready for something, or [`Registration::notify`] was called. Runs on a
    /// worker thread, on two of them at once if it so happens.
    fn ready(self: Arc<Self>, readiness: Readiness);

    /// The time of [`Registration::set_timer`] has come. Runs on a worker thread, possibly while `ready`
    /// runs on another. The timer is off then; set it anew to be called again.
    fn expired(self: Arc<Self>) {}
}

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

    fn check(&self) -> io::Result<()> {
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

    fn short_name(&self) -> &str {
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

/// The poller, its threads and its timers. Owns the threads: dropping it is [`stop`](Self::stop).
///
/// Everything but starting and stopping is on [`Handle`], which this derefs to.
#[derive(Debug)]
pub struct Reactor {
    handle: Handle,
    supervisor: Mutex<Option<sys::Thread>>,
}

impl Reactor {
    /// Starts the threads. Not to be called in a process that forks afterwards and expects the child to
    /// have a reactor: threads do not survive `fork`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a configuration out of its ranges; else what the system said when it refused a
    /// descriptor or a thread.
    pub fn start(config: Config) -> io::Result<Self> {
        config.check()?;
        let core = Arc::new(Core::new(config)?);
        // Dropped on the way out of an error below, it stops what has been started.
        let reactor = Self {
            handle: Handle { core },
            supervisor: Mutex::new(None),
        };
        let core = &reactor.handle.core;
        core.pool.replenish(core)?;
        let shared = Arc::clone(core);
        let name = format!("{}-sup", core.config.short_name());
        let thread = sys::Thread::spawn(&name, core.config.stack_size, move || {
            supervisor::run(&shared);
        })?;
        *lock(&reactor.supervisor) = Some(thread);
        Ok(reactor)
    }

    /// Ends the reactor: no callback is started any more, those under way are waited for, all threads
    /// are joined, and all sources and jobs are dropped, on the calling thread. Timers do not fire, jobs
    /// do not run. Descriptors stay open; whoever owns them closes them. Does nothing the second time.
    ///
    /// Not to be called on one of the reactor's own threads, which cannot wait for itself: there it
    /// reports a fault, has the threads end, and neither joins nor drops anything.
    pub fn stop(&self) {
        let core = &self.handle.core;
        core.stopping.store(true, Ordering::SeqCst);
        core.poller.wake_for_good();
        core.pool.resume_all(core);
        core.supervisor.wake();
        if self.is_own_thread() {
            core.fault("the reactor was stopped on a thread of its own");
            return;
        }
        // First the one that makes threads.
        let supervisor = lock(&self.supervisor).take();
        if let Some(thread) = supervisor {
            thread.join();
        }
        core.pool.join_all();
        core.discard();
    }

    /// A handle to give away.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    fn is_own_thread(&self) -> bool {
        let core = &self.handle.core;
        let me = sys::thread_id();
        let mut ids = core.workers.iter().map(|worker| &worker.thread_id);
        ids.any(|id| id.load(Ordering::Relaxed) == me)
            || core.supervisor.thread_id.load(Ordering::Relaxed) == me
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::ops::Deref for Reactor {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

/// Access to a [`Reactor`], from any thread. Does not keep the threads running: after
/// [`Reactor::stop`], what it is asked for is refused.
#[derive(Clone)]
pub struct Handle {
    core: Arc<Core>,
}

impl Handle {
    /// Takes a source in. Its timer can be set and it can be notified; its descriptor is watched once
    /// [`Registration::arm`] has been called.
    ///
    /// # Errors
    ///
    /// [`Stopped`] after [`Reactor::stop`] (or, in theory, with more than 67 million sources).
    pub fn attach(&self, source: Arc<dyn Source>) -> Result<Registration, Stopped> {
        let token = self.core.registry.insert(source).ok_or(Stopped)?;
        Ok(Registration {
            core: Arc::clone(&self.core),
            token,
        })
    }

    /// [`attach`](Self::attach) and [`Registration::arm`] in one. The source may be called before this
    /// returns.
    ///
    /// # Errors
    ///
    /// As of those two.
    pub fn register(&self, fd: &impl AsRawFd, source: Arc<dyn Source>) -> io::Result<Registration> {
        let registration = self.attach(source).map_err(io::Error::other)?;
        registration.arm(fd)?;
        Ok(registration)
    }

    /// Has a worker run `job` soon. Jobs start in the order in which they came, on as many threads as
    /// there are.
    ///
    /// # Errors
    ///
    /// [`Stopped`] after [`Reactor::stop`]; the job has been dropped.
    pub fn run(&self, job: Box<dyn FnOnce() + Send>) -> Result<(), Stopped> {
        self.core.submit(Job::Call(job)).map_err(|_| Stopped)
    }

    /// Has a worker run `job` when `after` has passed. There is no way to call it off.
    ///
    /// # Errors
    ///
    /// [`Stopped`] after [`Reactor::stop`]; the job has been dropped.
    pub fn run_after(&self, after: Duration, job: Box<dyn FnOnce() + Send>) -> Result<(), Stopped> {
        let result = self.core.submit_after(after, Job::Call(job));
        result.map_err(|_| Stopped)
    }

    /// What the threads are doing, at about this moment.
    pub fn stats(&self) -> Stats {
        let counts = self.core.pool.counts();
        let workers = self.core.workers[..self.core.pool.high()].iter();
        Stats {
            threads: counts.threads,
            busy: workers.filter(|w| w.activity().in_callback()).count(),
            stuck: counts.stuck,
            parked: counts.parked,
            sources: self.core.registry.len(),
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("config", &self.core.config)
            .field("stats", &self.stats())
            .finish()
    }
}

/// A source's place in a reactor. Dropping it gives the place up.
///
/// All methods may be called on any thread, callbacks included, and several at once.
pub struct Registration {
    core: Arc<Core>,
    token: Token,
}

impl Registration {
    /// Starts watching `fd`, which must be non-blocking for edge-triggering to make sense. `ready` is
    /// called at once with what it is ready for at the moment, and before this returns if it so happens.
    ///
    /// The descriptor is borrowed until [`deregister`](Self::deregister), which has to come before it is
    /// closed: closed first, its number may come to mean another file.
    ///
    /// # Errors
    ///
    /// `NotFound` if the source is deregistered or the reactor stopped; `AlreadyExists` if it is armed or
    /// the descriptor watched already; else what epoll says: `PermissionDenied` for a regular file, an
    /// error without a kind of its own for lack of memory or watches.
    pub fn arm(&self, fd: &impl AsRawFd) -> io::Result<()> {
        let fd = fd.as_raw_fd();
        // Under the slot's lock, so that a `deregister` on another thread comes before or after.
        let armed = self.core.registry.with_fd(self.token, |armed| {
            if armed.is_some() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            self.core.poller.add(fd, self.token)?;
            *armed = Some(fd);
            Ok(())
        });
        armed.unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()))
    }

    /// Has `expired` called when `after` has passed; replaces the time set before. Up to 21 years.
    ///
    /// Cheap enough to be called for every message: a later time than the one before costs neither a
    /// lock nor a system call. Does nothing after `deregister` or [`Reactor::stop`].
    pub fn set_timer(&self, after: Duration) {
        self.core.set_timer(self.token, after);
    }

    /// Takes the timer back. A call of `expired` that is under way may still run.
    pub fn clear_timer(&self) {
        self.core.clear_timer(self.token);
    }

    /// Has `ready` called on a worker with [`Readiness::NOTIFIED`], once for each call of this.
    ///
    /// # Errors
    ///
    /// [`Stopped`] after [`Reactor::stop`].
    pub fn notify(&self) -> Result<(), Stopped> {
        let result = self.core.submit(Job::Notify(self.token));
        result.map_err(|_| Stopped)
    }

    /// Gives the place up: the descriptor is no longer watched, the timer cleared, the reactor's `Arc` of
    /// the source dropped, on this thread unless a callback still runs.
    ///
    /// No call of the source begins after this has returned. One under way may still run, or be just
    /// about to, with an `Arc` of its own; a source that must know takes note of its end itself.
    /// Does nothing the second time.
    pub fn deregister(&self) {
        self.core.remove(self.token);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.deregister();
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registration").field(&self.token).finish()
    }
}

/// What the threads of a reactor are doing.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Worker threads, without the supervisor.
    pub threads: usize,
    /// Workers in a callback, the stuck ones too.
    pub busy: usize,
    /// Workers known to be in a callback that blocks or takes long.
    pub stuck: usize,
    /// Workers put aside until they are needed, or, beyond `min_threads`, `idle_timeout` is over.
    pub parked: usize,
    /// Sources attached.
    pub sources: usize,
}

/// The reactor has been stopped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the reactor has been stopped")
    }
}

impl std::error::Error for Stopped {}

/// Locks a mutex. No foreign code runs under a lock of ours, so one that was poisoned is sound still.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
