//! One WebSocket: the only place where protocol state, transport, outbox and application meet.
//!
//! [`crate::turn`] has what comes in, [`crate::sending`] what goes out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use websocket_proto::extension::permessage_deflate::{Agreed, CodecPool};
use websocket_proto::{
    CloseFrame, ProtocolVersion, ReceivingConfig, ReceivingHalf, ReservedCloseCodes, Role,
    SendingHalf,
};

use crate::buffers::Buffers;
use crate::config::Config;
use crate::ending::{Closed, ClosedBy};
use crate::environment::{Environment, ThreadId};
use crate::handover::Handover;
use crate::outbox::Outbox;
use crate::reader::Reader;
use crate::shelter::sheltered;
use crate::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Mutex, OnceLock, lock};
use crate::turnstile::Turnstile;
use crate::wire::Wire;

const NEVER: u64 = u64::MAX;

/// One WebSocket, from before its application has accepted it until after its last callback.
pub struct Session<E: Environment> {
    pub(crate) environment: E,
    /// What the application wants to be called for.
    pub(crate) asked: Asked,
    pub(crate) version: ProtocolVersion,
    pub(crate) reserved_close_codes: ReservedCloseCodes,
    send_timeout: Duration,
    pub(crate) buffers: Arc<Buffers>,
    is_accepted: AtomicBool,
    /// When it is to be closed because its process stops, in milliseconds since `opened`; [`NEVER`] without a wish.
    drain_at: AtomicU64,
    /// The same, because the operator wants it.
    retire_at: AtomicU64,
    /// What waits to be sent, and who writes it.
    pub(crate) handover: Handover<E::Transport>,
    /// Whose turn it is.
    pub(crate) turnstile: Turnstile<Reader<E>>,
    /// The thread that runs callbacks: the one that asks whether the application accepts, then the one that has the
    /// turn; [`ThreadId::NONE`] for none.
    pub(crate) turn_thread: AtomicUsize,
    /// What that thread sends is gathered, because it is about to handle more input. No other thread sets it or asks.
    pub(crate) is_corked: AtomicBool,
    /// How many others its callbacks have given something that is not written yet. That thread's, too.
    pub(crate) given: AtomicUsize,
    /// Callbacks of others have given it something, and are going to have it written.
    pub(crate) is_gathered_for: AtomicBool,
    /// A thread has panicked with output in its hands: the next turn ends the session.
    has_failed: AtomicBool,
    /// When it was made; `last_sent`, `drain_at` and `retire_at` count milliseconds from there.
    pub(crate) opened: Instant,
    last_sent: AtomicU64,
    /// There is an idle timeout: `last_sent` counts.
    is_idleness_watched: bool,
    /// The waiter has forgotten the time that a turn has told it last.
    pub(crate) is_deadline_lost: AtomicBool,
    /// The first Close frame.
    closed: OnceLock<Box<Closed>>,
}

/// What an application wants to be called for.
#[derive(Default)]
pub(crate) struct Asked {
    /// on_writable is due.
    pub is_writable: AtomicBool,
    /// on_called is due.
    pub is_called: AtomicBool,
    /// [`Asked::timer`] has been set at least once: most applications have no use for it, and need no lock.
    has_timer: AtomicBool,
    /// When on_timer is due.
    timer: Mutex<Option<Instant>>,
}

impl Asked {
    /// When on_timer is due.
    pub fn timer(&self) -> Option<Instant> {
        match self.has_timer.load(Ordering::Acquire) {
            true => *lock(&self.timer),
            false => None,
        }
    }

    /// Whether it wants to be called for nothing. Relaxed: the thread that makes this untrue asks for a turn behind it, so
    /// that one it was not visible to is not the last.
    #[inline]
    pub fn is_nothing(&self) -> bool {
        !self.is_writable.load(Ordering::Relaxed)
            && !self.is_called.load(Ordering::Relaxed)
            && (!self.has_timer.load(Ordering::Relaxed) || lock(&self.timer).is_none())
    }

    /// Whether on_writable or on_called is due.
    pub fn is_due_at_once(&self) -> bool {
        self.is_writable.load(Ordering::Acquire) || self.is_called.load(Ordering::Acquire)
    }

