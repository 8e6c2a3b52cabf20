//! What a session needs of the outside.
//!
//! The calls of [`Application`] are made with no lock of the session's held, and may call the session. The others may be
//! made while a thread has the transport, and must not call the session from within.

use std::io::IoSlice;
use std::ops::Range;
use std::time::{Duration, Instant};

use websocket_proto::MessageKind;

use crate::ending::{Account, Ending};

/// All that a session needs of the outside, and the type that stands for it.
pub trait Environment: Application + Waiter + Observer + Machine + Send + Sync {
    /// What carries the session's bytes.
    type Transport: Transport;
}

/// Why a session's transport has failed.
pub type Failure<E> = <<E as Environment>::Transport as Transport>::Failure;

/// What carries the bytes of one session, without blocking. One thread at a time uses it.
pub trait Transport: Send {
    /// Why it has failed.
    type Failure: Copy + Send;

    /// What it can be read by while another thread writes: see [`Transport::inlet`].
    type Inlet: Inlet<Self::Failure>;

    /// What it is read by from now on, without anything of the transport itself, so that nobody waits for who writes; `None` as
    /// long as reading and writing need each other, as under TLS. [`Transport::read`] may still be called between two reads of
    /// the inlet's. Asked for after a read that has left nothing.
    fn inlet(&mut self) -> Option<Self::Inlet>;

    /// Reads what there is, at most `buffer.len()` bytes.
    fn read(&mut self, buffer: &mut [u8]) -> Result<Read, Self::Failure>;

    /// These whole frames are about to be written, in as many writes as it takes.
    fn begin_frames(&mut self, frames: &[u8]);

    /// Takes some of `bytes`, and says how many; 0 while there is no room.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Failure>;

    /// [`Transport::write`] of several stretches, as if they were one: in one write, where it can.
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> Result<usize, Self::Failure>;

    /// Whether it still holds bytes that it has taken: then [`Transport::write`] may take none.
    fn has_output(&self) -> bool;

    /// How many bytes the peer has acknowledged so far; `None` where that cannot be known.
    fn acknowledged(&self) -> Option<u64>;

    /// Whether nothing may be read before output has left: reading would have it make more output.
    fn is_clogged(&self) -> bool;

    /// Passes on what it holds, as far as there is room.
    fn flush(&mut self) -> Result<(), Self::Failure>;

    /// The session has ended, and has called its application for the last time. `is_lost`: nothing more can be
    /// written, so that a goodbye would block.
    /// Gives what is left to be done when nobody holds the transport any more.
    fn end(&mut self, account: &Account<'_, Self::Failure>, is_lost: bool) -> Option<Epilogue>;

    /// Nothing is going to be written any more: lets the peer see the end, if it can be shown without anything that
    /// [`Transport::end`] may still need. What there was no room for stays its output, to be flushed before that.
    fn shut(&mut self);
}

/// What a transport is read by while another thread may write to it. The thread that has the session's turn uses it, and no longer
/// than there is the transport.
pub trait Inlet<F>: Send {
    /// As [`Transport::read`], but it is never put off.
    fn read(&mut self, buffer: &mut [u8]) -> Result<Read, F>;
}

/// There is none.
pub enum NoInlet {}

impl<F> Inlet<F> for NoInlet {
    fn read(&mut self, _: &mut [u8]) -> Result<Read, F> {
        match *self {}
    }
}

/// What is left to be done behind a session's end, without its transport.
pub type Epilogue = Box<dyn FnOnce() + Send>;

/// What a read found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Read {
    /// So many bytes, at least one. There may be more, and the poller may not say so: read again.
    Data(usize),
    /// So many bytes, at least one, and nothing more: the next read would block, or find the end if the poller has
    /// seen one. What comes from here on, the poller reports.
    LastData(usize),
    /// Nothing is left, in no layer and not in the socket below them. What comes from here on, the poller reports.
    WouldBlock,
    /// Nothing yet, but something may lie below, of which the poller will not tell: read again, after others have had
    /// their turn. A layer has taken input without giving any (records of TLS without data).
    Again,
    /// Nothing has been asked for: [`Transport::is_clogged`]. Read again when it is not; what is there to be read, the
    /// poller will not report again.
    Stalled,
    /// The peer has ended its direction. Every byte before it has been read.
    Eof,
}

