//! The one epoll instance that all workers wait on.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd, RawFd};

use crate::Readiness;
use crate::batch::{self, Filler};
use crate::registry::Token;
use crate::sys::{self, Epoll, EventBuffer};

/// Edge-triggered and asked for everything once, so that no event costs a system call to re-arm.
/// With one shared edge-triggered instance the kernel wakes one waiter per event, the one that came
/// last: surplus workers sleep on.
const INTEREST: i32 = sys::EPOLLIN | sys::EPOLLOUT | sys::EPOLLRDHUP | sys::EPOLLET;

/// An epoll instance and an eventfd in it that wakes its waiters.
pub(crate) struct Poller {
    epoll: Epoll,
    waker: File,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = Epoll::new()?;
        let waker = File::from(sys::eventfd()?);
        epoll.add(
            waker.as_raw_fd(),
            sys::EPOLLIN | sys::EPOLLET,
            Token::WAKE.bits(),
        )?;
        Ok(Self { epoll, waker })
    }

    /// Watches `fd` until [`remove`](Self::remove). What it is ready for now is reported at once.
    pub(crate) fn add(&self, fd: RawFd, token: Token) -> io::Result<()> {
        self.epoll.add(fd, INTEREST, token.bits())
    }

    /// Stops watching `fd`. An event that a thread has already fetched is not taken back.
    pub(crate) fn remove(&self, fd: RawFd) {
        // The one failure possible is a descriptor that is not watched, which is what is wanted.
        let _ = self.epoll.delete(fd);
    }

    /// Wakes one waiter, or the next thread that waits. The eventfd is never read: edge-triggered,
    /// each write is an event of its own, and its count cannot overflow in the life of a process.
    pub(crate) fn wake(&self) {
        let _ = (&self.waker).write_all(&1u64.to_ne_bytes());
    }

    /// Wakes all waiters, and every later wait too.
    pub(crate) fn wake_for_good(&self) {
        let _ = self
            .epoll
            .modify(self.waker.as_raw_fd(), sys::EPOLLIN, Token::WAKE.bits());
        self.wake();
    }

    /// Waits for events, up to `timeout` milliseconds or for ever (-1), and puts those of sources into
    /// the batch.
    pub(crate) fn wait(
        &self,
        buffer: &mut EventBuffer,
        timeout: i32,
        batch: &mut Filler<'_>,
    ) -> io::Result<Waited> {
        let result = self.epoll.wait(buffer, timeout, |bits, data| {
            if data != Token::WAKE.bits() {
                let (token, _) = Token::split(data);
                batch.push(token.with_readiness(Readiness::from_epoll(bits)));
            }
        });
        match result {
            Ok(0) if timeout != 0 => Ok(Waited::TimedOut),
            Ok(_) => Ok(Waited::Woken),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(Waited::Woken),
            Err(e) => Err(e),
        }
    }
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Waited {
    /// There may be events.
    Woken,
    /// The time was over.
    TimedOut,
}

/// A buffer for as many events as fit a batch.
pub(crate) fn event_buffer() -> EventBuffer {
    EventBuffer::new(batch::ROOM)
}