    fn set_timer(&self, time: Option<Instant>) {
        *lock(&self.timer) = time;
        // Release: a turn that acquires it goes for the lock, under which the time is; one that does not is followed by
        // another, which is asked for behind this.
        self.has_timer.store(true, Ordering::Release);
    }

    /// Takes the timer if its time has come.
    pub fn take_timer(&self, is_due: impl FnOnce(&mut Instant) -> bool) -> bool {
        lock(&self.timer).take_if(is_due).is_some()
    }
}

impl<E: Environment> Session<E> {
    /// A session that the application has not accepted yet; the calling thread asks it. `compression`: what the opening
    /// handshake has agreed on.
    pub fn new(
        environment: E,
        config: &Config,
        compression: Option<(Agreed, Arc<CodecPool>)>,
        buffers: Arc<Buffers>,
    ) -> Self {
        let mut sender = SendingHalf::new(Role::Server);
        let mut receiver = ReceivingHalf::new(ReceivingConfig {
            role: Role::Server,
            max_message_size: config.max_message_size,
            reserved_close_codes: config.reserved_close_codes,
        })
        .with_message_budget(Arc::clone(buffers.messages()));
        if let Some((agreed, codecs)) = &compression {
            sender = sender.with_permessage_deflate(agreed, codecs);
            receiver = receiver.with_permessage_deflate(agreed, codecs);
        }
        Session {
            asked: Asked::default(),
            version: config.version,
            reserved_close_codes: config.reserved_close_codes,
            send_timeout: config.send_timeout,
            is_accepted: AtomicBool::new(false),
            drain_at: AtomicU64::new(NEVER),
            retire_at: AtomicU64::new(NEVER),
            handover: Handover::new(Outbox::new(
                config.send_buffer,
                sender,
                Arc::clone(&buffers),
            )),
            buffers,
            turnstile: Turnstile::new(Reader::new(receiver, config, &environment)),
            // No other thread has it yet.
            turn_thread: AtomicUsize::new(environment.current_thread().0),
            is_corked: AtomicBool::new(false),
            given: AtomicUsize::new(0),
            is_gathered_for: AtomicBool::new(false),
            has_failed: AtomicBool::new(false),
            opened: environment.now(),
            last_sent: AtomicU64::new(0),
            is_idleness_watched: !config.idle_timeout.is_zero(),
            is_deadline_lost: AtomicBool::new(false),
            closed: OnceLock::new(),
            environment,
        }
    }

    /// What it was given of the outside.
    pub fn environment(&self) -> &E {
        &self.environment
    }

    /// The application has accepted the session.
    pub fn accept(&self) {
        self.set_turn_thread(ThreadId::NONE);
        // Release: a thread that acquires it finds what the application has done in its answer.
        self.is_accepted.store(true, Ordering::Release);
    }

    /// Whether the application has accepted the session.
    pub fn is_accepted(&self) -> bool {
        self.is_accepted.load(Ordering::Acquire)
    }

    /// The WebSocket is open, and has a transport: from here on turns are taken, and what was sent meanwhile goes out.
    pub fn open(&self, transport: E::Transport) {
        let buffers = Arc::clone(&self.buffers);
        self.handover
            .open(Wire::new(transport, self.send_timeout, buffers));
    }

    /// Gives the transport back, after the session has ended.
    pub fn take_transport(&self) -> Option<E::Transport> {
        self.handover.close().map(Wire::into_transport)
    }

    /// Has on_timer called at `time`, or not at all. Says whether it will be.
    pub fn set_timer(&self, time: Option<Instant>) -> bool {
        if self.handover.has_ended() {
            return false;
        }
        self.asked.set_timer(time);
        if !self.is_in_callback() {
            self.wake();
        }
        true
    }

    /// Whether the calling thread runs a callback of this session.
    #[inline]
    pub fn is_in_callback(&self) -> bool {
        // Relaxed: a thread finds its own identity only if it has stored it itself.
        self.turn_thread.load(Ordering::Relaxed) == self.environment.current_thread().0
    }

    #[inline]
    pub(crate) fn set_turn_thread(&self, thread: ThreadId) {
        self.turn_thread.store(thread.0, Ordering::Relaxed);
    }

    /// Has the WebSocket closed with 1001 at `time`, because its process stops.
    pub fn drain_at(&self, time: Instant) {
        self.set_time(&self.drain_at, time);
    }

