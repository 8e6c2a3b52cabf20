//! Bytes in and out of a connection, through httpd's filters, and the one frame that is on its way out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use httpd::apr::Status;
use httpd::log::Subject;
use httpd::upgraded::{Read, Upgraded};

use crate::websocket::buffers::Buffers;
use crate::websocket::frame_log::FrameLog;

/// How often to look within `WebSocketSendTimeout` whether the peer takes output: a peer that has stopped is given up at
/// most that part of the time too late.
const LOOKS: u32 = 8;

/// The transport of one connection. Under the connection's lock: who holds it reads or writes, not both at once.
pub struct Transport {
    upgraded: Upgraded,
    /// Whole frames that are being written.
    pending: Vec<u8>,
    /// How much of `pending` has been taken.
    taken: usize,
    /// Since when the peer has taken nothing although there is output.
    stalled_since: Option<Instant>,
    /// What the peer had acknowledged then; `None` when that cannot be known.
    acknowledged: Option<u64>,
    /// When that was last asked for.
    looked_at: Instant,
    /// `WebSocketSendTimeout`.
    send_timeout: Duration,
    /// The peer has been given up: it has taken nothing in that time.
    has_expired: bool,
    buffers: Arc<Buffers>,
    failure: Option<Status>,
    bytes_sent: u64,
    frame_log: Option<Box<FrameLog>>,
}

impl Transport {
    /// The transport of a connection that has been upgraded.
    pub fn new(upgraded: Upgraded, send_timeout: Duration, buffers: &Arc<Buffers>) -> Self {
        Transport {
            frame_log: FrameLog::new(&Subject::Upgraded(&upgraded)),
            upgraded,
            pending: Vec::new(),
            taken: 0,
            stalled_since: None,
            acknowledged: None,
            looked_at: Instant::now(),
            send_timeout,
            has_expired: false,
            buffers: Arc::clone(buffers),
            failure: None,
            bytes_sent: 0,
        }
    }

    /// The connection below, to log under and to end.
    pub fn upgraded(&mut self) -> &mut Upgraded {
        &mut self.upgraded
    }

    /// Reads what there is, at most `buffer.len()` bytes.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<Read, Status> {
        let read = self.upgraded.read(buffer);
        if let (Some(log), Ok(Read::Data(count) | Read::LastData(count))) =
            (&mut self.frame_log, &read)
        {
            log.read(&Subject::Upgraded(&self.upgraded), &buffer[..*count]);
        }
        read
    }

    /// Whether the next frames can be given to [`Transport::write`].
    pub fn is_idle(&self) -> bool {
        self.failure.is_none() && self.pending.is_empty() && !self.upgraded.has_output()
    }

    /// When the peer must have taken some of the output that waits for it, or when to look whether it has.
    pub fn send_deadline(&self) -> Option<Instant> {
        let next_look = self.looked_at + self.send_timeout / LOOKS;
        self.stalled_since
            .map(|since| next_look.min(since + self.send_timeout))
    }

    /// Gives a peer up that has taken no output in time: we write nothing more, whatever room there may be later.
    /// Says whether it is given up.
    pub fn expire(&mut self) -> bool {
        let now = Instant::now();
        if self.send_deadline().is_some_and(|deadline| deadline <= now) {
            // A slow one may have taken some, and still not so much that the kernel says that there is room.
            self.look_for_progress(false);
            self.has_expired |= self
                .stalled_since
                .is_some_and(|since| since + self.send_timeout <= now);
        }
        self.has_expired
    }

    /// Begins the time anew when the peer has taken something. Room in the kernel's own buffer is no sign of that: it
    /// grows while the peer reads nothing. `has_moved`: what counts where nothing better is known.
    fn look_for_progress(&mut self, has_moved: bool) {
        let acknowledged = httpd::socket::acknowledged(self.upgraded.socket());
        let has_moved = match (acknowledged, self.acknowledged) {
            (Some(now), Some(then)) => now != then,
            _ => has_moved,
        };
        self.looked_at = Instant::now();
        if has_moved || self.stalled_since.is_none() {
            self.stalled_since = Some(self.looked_at);
            self.acknowledged = acknowledged;
        }
    }

    /// How many bytes have gone out.
    pub fn bytes_sent(&self) -> u64 {
        self.bytes_sent
    }

    /// What broke the connection while it was written to.
    pub fn failure(&self) -> Option<Status> {
        self.failure
    }

    /// Begins to write whole frames, when the transport is idle. Says how many bytes were taken; when the
    /// transport is not idle afterwards, the socket is full or broken.
    pub fn write(&mut self, frames: Vec<u8>) -> usize {
        debug_assert!(self.is_idle());
        if let Some(log) = &mut self.frame_log {
            log.written(&Subject::Upgraded(&self.upgraded), &frames);
        }
        self.pending = frames;
        self.taken = 0;
        self.resume()
    }

    /// Goes on with what could not be written before. Says how many bytes of the frames were taken.
    pub fn resume(&mut self) -> usize {
        let before = self.taken;
        let had_output = self.upgraded.has_output();
        if let Err(status) = self.write_some() {
            self.failure.get_or_insert(status);
        }
        let count = self.taken - before;
        self.bytes_sent += count as u64;
        if self.taken == self.pending.len() {
            self.buffers.give(std::mem::take(&mut self.pending));
            self.taken = 0;
        }
        let has_moved = count > 0 || (had_output && !self.upgraded.has_output());
        if self.is_idle() {
            self.stalled_since = None;
        } else {
            self.look_for_progress(has_moved);
        }
        count
    }

    fn write_some(&mut self) -> Result<(), Status> {
        if self.has_expired {
            return Ok(());
        }
        if self.upgraded.has_output() {
            self.upgraded.flush()?;
        }
        while self.taken < self.pending.len() {
            match self.upgraded.write(&self.pending[self.taken..])? {
                0 => break,
                count => self.taken += count,
            }
        }
        Ok(())
    }

    /// The connection below, when the WebSocket has ended.
    pub fn into_upgraded(self) -> Upgraded {
        self.upgraded
    }
}
