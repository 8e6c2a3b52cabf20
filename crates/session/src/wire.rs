//! Bytes in and out of a session, and the frames that are on their way out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::buffers::Buffers;
use crate::ending::Account;
use crate::environment::{Machine, Read, Transport};

/// The transport of one session. One thread at a time has it, for reading and for writing: TLS reads while it writes.
pub struct Wire<T: Transport> {
    transport: T,
    /// Whole frames that are being written.
    pending: Vec<u8>,
    /// How much of `pending` has been taken.
    taken: usize,
    /// The transport knows of `pending`.
    is_begun: bool,
    /// Since when the transport has taken nothing although there is output.
    stalled_since: Option<Instant>,
    send_timeout: Duration,
    /// The peer has been given up: it has taken nothing in that time.
    has_expired: bool,
    buffers: Arc<Buffers>,
    failure: Option<T::Failure>,
    bytes_sent: u64,
}

impl<T: Transport> Wire<T> {
    /// The wire of a session that opens.
    pub fn new(transport: T, send_timeout: Duration, buffers: Arc<Buffers>) -> Self {
        Wire {
            transport,
            pending: Vec::new(),
            taken: 0,
            is_begun: true,
            stalled_since: None,
            send_timeout,
            has_expired: false,
            buffers,
            failure: None,
            bytes_sent: 0,
        }
    }

    /// The transport, to be looked at.
    pub fn transport(&mut self) -> &mut T {
        &mut self.transport
    }

    /// Reads what there is, at most `buffer.len()` bytes.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<Read, T::Failure> {
        self.transport.read(buffer)
    }

    /// Whether the next frames can be given to [`Wire::write`].
    pub fn is_idle(&self) -> bool {
        self.failure.is_none() && self.pending.is_empty() && !self.transport.has_output()
    }

    /// When the peer must have taken some of the output that waits for it.
    pub fn send_deadline(&self) -> Option<Instant> {
        self.stalled_since.map(|since| since + self.send_timeout)
    }

    /// Gives a peer up that has taken no output in time: we write nothing more, whatever room there may be later.
    /// Says whether it is given up.
    pub fn expire(&mut self, now: Instant) -> bool {
        self.has_expired |= self.send_deadline().is_some_and(|deadline| deadline <= now);
        self.has_expired
    }

    /// How many bytes have gone out.
    pub fn bytes_sent(&self) -> u64 {
        self.bytes_sent
    }

    /// What broke the connection while it was written to.
    pub fn failure(&self) -> Option<T::Failure> {
        self.failure
    }

    /// Whether nothing more is going to be written.
    pub fn is_lost(&self) -> bool {
        self.failure.is_some() || self.has_expired
    }

    /// Whole frames are to be written next, by [`Wire::resume`]; the wire is idle before.
    pub fn load(&mut self, frames: Vec<u8>) {
        debug_assert!(self.is_idle());
        self.pending = frames;
        self.taken = 0;
        self.is_begun = false;
    }

    /// Writes what is loaded, as far as the transport takes it, and says how many bytes it took. When the wire is not idle
    /// afterwards, the transport is full or broken.
    pub fn resume(&mut self, machine: &impl Machine) -> usize {
        let before = self.taken;
        let had_output = self.transport.has_output();
        if let Err(failure) = self.write_some() {
            self.failure.get_or_insert(failure);
        }
        let count = self.taken - before;
        self.bytes_sent += count as u64;
        if self.taken == self.pending.len() {
            self.buffers.give(std::mem::take(&mut self.pending));
            self.taken = 0;
        }
        let has_moved = count > 0 || (had_output && !self.transport.has_output());
        if self.is_idle() {
            self.stalled_since = None;
        } else if has_moved || self.stalled_since.is_none() {
            self.stalled_since = Some(machine.now());
        }
        count
    }

    fn write_some(&mut self) -> Result<(), T::Failure> {
        if self.has_expired {
            return Ok(());
        }
        if self.transport.has_output() {
            self.transport.flush()?;
        }
        if !std::mem::replace(&mut self.is_begun, true) {
            self.transport.begin_frames(&self.pending);
        }
        while self.taken < self.pending.len() {
            match self.transport.write(&self.pending[self.taken..])? {
                0 => break,
                count => self.taken += count,
            }
        }
        Ok(())
    }

    /// The session has ended.
    pub fn end(&mut self, account: &Account<'_, T::Failure>) {
        // What the peer has not taken by now it never will; saying goodbye behind it would block.
        let is_lost = account.ending.is_broken() || !self.is_idle();
        self.transport.end(account, is_lost);
    }

    /// The transport, when the session has ended.
    pub fn into_transport(self) -> T {
        self.transport
    }
}
