//! Reading without blocking: through the input filters, or past them.

use std::os::fd::RawFd;

use httpd_sys as sys;

use super::floor::{Below, Floor};
use super::{Upgraded, Way, reserve};
use crate::apr::Status;
use crate::bypass::Bypass;
use crate::host_thread::Acting;
use crate::socket;
use crate::tls::Tls;

/// How often the filters are asked in one read before others get their turn: a client may send one record without data
/// after the other.
const MOST_TRIES: u32 = 32;

/// mod_ssl gives no more than this at a time (`AP_IOBUFSIZE`): with less, its own buffer is empty.
const MOST_OF_TLS: usize = 8000;

/// What [`Upgraded::read`] found, and with it what the caller may rely on.
///
/// The poller says once that there is input, and not again before there is new one. So a turn has to read until
/// nothing is left, and each of these says whether that is so. Whatever stands in for a connection in a test has to
/// keep the same promises.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Read {
    /// So many bytes, at least one. There may be more, and the poller may not say so: read again.
    Data(usize),
    /// So many bytes, at least one, and nothing more: the next read would block, or find the end if the poller
    /// has seen one. What comes from here on, the poller reports.
    LastData(usize),
    /// Nothing is left, in no filter and not in the socket, as its lowest reader has said in this very call. What comes from here on,
    /// the poller reports. One thing may be left: an end that the poller has reported already is found by the next read.
    WouldBlock,
    /// Nothing yet, but there may be something below, of which the poller will not tell: read again, after others have had
    /// their turn. A filter has taken input without giving any (records of TLS without data, one after the other).
    Again,
    /// Nothing has been asked for: filters hold output that the socket does not take, and reading would have them
    /// make more. Read again when [`Upgraded::has_output`] has become false, which room for output makes it; what is there to
    /// be read, the poller will not report again.
    Stalled,
    /// The peer has ended its direction. Every byte before it has been read; so says each later read, too.
    Eof,
}

impl Upgraded {
    /// Reads without blocking: through the input filters, or past them when none of them has any part in it.
    ///
    /// What lies in the buffer behind the bytes that were read may have been written to. An error comes behind every byte that came before it, and stays: a later read says the same.
    #[inline]
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<Read, Status> {
        match self.past_filters() {
            Some(_) => self.read_socket(buffer),
            None => self.read_layers(buffer),
        }
    }

    fn read_layers(&mut self, buffer: &mut [u8]) -> Result<Read, Status> {
        self.lend_blocks();
        let read = self.read_filters(buffer);
        if !matches!(read, Ok(Read::Data(_))) {
            self.take_blocks_back();
        }
        if let Ok(Read::WouldBlock | Read::LastData(_)) = read {
            self.give_memory_back();
            if let Bypass::Ready(counters) = self.way().bypass {
                // What came with the handshake has been read: the core input filter holds nothing but the socket.
                self.way().bypass = Bypass::Open(counters);
                if let Ok(Read::WouldBlock) = read {
                    return self.read_socket(buffer);
                }
            }
        }
        // TLS has written, maybe: an alert, the answer to a KeyUpdate.
        if self.has_output()
            && let Err(status) = self.flush()
            && !matches!(read, Ok(Read::Data(_)) | Err(_))
        {
            return Err(status);
        }
        read
    }

    #[inline]
    fn read_socket(&mut self, buffer: &mut [u8]) -> Result<Read, Status> {
        let read = receive(self.socket, buffer)?;
        if let Read::Data(count) | Read::LastData(count) = read {
            self.passed.received += count;
        }
        Ok(read)
    }

    /// What the connection is read by from now on, while another thread may write; `None` as long as filters have a part in
    /// it.
    pub fn inlet(&self) -> Option<Inlet> {
        let socket = self.socket;
        self.past_filters().map(|_| Inlet { socket })
    }

    /// So many bytes have been read by the [`Inlet`].
    pub fn count_inlet(&mut self, bytes: u64) {
        self.passed.received += usize::try_from(bytes).unwrap_or(usize::MAX);
    }

    /// The filters read into blocks that connections share: see [`reserve`].
    fn lend_blocks(&mut self) {
        let way = self.way();
        let needs_blocks = way.floor.as_mut().is_none_or(Floor::needs_blocks);
        if matches!(way.bypass, Bypass::Closed) && !way.has_blocks && needs_blocks {
            way.has_blocks = true;
            // SAFETY: the allocator is the live connection's own, and has a lock.
            unsafe { reserve::lend(self.allocator()) };
        }
    }

    /// Nothing more is read for now.
    fn take_blocks_back(&mut self) {
        if std::mem::take(&mut self.way().has_blocks) {
            // SAFETY: as in `lend_blocks`.
            unsafe { reserve::take_back(self.allocator()) };
        }
    }

