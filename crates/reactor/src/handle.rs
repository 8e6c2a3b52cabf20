//! What any thread may ask of a reactor.

use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use crate::core::Core;
use crate::job::Job;
use crate::{Registration, Source, Stopped};

/// Access to a [`Reactor`](crate::Reactor), from any thread. Does not keep the threads running: after
/// [`Reactor::stop`](crate::Reactor::stop), what it is asked for is refused.
#[derive(Clone)]
pub struct Handle {
    pub(crate) core: Arc<Core>,
}

impl Handle {
    /// Takes a source in. Its timer can be set and it can be notified; its descriptor is watched once
    /// [`Registration::arm`] has been called.
    ///
    /// # Errors
    ///
    /// [`Stopped`] after [`Reactor::stop`](crate::Reactor::stop) (or, in theory, with more than 67 million sources).
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
    /// [`Stopped`] after [`Reactor::stop`](crate::Reactor::stop); the job has been dropped.
    pub fn run(&self, job: Box<dyn FnOnce() + Send>) -> Result<(), Stopped> {
        self.core.submit(Job::Call(job)).map_err(|_| Stopped)
    }

    /// Has a worker run `job` when `after` has passed. There is no way to call it off.
    ///
    /// # Errors
    ///
    /// [`Stopped`] after [`Reactor::stop`](crate::Reactor::stop); the job has been dropped.
    pub fn run_after(&self, after: Duration, job: Box<dyn FnOnce() + Send>) -> Result<(), Stopped> {
        let result = self.core.submit_after(after, Job::Call(job));
        result.map_err(|_| Stopped)
    }

    /// What the threads are doing, at about this moment.
    pub fn stats(&self) -> Stats {
        let counts = self.core.pool.counts();
        let workers = self.core.pool.workers().iter();
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
