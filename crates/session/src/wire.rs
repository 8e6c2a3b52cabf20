//! The transport of a session, and the frames that are on their way out by it.

use std::io::IoSlice;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::buffers::Buffers;
use crate::ending::Account;
use crate::environment::{Epilogue, Machine, Transport};
use crate::outbox::Outbox;
use crate::pieces::{self, Pieces};

/// How often to look within the send timeout whether the peer takes output: a peer that has stopped is given up at most
/// that part of the time too late.
const LOOKS: u32 = 8;

/// A buffer of so few bytes stays with its session, for the next message: less than it takes to get another each time.
const SPARE: usize = 256;

/// The transport of one session. One thread at a time has it, for reading and for writing: TLS reads while it writes.
pub struct Wire<T: Transport> {
    transport: T,
    /// Whole frames that are being written.
    pending: Vec<u8>,
    /// How much of `pending` has been taken.
    taken: usize,
    /// What is being written instead, when it does not lie in one buffer.
    pieces: Pieces,
    /// The transport knows of what is being written.
    is_begun: bool,
    /// There is output that the transport does not take.
    stall: Option<Stall>,
    send_timeout: Duration,
    /// The peer has been given up: it has taken nothing in that time.
    has_expired: bool,
    buffers: Arc<Buffers>,
    failure: Option<T::Failure>,
    bytes_sent: u64,
}

/// The peer takes no output.
struct Stall {
    since: Instant,
    /// What it had acknowledged then; `None` when that cannot be known.
    acknowledged: Option<u64>,
    /// When that was last asked for.
    looked_at: Instant,
}

impl<T: Transport> Wire<T> {
    /// The wire of a session that opens.
    pub fn new(transport: T, send_timeout: Duration, buffers: Arc<Buffers>) -> Self {
        Wire {
            transport,
            pending: Vec::new(),
            taken: 0,
            pieces: Pieces::default(),
            is_begun: true,
            stall: None,
            send_timeout,
            has_expired: false,
            buffers,
            failure: None,
            bytes_sent: 0,
        }
    }

    /// The transport, to be read from or looked at: what writes is [`Wire::resume`].
    pub fn transport(&mut self) -> &mut T {
        &mut self.transport
    }

    /// Whether nothing may be read before output has left.
    pub fn is_clogged(&self) -> bool {
        self.failure.is_none() && self.transport.is_clogged()
    }

    /// Whether [`Wire::load`] may be called.
    #[inline(always)]
    pub fn is_idle(&self) -> bool {
        self.failure.is_none() && self.is_written() && !self.transport.has_output()
    }

    /// Whether the transport has taken what was loaded.
    #[inline(always)]
    fn is_written(&self) -> bool {
        self.pending.is_empty() && self.pieces.is_empty()
    }

    /// When the peer must have taken some of the output that waits for it, or when to look whether it has.
    pub fn send_deadline(&self) -> Option<Instant> {
        let stall = self.stall.as_ref()?;
        let next_look = stall.looked_at + self.send_timeout / LOOKS;
        Some(next_look.min(stall.since + self.send_timeout))
    }

    /// Gives a peer up that has taken no output in time: we write nothing more, whatever room there may be later.
    /// Says whether it is given up.
    pub fn expire(&mut self, now: Instant) -> bool {
        let is_over = |time: Option<Instant>| time.is_some_and(|time| time <= now);
        if is_over(self.send_deadline()) {
            // A slow one may have taken some, and still not so much that the transport has room.
            self.look_for_progress(false, now);
            let since = self.stall.as_ref().map(|stall| stall.since);
            self.has_expired |= is_over(since.map(|since| since + self.send_timeout));
        }
        self.has_expired
    }