    fn read_filters(&mut self, buffer: &mut [u8]) -> Result<Read, Status> {
        if !self.surplus.is_empty() {
            let count = buffer.len().min(self.surplus.len());
            buffer[..count].copy_from_slice(&self.surplus[..count]);
            self.surplus.drain(..count);
            return Ok(Read::Data(count));
        }
        // SAFETY: the connection is live and this thread's.
        let _thread = unsafe { Acting::on(self.c.as_ptr()) };
        let (buffer, lent) = match &mut self.way().floor {
            Some(floor) => floor.lend(buffer),
            None => (buffer, None),
        };
        let mut filled = 0;
        for _ in 0..MOST_TRIES {
            if let Some(found) = self.stop(filled) {
                return found;
            }
            match self.ask_filters(&mut buffer[filled..]) {
                Asked::Got(count) => {
                    let room = buffer.len() - filled;
                    filled += count;
                    if lent.is_some() && count < room && count >= MOST_OF_TLS {
                        // The rest of a long record.
                        continue;
                    }
                    // The record behind it may break the connection, and this one is still to be answered.
                    let has_given_all = lent.is_some() && count < room && self.has_given_all();
                    return Ok(match has_given_all {
                        true => Read::LastData(filled),
                        false => Read::Data(filled),
                    });
                }
                Asked::Dry if filled > 0 => return Ok(Read::LastData(filled)),
                Asked::Dry => return Ok(Read::WouldBlock),
                Asked::Unclear => {}
            }
        }
        if filled > 0 {
            return Ok(Read::Data(filled));
        }
        // A filter that does not even ask below, again and again, has no say in whether something is there.
        if let Some(Way {
            floor: Some(floor), ..
        }) = &mut self.way
            && floor.below() == Below::Unasked
        {
            // SAFETY: the connection is live and this thread's (see `new` and `Send`); the brigade is empty.
            if let Below::Nothing = unsafe { floor.ask(&mut self.input) } {
                return Ok(Read::WouldBlock);
            }
        }
        Ok(Read::Again)
    }

    /// What ends a read before the filters are asked, of which so much is there already.
    fn stop(&mut self, filled: usize) -> Option<Result<Read, Status>> {
        let found = match self.end {
            Some(end) if end.is_eof() => Ok(Read::Eof),
            Some(end) => Err(end),
            None if !self.has_output() => return None,
            None => match self.flush() {
                Ok(()) if !self.has_output() => return None,
                Ok(()) => Ok(Read::Stalled),
                Err(error) => Err(error),
            },
        };
        // What was read comes first; the next read finds this again.
        Some(if filled > 0 {
            Ok(Read::Data(filled))
        } else {
            found
        })
    }

    /// Whether nothing is left, in mod_ssl, OpenSSL and the socket, so that the filters need not be asked for the sake of
    /// hearing it.
    fn has_given_all(&mut self) -> bool {
        let module = self.module;
        let c = self.c.as_ptr();
        self.end.is_none()
            && self.way().floor.as_mut().is_some_and(Floor::is_exhausted)
            // SAFETY: the connection is live and this thread's, and in no call of a filter.
            && unsafe { Tls::of(c, module) }.is_some_and(|tls| tls.has_pending() == Some(false))
    }

    /// Asks the filters once.
    fn ask_filters(&mut self, buffer: &mut [u8]) -> Asked {
        if let Some(floor) = &mut self.way().floor {
            floor.forget();
        }
        // SAFETY: the connection is live and this thread's (see `new` and `Send`); the brigade is empty.
        let status = Status(unsafe {
            sys::ap_get_brigade(
                self.c.as_ref().input_filters,
                self.input.as_raw(),
                sys::ap_input_mode_t_AP_MODE_READBYTES,
                sys::apr_read_type_e_APR_NONBLOCK_READ,
                buffer.len() as sys::apr_off_t,
            )
        });
        let taken = self.input.take(buffer, &mut self.surplus);
        let has_nothing = status == Status::SUCCESS || status.is_would_block();
        self.end = taken
            .end
            .or((!has_nothing && !status.is_to_be_repeated()).then_some(status));
        if taken.count > 0 {
            return Asked::Got(taken.count);
        }
        // Without a floor the core input filter itself has answered.
        let is_dry = match &mut self.way().floor {
            Some(floor) => floor.below() == Below::Nothing,
            None => true,
        };
        match has_nothing && taken.is_empty && is_dry {
            true => Asked::Dry,
            false => Asked::Unclear,
        }
    }
}

/// What the filters have answered.
enum Asked {
    /// So many bytes.
    Got(usize),
    /// Nothing, and the lowest of them has said that there is none.
    Dry,
    /// No data: an end, something that is not data, or "would block" from a filter that has not asked for more.
    Unclear,
}

/// A plain connection's socket, to be read from by one thread while another one writes to it; no longer than there is the
/// [`Upgraded`] that it is of, which is told of what was read ([`Upgraded::count_inlet`]).
pub struct Inlet {
    socket: RawFd,
}

impl Inlet {
    /// As [`Upgraded::read`].
    #[inline]
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<Read, Status> {
        receive(self.socket, buffer)
    }
}

#[inline]
fn receive(socket: RawFd, buffer: &mut [u8]) -> Result<Read, Status> {
    match socket::receive(socket, buffer) {
        Ok(0) => Ok(Read::Eof),
        Ok(count) if count < buffer.len() => Ok(Read::LastData(count)),
        Ok(count) => Ok(Read::Data(count)),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(Read::WouldBlock),
        Err(error) => Err(error.into()),
    }
}
