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
//! use reactor::{Config, Reactor, Readiness, Scratch, Source};
//!
//! struct Input {
//!     socket: UnixStream,
//!     received: Mutex<mpsc::Sender<Vec<u8>>>,
//! }
//!
//! impl Source for Input {
//!     fn ready(self: Arc<Self>, _readiness: Readiness, _: &mut Scratch) {
//!         // Another thread may be here with an earlier edge.
//!         let received = self.received.lock().unwrap();
//!         let mut buffer = [0; 64];
//!         while let Ok(n @ 1..) = (&self.socket).read(&mut buffer) {
//!             let _ = received.send(buffer[..n].to_vec());
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
//! first is being handled. To sort that out is the source's: by a lock, or by leaving word with the thread that is at it.
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

//! # The map
//!
//! A file names only files further down, or further right in its row.
//!
//! | what | files |
//! |---|---|
//! | a user holds | `reactor` (starts and ends the threads), `handle`, `registration`, `room` (a callback's own wait) |
//! | the threads do | `supervise` (the supervisor's), `work` (a worker's) |
//! | all of them share | `core` |
//! | its parts | `supervisor` (how it is called), `demand` (how many workers are worth it), `waiting` (who waits for events), `pool` (how many workers there are, and which are active), `worker`, `poller` (epoll), `batch`, `timer`, `job`, `registry` (from tokens to sources) |
//! | words and tools | `config`, `stopped`, `source`, `readiness`, `scratch`, `sync`, `sys` (all that is unsafe) |
//!
//! Where no lock decides what comes first between two threads, `waiting` has the table, and `schedules/` a model that is run
//! in every schedule: `scripts/schedules`.

#![deny(unsafe_code)]
// Models leave out what only epoll needs.
#![cfg_attr(loom, allow(unused_imports, dead_code))]

pub use crate::config::{Config, FaultCallback};
pub use crate::handle::{Handle, Stats};
pub use crate::reactor::Reactor;
pub use crate::readiness::Readiness;
pub use crate::registration::Registration;
pub use crate::room::RoomWait;
pub use crate::scratch::Scratch;
pub use crate::source::Source;
pub use crate::stopped::Stopped;
pub use crate::sys::SignalMask;

mod batch;
mod config;
mod core;
mod demand;
mod handle;
mod job;
#[cfg_attr(loom, path = "schedules/poller.rs")]
mod poller;
mod pool;
mod reactor;
mod readiness;
mod registration;
mod registry;
mod room;
#[cfg(all(test, loom))]
mod schedules;
mod scratch;
mod source;
mod stopped;
mod supervise;
mod supervisor;
mod sync;
#[allow(unsafe_code)]
mod sys;
mod timer;
mod waiting;
mod work;
mod worker;
