//! Messages that are sent in parts.

use core::ffi::c_int;
use core::fmt;
use core::marker::PhantomData;
use std::io;

use crate::sender::{SendError, Sender};

/// A message that is sent part by part, so that it need not be in memory as a whole: `str` for a
/// text message ([`Sender::text_writer`]), `[u8]` for a binary one ([`Sender::binary_writer`]).
///
/// Each part is a frame, and the peer has one message in the end. It is not compressed. Other
/// messages to this peer, from whatever thread, wait until it has ended; so do not `send` to the
/// same peer meanwhile from the thread that writes, for it could wait for itself. A connection has
/// one writer at a time.
///
/// A message that was begun has to be finished: a writer that is dropped after a part, without
/// [`finish`](Self::finish) or [`finish_with`](Self::finish_with), closes the connection with 1011, since its peer would wait for the rest
/// for ever.
///
/// ```
/// use std::fs::File;
/// use std::io;
/// use websocket_plugin::Sender;
///
/// fn send_file(peer: &Sender, path: &str) -> io::Result<()> {
///     let mut writer = peer.binary_writer()?;
///     io::copy(&mut File::open(path)?, &mut writer)?;
///     Ok(writer.finish()?)
/// }
/// ```
#[must_use = "a message that was begun has to be finished"]
pub struct MessageWriter<T: ?Sized> {
    sender: Sender,
    message_type: c_int,
    /// A part was sent, and the last one was not.
    is_begun: bool,
    _part: PhantomData<fn(&T)>,
}

impl<T: ?Sized + AsRef<[u8]>> MessageWriter<T> {
    /// Sends a part. Waits while the peer is slow. An empty part is not sent.
    pub fn write(&mut self, part: &T) -> Result<(), SendError> {
        let part = part.as_ref();
        if part.is_empty() {
            return Ok(());
        }
        self.sender.send_part(self.message_type, part, false)?;
        self.is_begun = true;
        Ok(())
    }

    /// Ends the message, with an empty frame; if no part was sent, it is an empty message.
    pub fn finish(self) -> Result<(), SendError> {
        self.end(&[])
    }

    /// Sends the last part, and ends the message with it: one frame less than
    /// [`write`](Self::write) and [`finish`](Self::finish).
    pub fn finish_with(self, part: &T) -> Result<(), SendError> {
        self.end(part.as_ref())
    }

    fn end(mut self, part: &[u8]) -> Result<(), SendError> {
        self.sender.send_part(self.message_type, part, true)?;
        self.is_begun = false;
        Ok(())
    }
}

impl<T: ?Sized> MessageWriter<T> {
    pub(crate) fn new(sender: Sender, message_type: c_int) -> Self {
        Self {
            sender,
            message_type,
            is_begun: false,
            _part: PhantomData,
        }
    }
}

impl<T: ?Sized> Drop for MessageWriter<T> {
    fn drop(&mut self) {
        if self.is_begun {
            // Closed already, or closed by this.
            let _ = self.sender.close_with(INTERNAL_ERROR, "");
        }
        self.sender.end_writing();
    }
}

/// Each call sends one frame, so what writes in small pieces wants a
/// [`BufWriter`](std::io::BufWriter) around it.
impl io::Write for MessageWriter<[u8]> {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        MessageWriter::write(self, part)?;
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<T: ?Sized> fmt::Debug for MessageWriter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageWriter").finish_non_exhaustive()
    }
}

/// RFC 6455 §7.4.1
const INTERNAL_ERROR: u16 = 1011;