    /// Has the WebSocket closed with 1001 at `time`, because the operator wants it.
    pub fn retire_at(&self, time: Instant) {
        self.set_time(&self.retire_at, time);
    }

    fn set_time(&self, word: &AtomicU64, time: Instant) {
        let since = time.saturating_duration_since(self.opened).as_millis();
        // Relaxed: it stands alone, and the turn that is asked for behind it sees it.
        word.store(since as u64, Ordering::Relaxed);
        self.wake();
    }

    /// Whether it is to be closed at a time, for one of these reasons.
    #[inline]
    pub(crate) fn is_to_drain(&self) -> bool {
        let is_set = |word: &AtomicU64| word.load(Ordering::Relaxed) != NEVER;
        is_set(&self.drain_at) || is_set(&self.retire_at)
    }

    /// When it is to be closed because its process stops, and when because the operator wants it.
    pub(crate) fn drains_at(&self) -> [Option<Instant>; 2] {
        [&self.drain_at, &self.retire_at].map(|word| {
            let since = word.load(Ordering::Relaxed);
            (since != NEVER).then(|| self.opened + Duration::from_millis(since))
        })
    }

    /// Takes nothing to be sent any more, and releases every thread that is blocked in `send`.
    pub fn stop_sending(&self) {
        if self.handover.end() {
            self.wake();
        }
    }

    /// The poller says that the connection is broken: nothing goes any more, and nothing comes but what has arrived. (A peer
    /// that has ended only its own direction may still read.) Releases what waits for the peer, and would keep a turn from
    /// finding out: threads that are blocked in `send`, input that waits for room. A turn is to follow.
    pub fn peer_is_gone(&self) {
        self.handover.peer_is_gone();
    }

    /// Whether nothing is taken to be sent any more: the session has ended, its peer is gone, or the Close frame has been put
    /// in.
    pub fn has_ended(&self) -> bool {
        self.handover.has_ended()
    }

    /// Bytes that `send` has accepted and the transport has not taken yet.
    pub fn buffered(&self) -> usize {
        self.handover.buffered()
    }

    /// Asks for a turn.
    pub(crate) fn wake(&self) {
        self.environment.wake();
    }

    /// Does a step with output, on any thread: one that panics ends the session.
    #[inline(always)]
    pub(crate) fn with_output<T>(&self, step: impl FnOnce() -> T) -> T {
        let failing = Failing(self);
        let done = step();
        std::mem::forget(failing);
        done
    }

    /// Whether a step with output has panicked, and no turn has ended the session for it. Relaxed: a thread that has panicked
    /// asks for a turn behind that, unless it has this one.
    #[inline]
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    /// Whether a step with output has panicked; said once.
    pub(crate) fn take_failure(&self) -> bool {
        // Acquire: what the thread has left behind. The exchange is for the rare case.
        self.has_failed.load(Ordering::Acquire) && self.has_failed.swap(false, Ordering::AcqRel)
    }

    /// One more message has been sent.
    #[inline]
    pub(crate) fn message_sent(&self) {
        self.environment.message_out();
        if self.is_idleness_watched {
            let age = self.environment.now() - self.opened;
            // Relaxed: a time, for nothing else than itself.
            self.last_sent
                .store(age.as_millis() as u64, Ordering::Relaxed);
        }
    }

    /// When the last message has been sent.
    pub(crate) fn last_sent(&self) -> Instant {
        self.opened + Duration::from_millis(self.last_sent.load(Ordering::Relaxed))
    }

    /// The first Close frame is ours, or answers the peer's.
    pub(crate) fn closed_by(&self, by: ClosedBy, frame: Option<CloseFrame>) {
        // Only one can be the first.
        let _ = self.closed.set(Box::new(Closed { by, frame }));
    }

    /// The first Close frame.
    pub(crate) fn closed(&self) -> Option<&Closed> {
        self.closed.get().map(|closed| &**closed)
    }
}

/// Has a turn end the session when it is dropped, as by a panic: output may lie beside a wire that nobody waits for.
struct Failing<'a, E: Environment>(&'a Session<E>);

impl<E: Environment> Drop for Failing<'_, E> {
    fn drop(&mut self) {
        // Release: the turn that acquires it finds what this thread has left behind.
        self.0.has_failed.store(true, Ordering::Release);
        // A second panic within the first one would end the process.
        sheltered(|| self.0.wake());
    }
}