/// Whom the messages are for. The thread that has the session's turn calls, so that calls never overlap; each may call
/// the session.
pub trait Application {
    /// The WebSocket is open.
    fn on_open(&self);

    /// A message has arrived; it may be changed in place. `begin`: what time it is. Says what time it is afterwards, so
    /// that a turn has one look at the clock for each message.
    fn on_message(&self, kind: MessageKind, payload: &mut [u8], begin: Instant) -> Instant;

    /// There is room again after a `try_send` that found none.
    fn on_writable(&self);

    /// [`Session::call`](crate::Session::call) has asked for this, once or more often.
    fn on_called(&self) {}

    /// The time of `set_timer` has come.
    fn on_timer(&self);

    /// A Pong has come. `heartbeat`: how long the session's own ping was under way that it answers, if it does. Says from
    /// when to when the call was; of one who wants none nothing, because a turn may have many.
    fn on_pong(&self, payload: &[u8], heartbeat: Option<Duration>) -> Option<Range<Instant>>;

    /// The WebSocket has ended like this; the code and the reason are the peer's, or what stands for them (RFC 6455
    /// §7.1.5). Only after an `on_open`.
    fn on_close(&self, code: u16, reason: &str, is_clean: bool);

    /// It is over: the last call, made once for each session that has been accepted.
    fn on_disconnect(&self);

    /// The thread that runs a callback waits for the peer: `wait` does, and is called once.
    fn while_blocked(&self, wait: impl FnOnce()) {
        wait();
    }
}

/// Who waits for the transport, and takes turns when there is something to do. Called from any thread.
pub trait Waiter {
    /// Asks for a turn soon.
    fn wake(&self);

    /// The transport takes no more output: a turn is due when it does, when it breaks or at `deadline`.
    fn stalled(&self, deadline: Option<Instant>);

    /// Called by the thread of a callback, which has to wait for room in the outbox: returns when the transport may take
    /// more, when it breaks, after a [`Waiter::wake`] and at `deadline`. It must not count on another thread for that: all
    /// that wait for transports may be here.
    fn wait_to_write(&self, deadline: Option<Instant>);
}

/// Who counts what happens.
pub trait Observer {
    /// What of itself it looks at for what is sent, and where in memory it counts that: see [`footprint`](crate::footprint).
    fn footprint(&self) -> [Range<usize>; 2] {
        [0..0, 0..0]
    }

    /// So many bytes have been read.
    fn bytes_in(&self, count: usize);

    /// So many bytes have been written.
    fn bytes_out(&self, count: usize);

    /// So many bytes wait to be written.
    fn queued(&self, count: usize);

    /// A message has come.
    fn message_in(&self);

    /// A message has been sent.
    fn message_out(&self);

    /// A ping of the heartbeat's has been answered after this time.
    fn ping_round_trip(&self, time: Duration);

    /// The first Close frame is on its way.
    fn closing(&self);

    /// The session has ended, and has called its application for the last time: closed, for the log, with this code.
    fn closed(&self, code: u16);
}

/// The machine that a session runs on.
pub trait Machine {
    /// What time it is.
    fn now(&self) -> Instant;

    /// A number that nobody can guess.
    fn random(&self) -> u64;

    /// Which thread calls, to be compared only; never [`ThreadId::NONE`].
    fn current_thread(&self) -> ThreadId;
}

/// A thread, to be compared only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ThreadId(pub usize);

impl ThreadId {
    /// No thread.
    pub const NONE: ThreadId = ThreadId(0);
}

/// What a turn leaves to be waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// There is more to do at once.
    Again,
    /// Input, room for output or a time, whichever is first.
    For {
        /// Wait for input.
        input: bool,
        /// Wait for room for output.
        output: bool,
        /// Take another turn then, whatever happens.
        deadline: Option<Instant>,
        /// False: the waiter has been told of a time before that is no later, and has not called
        /// [`Session::expire`](crate::Session::expire) since.
        is_new: bool,
    },
    /// The session has ended; its transport is the caller's again.
    Ended,
}

/// How a session of this environment ends.
pub type EndingOf<E> = Ending<Failure<E>>;