    /// Begins the time anew when the peer has taken something. Room in the system's own buffer is no sign of that: it grows
    /// while the peer reads nothing. `has_moved`: what counts where nothing better is known.
    #[cold]
    fn look_for_progress(&mut self, has_moved: bool, now: Instant) {
        let acknowledged = self.transport.acknowledged();
        match &mut self.stall {
            Some(stall) => {
                stall.looked_at = now;
                let has_moved = match (acknowledged, stall.acknowledged) {
                    (Some(by_now), Some(by_then)) => by_now != by_then,
                    _ => has_moved,
                };
                if has_moved {
                    stall.since = now;
                    stall.acknowledged = acknowledged;
                }
            }
            None => {
                self.stall = Some(Stall {
                    since: now,
                    acknowledged,
                    looked_at: now,
                });
            }
        }
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

    /// Has the next frames of `outbox` to be written, by [`Wire::resume`], if there are any: says whether. The wire is idle
    /// before. The buffer of what was written last is for the outbox to gather others in.
    #[inline(always)]
    pub fn load(&mut self, outbox: &mut Outbox) -> bool {
        debug_assert!(self.is_idle());
        let spare = std::mem::take(&mut self.pending);
        match outbox.take(spare) {
            Some(frames) => {
                self.pending = frames;
                self.taken = 0;
            }
            None if outbox.take_pieces(&mut self.pieces) => {}
            None => return false,
        }
        self.is_begun = false;
        true
    }

    /// [`Wire::load`] of a message that is written from where it is: [`Wire::resume_through`] does, next. This is its header.
    pub fn load_header(&mut self, header: &[u8]) {
        debug_assert!(self.is_idle());
        self.pending.clear();
        self.pending.extend_from_slice(header);
        self.taken = 0;
        self.is_begun = false;
    }

    /// Writes what is loaded, as far as the transport takes it, and says how many bytes it took. When the wire is not idle
    /// afterwards, the transport is full or broken.
    #[inline(always)]
    pub fn resume(&mut self, machine: &impl Machine) -> usize {
        self.resume_by(machine, Self::write_some)
    }

    /// [`Wire::resume`] of the payload whose header is loaded. What the transport does not take is copied, and waits as if it
    /// had been loaded.
    pub fn resume_through(&mut self, payload: &[u8], machine: &impl Machine) -> usize {
        self.resume_by(machine, |wire, _| Through { wire, payload }.write())
    }

    #[inline(always)]
    fn resume_by(
        &mut self,
        machine: &impl Machine,
        write: impl FnOnce(&mut Self, bool) -> Result<(), T::Failure>,
    ) -> usize {
        let before = self.bytes_sent;
        let had_output = self.transport.has_output();
        if let Err(failure) = write(self, had_output) {
            self.failure.get_or_insert(failure);
        }
        let count = (self.bytes_sent - before) as usize;
        if self.taken == self.pending.len() {
            self.taken = 0;
            match self.pending.capacity() <= SPARE {
                true => self.pending.clear(),
                false => self.buffers.give(std::mem::take(&mut self.pending)),
            }
        }
        if self.is_idle() {
            self.stall = None;
        } else {
            let has_moved = count > 0 || (had_output && !self.transport.has_output());
            self.look_for_progress(has_moved, machine.now());
        }
        count
    }

    #[inline(always)]
    fn write_some(&mut self, has_output: bool) -> Result<(), T::Failure> {
        // What a broken transport took would follow a gap.
        if self.is_lost() {
            return Ok(());
        }
        if has_output {
            self.transport.flush()?;
        }
        if !std::mem::replace(&mut self.is_begun, true) {
            self.begin_frames();
        }
        while self.taken < self.pending.len() {
            match self.transport.write(&self.pending[self.taken..])? {
                0 => break,
                count => {
                    self.taken += count;
                    self.bytes_sent += count as u64;
                }
            }
        }
        match self.pieces.is_empty() {
            true => Ok(()),
            false => self.write_pieces(),
        }
    }

    #[inline(always)]
    fn begin_frames(&mut self) {
        match self.pieces.is_empty() {
            true => self.transport.begin_frames(&self.pending),
            false => self
                .pieces
                .iter()
                .for_each(|piece| self.transport.begin_frames(piece)),
        }
    }

    #[inline(never)]
    fn write_pieces(&mut self) -> Result<(), T::Failure> {
        while !self.pieces.is_empty() {
            let mut slices = [IoSlice::new(&[]); pieces::MOST];
            let filled = self.pieces.fill(&mut slices);
            let count = match filled {
                1 => self.transport.write(&slices[0])?,
                _ => self.transport.write_vectored(&slices[..filled])?,
            };
            if count == 0 {
                break;
            }
            self.bytes_sent += count as u64;
            self.pieces.advance(count, &self.buffers);
        }
        Ok(())
    }

    /// Nothing is going to be written any more.
    pub fn shut(&mut self) {
        self.transport.shut();
    }

    /// The session has ended. Gives what is left to be done when nobody holds the wire.
    pub fn end(&mut self, account: &Account<'_, T::Failure>) -> Option<Epilogue> {
        // A transport that has said goodbye before may have found no room for that.
        if !account.ending.is_broken() && self.is_written() && self.transport.has_output() {
            self.failure = self.failure.or(self.transport.flush().err());
        }
        // What the peer has not taken by now it never will; saying goodbye behind it would block.
        let is_lost = account.ending.is_broken() || !self.is_idle();
        self.transport.end(account, is_lost)
    }

    /// The transport, when the session has ended.
    pub fn into_transport(self) -> T {
        self.transport
    }
}

/// A message that is written from where it is, behind the header that is loaded. What has not left when this is dropped, in a
/// panic, too, stays with the wire.
struct Through<'a, T: Transport> {
    wire: &'a mut Wire<T>,
    /// What has not left.
    payload: &'a [u8],
}

impl<T: Transport> Through<'_, T> {
    fn write(&mut self) -> Result<(), T::Failure> {
        let wire = &mut *self.wire;
        if wire.is_lost() {
            return Ok(());
        }
        wire.is_begun = true;
        wire.transport.begin_frames(&wire.pending);
        wire.transport.begin_frames(self.payload);
        loop {
            let header = &wire.pending[wire.taken..];
            let count = match (header, self.payload) {
                ([], []) => break,
                ([], payload) => wire.transport.write(payload)?,
                (header, payload) => {
                    let both = [IoSlice::new(header), IoSlice::new(payload)];
                    wire.transport.write_vectored(&both)?
                }
            };
            if count == 0 {
                break;
            }
            let of_header = count.min(header.len());
            wire.taken += of_header;
            wire.bytes_sent += count as u64;
            self.payload = &self.payload[count - of_header..];
        }
        Ok(())
    }
}

impl<T: Transport> Drop for Through<'_, T> {
    fn drop(&mut self) {
        if self.payload.is_empty() {
            return;
        }
        let wire = &mut *self.wire;
        let header = wire.pending.split_off(wire.taken);
        let mut rest = wire.buffers.take(header.len() + self.payload.len());
        rest.extend_from_slice(&header);
        rest.extend_from_slice(self.payload);
        wire.pending = rest;
        wire.taken = 0;
    }
}
