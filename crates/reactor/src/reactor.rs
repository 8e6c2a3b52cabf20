//! The owner of a reactor's threads: starts them, and ends them.

use std::io;
use std::sync::Arc;

use crate::core::Core;
use crate::sync::atomic::Ordering;
use crate::sync::{Mutex, lock};
use crate::{Config, Handle, supervise, sys, work};

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
        work::replenish(core)?;
        let shared = Arc::clone(core);
        let name = format!("{}-sup", core.config.short_name());
        let thread = sys::Thread::spawn(&name, core.config.stack_size, move || {
            supervise::run(&shared);
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
        core.stop();
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
        core.pool.has_thread(me) || core.supervisor.thread_id.load(Ordering::Relaxed) == me
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
