//! What a source may ask of the reactor that it is in.

use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use crate::Stopped;
use crate::core::Core;
use crate::job::Job;
use crate::registry::Token;

/// A source's place in a reactor. Dropping it gives the place up.
///
/// All methods may be called on any thread, callbacks included, and several at once.
pub struct Registration {
    pub(crate) core: Arc<Core>,
    pub(crate) token: Token,
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
    /// lock nor a system call. Does nothing after `deregister` or [`Reactor::stop`](crate::Reactor::stop).
    pub fn set_timer(&self, after: Duration) {
        self.core.set_timer(self.token, after);
    }

    /// Takes the timer back. A call of `expired` that is under way may still run.
    pub fn clear_timer(&self) {
        self.core.clear_timer(self.token);
    }

    /// Has `ready` called on a worker with [`Readiness::NOTIFIED`](crate::Readiness::NOTIFIED), once for each call of this.
    ///
    /// # Errors
    ///
    /// [`Stopped`] after [`Reactor::stop`](crate::Reactor::stop).
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
