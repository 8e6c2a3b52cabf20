//! A session's transport: bytes in and out through httpd's filters, with the frames in the log.

use std::io::IoSlice;

use httpd::apr::Status;
use httpd::log::Subject;
use httpd::upgraded::{self, Upgraded};
use session::{Account, Epilogue, Read};

use crate::log::scribe;
use crate::websocket::account;
use crate::websocket::frame_log::FrameLog;

// What a session gathers before it is written, and what one write passes on: more of either would make no fewer writes.
const _: () = assert!(session::limits::CORK_LIMIT == upgraded::MAX_PASS);

/// The transport of one connection.
pub struct Transport {
    upgraded: Upgraded,
    frame_log: Option<Box<FrameLog>>,
}

impl Transport {
    /// The transport of a connection that has been upgraded.
    pub fn new(upgraded: Upgraded) -> Self {
        Transport {
            frame_log: FrameLog::new(&Subject::Upgraded(&upgraded)),
            upgraded,
        }
    }

    /// The connection below, to log under.
    pub fn upgraded(&self) -> &Upgraded {
        &self.upgraded
    }

    #[cold]
    fn log_written(&mut self, frames: &[u8]) {
        if let Some(log) = &mut self.frame_log {
            log.written(&Subject::Upgraded(&self.upgraded), frames);
        }
    }

    /// The connection below, when the WebSocket has ended.
    pub fn into_upgraded(self) -> Upgraded {
        self.upgraded
    }
}

impl session::Transport for Transport {
    type Failure = Status;
    type Inlet = Inlet;

    fn inlet(&mut self) -> Option<Inlet> {
        match self.frame_log {
            None => self.upgraded.inlet().map(Inlet),
            // Frames are logged where the transport is.
            Some(_) => None,
        }
    }

    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> Result<Read, Status> {
        let read = found(self.upgraded.read(buffer)?);
        if let (Some(log), Read::Data(count) | Read::LastData(count)) = (&mut self.frame_log, read)
        {
            log.read(&Subject::Upgraded(&self.upgraded), &buffer[..count]);
        }
        Ok(read)
    }

    #[inline(always)]
    fn begin_frames(&mut self, frames: &[u8]) {
        if self.frame_log.is_some() {
            self.log_written(frames);
        }
    }

    #[inline(always)]
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Status> {
        self.upgraded.write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> Result<usize, Status> {
        self.upgraded.write_vectored(slices)
    }

    fn has_output(&self) -> bool {
        self.upgraded.has_output()
    }

    fn acknowledged(&self) -> Option<u64> {
        httpd::socket::acknowledged(self.upgraded.socket())
    }

    fn is_clogged(&self) -> bool {
        self.upgraded.is_clogged()
    }

    fn flush(&mut self) -> Result<(), Status> {
        self.upgraded.flush()
    }

    fn end(&mut self, account: &Account<'_, Status>, is_lost: bool) -> Option<Epilogue> {
        self.upgraded.set_bytes_sent(account.bytes_out);
        self.upgraded.count_inlet(account.bytes_by_inlet);
        if is_lost {
            self.upgraded.abort();
        }
        let line = account::give(account, &self.upgraded)?;
        Some(Box::new(move || scribe::write(line)))
    }

    fn shut(&mut self) {
        self.upgraded.end_output();
    }
}

/// What a plain connection is read by.
pub struct Inlet(upgraded::Inlet);

impl session::Inlet<Status> for Inlet {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> Result<Read, Status> {
        self.0.read(buffer).map(found)
    }
}

#[inline]
fn found(read: upgraded::Read) -> Read {
    match read {
        upgraded::Read::Data(count) => Read::Data(count),
        upgraded::Read::LastData(count) => Read::LastData(count),
        upgraded::Read::WouldBlock => Read::WouldBlock,
        upgraded::Read::Again => Read::Again,
        upgraded::Read::Stalled => Read::Stalled,
        upgraded::Read::Eof => Read::Eof,
    }
}
