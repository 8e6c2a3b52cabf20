//! The hand-over of output: who has the wire, what waits for it, and what is told when there is room.
//!
//! Any thread puts output in; one thread at a time has the wire, reads from it and writes to it. All that the two sides
//! tell each other is plain data under one mutex, so that one order of events is the same for every thread, and nothing
//! here is an atomic but one word of hints. No lock is held while a transport reads or writes: a thread takes the wire *out* of
//! its place, and puts it back.
//!
//! # Where the wire is
//!
//! | place | output is put in, or is to be written | a thread needs the wire ([`Handover::hold`]) | the poller says room ([`Handover::resume`]) | the thread that has it is done |
//! |---|---|---|---|---|
//! | absent: not open yet, or given back | stays in the outbox | gets none | nothing | – |
//! | free: the transport has taken all it was given | **held** by the thread that put it in, or that has a message to write from where it is ([`Handover::pass`]) | **held** | writes what there is, if any: **held** | – |
//! | stalled: the transport holds a part, or is broken | stays in the outbox | **held** | **held**, and goes on writing | – |
//! | held by a thread | stays in the outbox, for that thread | waits, and is *expected* | leaves word: *room has come* | see below |
//!
//! What becomes of the wire when the thread that has it is done, the first line that is true:
//!
//! | the transport | and | then |
//! |---|---|---|
//! | has taken all | a thread is expected | **free**, for that one; what output there is, is [left](#what-is-left-beside-a-free-wire) |
//! | has taken all | there is output, but the thread has gone on [`PASSES`] times | **free**; the output is left |
//! | has taken all | there is output | it is written; still **held** |
//! | has taken all | there is none | **free** |
//! | is broken, or its peer is given up | | **stalled**; when it has just broken, the [peer is gone](#a-peer-that-is-gone) |
//! | holds a part | one of the next two is true, but the thread has gone on [`PASSES`] times | **stalled**, and a turn is asked for, which writes to it |
//! | holds a part | room has come | it is written to again; still **held** |
//! | holds a part | it was written to, and has not been asked again since | it is asked again: a filter may have passed on what it held; still **held** |
//! | holds a part | | **stalled**; whoever waits for the transport is told until when |
//! | may hold anything: the thread has panicked | | **free** or **stalled**, without another word to the transport |
//!
//! So nothing is forgotten. Output is put in before its thread looks where the wire is, and the thread that has the
//! wire looks for output when it puts it back, both under the lock: one of the two sees the other. The poller says room
//! once, and that word finds the wire stalled, which it goes on with, or held, where it stays until the wire is put back. (A
//! panic loses it; but the turn that comes of one asks the transport.)
//!
//! While a thread is expected, output of others does not take the wire: a mutex would go to the one that is quick, and an
//! application's threads that send without end would keep a turn from reading.
//!
//! # What is left beside a free wire
//!
//! | by whom | why | who comes for it |
//! |---|---|---|
//! | who puts it in | it is gathered: `gathers`, and less than [`CORK_LIMIT`] | the turn, when its input is used up or it is about to wait; who has called [`Session::gather`](crate::Session::gather), by `flush`; who gave it from another session's callback, as long as the mark is set that says so ([`crate::gathering`]) |
//! | the thread that had the wire | another one is expected | that one: see below |
//! | the thread that had the wire | it has gone on [`PASSES`] times, so that no `try_send` and no callback works for others without end | the turn that [`Progress::is_turn_due`] asks for, or before that: a thread blocked in `send`, which is told; the next thread that puts something in; an event driver's job, when the turn is in a callback |
//! | the thread that had the wire | it has panicked, in [`Session::with_output`](crate::Session) or in a turn | the turn that is asked for then, which closes the session and goes on with its output |
//!
//! A thread is expected from when it waits for the wire until it has the lock, and not all who wait take the wire. What was left
//! to them meanwhile:
//!
//! | who waits | what it does with it |
//! |---|---|
//! | [`Handover::hold`] | has the wire, and writes what there is when it is done |
//! | [`Handover::look`] | [`Sight::has_output`]: a turn is followed by another at once; [`Session::expire`](crate::Session::expire) writes it |
//! | [`Handover::stop_input`] | its turn writes it, before it goes on; one that stops looks at its end |
//! | [`Handover::must_wait_for_transport`] | its caller writes it, before the callback goes on |
//! | [`Handover::has_close_left`], [`Handover::close`] | nothing: the session has ended, and what waits is dropped |
//!
//! # What is seen without the lock
//!
//! One word says how much waits, whether the Close frame is in, and whether all is *at rest*: the wire is free and whole,
//! and nothing waits. It is stored under the lock with every step, and from the moment on at which a thread takes the wire,
//! nothing is at rest, whatever it takes the wire for. So who hears from the poller of room, and sees all at rest, has nothing to go on with: a write that
//! found no room came behind the word that denies it. And a turn that sees all at rest at its end needs no
//! [`Handover::look`]: what others do later they see to themselves, as behind a look.
//!
//! # Room
//!
//! What is queued sinks where the transport's answer is accounted for, under the lock. Who waits for room has said so
//! under the lock, and is told there:
//!
//! | who waits | where | told by |
//! |---|---|---|
//! | a thread in `send` | [`Handover::wait_for_room`] | the thread that accounts for a write, by the condition; or it looks itself, from time to time while the wire is stalled: it may be in the callback of another session, and all threads that would look at the transport wait like it |
//! | a callback in `send` | in its driver, while the wire is stalled: [`Handover::must_wait_for_transport`] | the transport itself: all other threads that would look at it may be in callbacks that wait, too; when one of them has made room, [`Progress::is_turn_due`] |
//! | an application that was refused | on_writable | [`Progress::has_wanted_room`], [`Pushed::has_wanted_room`] |
//! | a turn's input | [`Handover::stop_input`] | [`Progress::is_turn_due`], [`Pushed::resumes_input`] |
//!
//! A callback waits for what the transport takes, and for nothing else: the end of a message in parts may be its own to send.
//!
//! Messages that wait for the end of one in parts are held up in the outbox. They have no wire to wait for, but take room all
//! the same: for those that would wait behind them, and for input, unless a callback may be what ends the message in parts.
//! The last part lets them go, which may make room.
//!
//! | input | a turn finds no room, or the transport clogged ([`Handover::stop_input`]) | what waits is below the callbacks' limit, and the transport not clogged |
//! |---|---|---|
//! | flowing | **stopped for room** | nothing |
//! | stopped for room | the same | **flowing**, and a turn is asked for |
//!
//! # A peer that is gone
//!
//! What waits for the peer waits in vain once the transport is broken: a write has found out, or the poller says so
//! ([`Handover::peer_is_gone`]). Then nothing but the Close frame is put in, threads in `send` go on, and are refused, and what was held up
//! is dropped. What is queued stays, and *stopped for room* stays, too: so a turn is owed, which [`Progress::is_turn_due`] asks for when a
//! write has found out, and who calls [`Handover::peer_is_gone`] takes. It writes, and learns the end, or it reads, since there is
//! room, and learns it there.

mod hint;
mod holding;

use std::ops::Range;
use std::time::{Duration, Instant};

use websocket_proto::{CloseFrame, Compression, ControlPayload, MessageKind};

use hint::Hint;
pub use holding::Holding;
use holding::Whereabouts;

use crate::environment::Transport;
use crate::footprint::addresses;
use crate::limits::CORK_LIMIT;
#[cfg(doc)]
use crate::limits::PASSES;
use crate::outbox::{Outbox, Outgoing, Refused, SentBy};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError, lock};
use crate::wire::Wire;

/// The outbox of a session, and the place of its wire.
pub struct Handover<T: Transport> {
    state: Mutex<State<T>>,
    /// There may be room in the outbox, or there will never be any.
    room: Condvar,
    /// The wire has been put back.
    wire_is_back: Condvar,
    /// What can be seen without the lock.
    hint: Hint,
    /// What may be queued by callbacks.
    limit: usize,
    /// Where the wire lies, whoever has it; 0 before there is one.
    wire_at: AtomicUsize,
}

struct State<T: Transport> {
    outbox: Outbox,
    whereabouts: Whereabouts<T>,
    /// How many threads wait until the wire is put back.
    expected: u32,
    /// How many threads wait for room in the outbox.
    waiting: u32,
    /// A callback waits for room, by the transport.
    callback_waits: bool,
    input: Input,
    /// How many messages have been put in.
    messages: u64,
    #[cfg(shuttle)]
    times_passed: u64,
}

impl<T: Transport> State<T> {
    /// Whether output lies beside a free wire that nobody is going to take but whoever looks.
    fn has_left_output(&self) -> bool {
        matches!(self.whereabouts, Whereabouts::Free(_))
            && self.expected == 0
            && self.outbox.has_output()
    }
}

/// Whether a turn may read.
#[derive(PartialEq, Eq)]
enum Input {
    Flowing,
    /// Until there is room for what callbacks send.
    StoppedForRoom,
}

/// What has become of output that was put in.
pub struct Pushed<'a, T: Transport> {
    /// The wire, to be written to by the caller.
    pub holding: Option<Holding<'a, T>>,
    /// Bytes that wait for a transport that takes no more: nobody tells of them before it does.
    pub stalled_bytes: Option<usize>,
    /// An application was refused before, and would not be now.
    pub has_wanted_room: bool,
    /// A turn's input waits for room, and there is some now.
    pub resumes_input: bool,
}

/// What a thread that has written has to tell.
pub struct Progress {
    /// Bytes that the transport has taken.
    pub sent: usize,
    /// Bytes that wait.
    pub queued: usize,
    /// An application was refused for want of room, and there is some now.
    pub has_wanted_room: bool,
    /// A turn is due: its input waits for room, or a callback of its does, and there is some now; or the transport has just
    /// broken; or output is left to it.
    pub is_turn_due: bool,
    /// The transport takes no more from now on, and its peer has until then to take some. A stall is told once, though the
    /// peer's time begins anew with each byte it takes: who finds the time over, asks again.
    pub stalled: Option<Option<Instant>>,
}

/// What a turn sees of the output at its end.
pub struct Sight<F> {
    /// The transport has taken all that it was given.
    pub is_idle: bool,
    /// The outbox holds output.
    pub has_output: bool,
    /// What broke the transport while it was written to.
    pub failure: Option<F>,
    /// The peer has taken no output in time.
    pub has_expired: bool,
    /// When it must have taken some.
    pub send_deadline: Option<Instant>,
    /// There is room for what callbacks send.
    pub has_room: bool,
    /// Nothing may be read before output has left.
    pub is_clogged: bool,
    /// The Close frame has been put in.
    pub is_close_sent: bool,
}

impl<T: Transport> Handover<T> {
    /// The hand-over of a session that has no transport yet.
    pub fn new(outbox: Outbox) -> Self {
        Handover {
            limit: outbox.limit(SentBy::Callback),
            state: Mutex::new(State {
                outbox,
                whereabouts: Whereabouts::Absent,
                expected: 0,
                waiting: 0,
                callback_waits: false,
                input: Input::Flowing,
                messages: 0,
                #[cfg(shuttle)]
                times_passed: 0,
            }),
            room: Condvar::new(),
            wire_is_back: Condvar::new(),
            hint: Hint::default(),
            wire_at: AtomicUsize::new(0),
        }
    }

    /// The session has a transport from now on.
    pub fn open(&self, wire: Wire<T>) {
        let wire = Box::new(wire);
        // Relaxed: nobody looks there for it.
        self.wire_at
            .store(addresses(&*wire).start, Ordering::Relaxed);
        self.state().whereabouts = Whereabouts::Free(wire);
    }

    /// Where the wire lies; `None` before there is one.
    #[inline]
    pub(crate) fn wire_addresses(&self) -> Option<Range<usize>> {
        match self.wire_at.load(Ordering::Relaxed) {
            0 => None,
            start => Some(start..start + size_of::<Wire<T>>()),
        }
    }

    /// Takes the wire for good, once no other thread has it.
    pub fn close(&self) -> Option<Wire<T>> {
        let mut state = self.wire_in_place();
        let before = std::mem::replace(&mut state.whereabouts, Whereabouts::Absent);
        self.note(&state);
        match before {
            Whereabouts::Free(wire) | Whereabouts::Stalled(wire) => Some(*wire),
            Whereabouts::Absent | Whereabouts::Held { .. } => None,
        }
    }

    // Output is put in.

    /// Puts in a message, a part of one or a control frame. `gathers`: it may wait for more behind it, up to
    /// [`CORK_LIMIT`].
    #[inline(always)]
    pub fn push(
        &self,
        outgoing: Outgoing<'_>,
        sent_by: SentBy,
        gathers: bool,
    ) -> Result<Pushed<'_, T>, Refused> {
        let mut state = self.state();
        state.outbox.push(outgoing, sent_by)?;
        Ok(self.pushed(state, outgoing, gathers))
    }

    /// [`Handover::push`] that asks to be told of room when it is refused for want of it.
    pub fn try_push(
        &self,
        outgoing: Outgoing<'_>,
        sent_by: SentBy,
        gathers: bool,
    ) -> Result<Pushed<'_, T>, Refused> {
        let mut state = self.state();
        state.outbox.try_push(outgoing, sent_by)?;
        Ok(self.pushed(state, outgoing, gathers))
    }

    /// The wire, to write a message from where it is by [`Holding::write_through`], when nothing has to leave before it and the
    /// transport has taken all; else it is to be put in.
    pub fn pass(
        &self,
        kind: MessageKind,
        compression: Compression,
        payload: &[u8],
    ) -> Option<Holding<'_, T>> {
        let mut state = self.state();
        if !matches!(state.whereabouts, Whereabouts::Free(_)) || state.expected > 0 {
            return None;
        }
        let header = state.outbox.pass(kind, compression, payload)?;
        state.messages += 1;
        let mut holding = self.take(&mut state)?;
        holding.wire().load_header(&header);
        // What is written now is noted when it is.
        self.hint.wire_is_taken();
        Some(holding)
    }

    /// Whether a thread's message would find room now; asks to be told of room if not. Who takes nothing any more has room.
    pub fn has_room_or_wants_it(&self) -> bool {
        self.state().outbox.has_room_or_wants_it(SentBy::Thread)
    }

    #[inline(always)]
    fn pushed<'a>(
        &'a self,
        mut state: MutexGuard<'a, State<T>>,
        outgoing: Outgoing<'_>,
        gathers: bool,
    ) -> Pushed<'a, T> {
        let (mut has_wanted_room, mut resumes_input) = (false, false);
        if outgoing.ends_message() {
            state.messages += 1;
        }
        if let Outgoing::Fragment { is_final: true, .. } = outgoing {
            // What had to wait for the end of this message has gone in.
            self.tell_waiting(&state);
            has_wanted_room = state.outbox.is_wanted_room_there();
            // It takes less there; and nothing else would tell before output moves.
            resumes_input = self.resumes_input(&mut state);
        }
        let queued = state.outbox.queued();
        let holding = match gathers && queued < CORK_LIMIT {
            true => None,
            false => self.take_for_output(&mut state),
        };
        let mut stalled_bytes = None;
        match holding {
            // What is written now is noted when it is.
            Some(_) => self.hint.wire_is_taken(),
            None => {
                self.note(&state);
                let is_stalled = matches!(state.whereabouts, Whereabouts::Stalled(_));
                stalled_bytes = is_stalled.then_some(queued);
            }
        }
        Pushed {
            holding,
            stalled_bytes,
            has_wanted_room,
            resumes_input,
        }
    }

    /// Lets input flow again when it waits for room and there is some; says whether it does. While a thread has the wire, it is
    /// not known to be clogged: the turn that comes then stops anew.
    fn resumes_input(&self, state: &mut State<T>) -> bool {
        let resumes = state.input == Input::StoppedForRoom
            && state.outbox.load() < self.limit
            && !state.whereabouts.is_clogged();
        if resumes {
            state.input = Input::Flowing;
        }
        resumes
    }

    /// Answers a ping.
    pub fn push_pong(&self, payload: ControlPayload, gathers: bool) -> Option<Holding<'_, T>> {
        let mut state = self.state();
        state.outbox.push_pong(payload);
        let holding = match gathers && state.outbox.queued() < CORK_LIMIT {
            true => None,
            false => self.take_for_output(&mut state),
        };
        self.note(&state);
        holding
    }

    /// Puts in the Close frame, whatever the limit; nothing goes in afterwards. Waiting threads go on.
    ///
    /// `note_it` is called under the lock: who finds the frame, on its way or answered, finds what was noted of it.
    pub fn push_close(
        &self,
        frame: Option<&CloseFrame>,
        note_it: impl FnOnce(),
    ) -> Result<Option<Holding<'_, T>>, Refused> {
        let mut state = self.state();
        state.outbox.push_close(frame)?;
        note_it();
        self.tell_waiting(&state);
        let holding = self.take_for_output(&mut state);
        self.note(&state);
        Ok(holding)
    }

    /// The wire, when it is free and there is output that nobody is writing.
    pub fn take_output(&self) -> Option<Holding<'_, T>> {
        let mut state = self.state();
        let holding = self.take_for_output(&mut state);
        self.note(&state);
        holding
    }

    #[inline(always)]
    fn take_for_output(&self, state: &mut State<T>) -> Option<Holding<'_, T>> {
        if !state.has_left_output() {
            return None;
        }
        let mut holding = self.take(state)?;
        holding.wire().load(&mut state.outbox);
        Some(holding)
    }

    /// Nothing is put in any more, what waits is dropped, and waiting threads go on. Says whether something was put in until
    /// now.
    pub fn end(&self) -> bool {
        let mut state = self.state();
        let was_open = !state.outbox.has_ended();
        state.outbox.end();
        self.note(&state);
        self.tell_waiting(&state);
        was_open
    }

    /// The peer is gone, so that what waits for it waits in vain: nothing but the Close frame is put in any more, and waiting
    /// threads go on. The caller sees to it that a turn follows.
    pub fn peer_is_gone(&self) {
        let mut state = self.state();
        self.forget_peer(&mut state);
        self.note(&state);
    }

    /// Says whether that is new.
    fn forget_peer(&self, state: &mut State<T>) -> bool {
        let is_new = state.outbox.peer_is_gone();
        if is_new {
            self.tell_waiting(state);
        }
        is_new
    }

    // Threads that wait.

    /// Whether a callback has to wait for the transport to take more before `outgoing` finds room, and until when its peer has
    /// time. Where others write, it has not: then the caller writes what was left to it, and tries again.
    pub fn must_wait_for_transport(&self, outgoing: Outgoing<'_>) -> Option<Option<Instant>> {
        let mut state = self.wire_in_place();
        let deadline = match &state.whereabouts {
            Whereabouts::Stalled(wire) if state.outbox.must_wait(outgoing, SentBy::Callback) => {
                wire.send_deadline()
            }
            _ => return None,
        };
        state.callback_waits = true;
        Some(deadline)
    }

    /// Blocks a thread of the application's until there is room for `outgoing`, or there will never be any; or until another
    /// thread has left output beside the wire: then the caller writes, and comes again. Says whether `patience` was over before
    /// that, with the transport full: then the caller looks at it, and comes again.
    pub fn wait_for_room(&self, outgoing: Outgoing<'_>, patience: Duration) -> bool {
        let mut state = self.state();
        state.waiting += 1;
        let mut has_to_look = false;
        while !has_to_look
            && state.outbox.must_wait(outgoing, SentBy::Thread)
            && !state.has_left_output()
        {
            let is_over;
            (state, is_over) = self.wait_at_most(state, patience);
            has_to_look = is_over && matches!(state.whereabouts, Whereabouts::Stalled(_));
        }
        state.waiting -= 1;
        has_to_look
    }

    /// Waits to be told of room. Says whether the time was over before that.
    #[cfg(not(any(loom, shuttle)))]
    fn wait_at_most<'a>(
        &self,
        state: MutexGuard<'a, State<T>>,
        time: Duration,
    ) -> (MutexGuard<'a, State<T>>, bool) {
        let waited = self.room.wait_timeout(state, time);
        let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        (state, timeout.timed_out())
    }

    /// Models know no time.
    #[cfg(loom)]
    fn wait_at_most<'a>(
        &self,
        state: MutexGuard<'a, State<T>>,
        _: Duration,
    ) -> (MutexGuard<'a, State<T>>, bool) {
        (wait(&self.room, state), false)
    }

    /// The simulation says when its time passes: [`Handover::time_passes`].
    #[cfg(shuttle)]
    fn wait_at_most<'a>(
        &self,
        state: MutexGuard<'a, State<T>>,
        _: Duration,
    ) -> (MutexGuard<'a, State<T>>, bool) {
        let before = state.times_passed;
        let state = wait(&self.room, state);
        let is_over = state.times_passed != before;
        (state, is_over)
    }

    /// The patience of all that wait for room is over.
    #[cfg(shuttle)]
    pub fn time_passes(&self) {
        self.state().times_passed += 1;
        self.room.notify_all();
    }

    fn tell_waiting(&self, state: &State<T>) {
        if state.waiting > 0 {
            self.room.notify_all();
        }
    }

    /// Stops a turn's input, unless there is room and the transport may be read; says whether it does. What changes that
    /// from here on is told. As after [`Handover::look`], others may have left output to the caller.
    pub fn stop_input(&self) -> bool {
        let mut state = self.wire_in_place();
        if state.outbox.load() < self.limit && !state.whereabouts.is_clogged() {
            return false;
        }
        state.input = Input::StoppedForRoom;
        true
    }

    // What it looks like.

    /// What there is to wait for. When it had to wait for the wire, others may have left output to the caller:
    /// [`Sight::has_output`].
    #[inline]
    pub fn look(&self, now: Instant) -> Sight<T::Failure> {
        let mut state = self.wire_in_place();
        let State {
            outbox,
            whereabouts,
            ..
        } = &mut *state;
        let has_output = outbox.has_output();
        let has_room = outbox.load() < self.limit;
        let is_close_sent = outbox.is_close_sent();
        match whereabouts {
            Whereabouts::Free(wire) | Whereabouts::Stalled(wire) => {
                let is_idle = wire.is_idle();
                Sight {
                    is_idle,
                    has_output,
                    failure: wire.failure(),
                    has_expired: wire.expire(now),
                    send_deadline: wire.send_deadline(),
                    has_room,
                    // An idle transport holds nothing that could clog it.
                    is_clogged: !is_idle && wire.is_clogged(),
                    is_close_sent,
                }
            }
            Whereabouts::Absent | Whereabouts::Held { .. } => Sight {
                is_idle: true,
                has_output: false,
                failure: None,
                has_expired: false,
                send_deadline: None,
                has_room,
                is_clogged: false,
                is_close_sent,
            },
        }
    }

    /// Whether the Close frame has been put in, and the transport has taken it.
    pub fn has_close_left(&self) -> bool {
        let state = self.wire_in_place();
        let has_taken_all = match &state.whereabouts {
            Whereabouts::Free(wire) | Whereabouts::Stalled(wire) => wire.is_idle(),
            Whereabouts::Absent | Whereabouts::Held { .. } => false,
        };
        state.outbox.is_close_sent() && !state.outbox.has_output() && has_taken_all
    }

    /// Whether the transport may be full: it was when it was last written to, or a thread is at it.
    pub fn is_stalled(&self) -> bool {
        matches!(
            self.state().whereabouts,
            Whereabouts::Stalled(_) | Whereabouts::Held { .. }
        )
    }

    /// Whether nothing is taken any more: the session has ended, its peer is gone, or the Close frame has been put in.
    pub fn has_ended(&self) -> bool {
        self.state().outbox.has_ended()
    }

    /// How many messages have been put in.
    pub fn messages(&self) -> u64 {
        self.state().messages
    }

    /// Bytes that were put in and not taken by the transport, those behind an unfinished message included.
    pub fn buffered(&self) -> usize {
        self.state().outbox.buffered()
    }

    /// Bytes put in that the transport has not taken.
    pub fn queued(&self) -> usize {
        self.state().outbox.queued()
    }

    /// A hint: whether there is room for what callbacks send. [`Handover::stop_input`] is sure.
    pub fn seems_to_have_room(&self) -> bool {
        self.hint.waiting() < self.limit
    }

    /// A hint: whether the Close frame has been put in. A thread that has put it in itself gets the truth.
    pub fn is_close_sent(&self) -> bool {
        self.hint.is_close_sent()
    }

    /// A hint: whether a look would find nothing to be done or waited for: the transport is whole and has taken all it was
    /// given, nothing waits for it, and no Close has been put in. It is as true as a look at the time when the calling
    /// thread has last had the lock: what others do later, they see to themselves.
    pub fn is_at_rest(&self) -> bool {
        self.hint.is_at_rest()
    }

    #[inline(always)]
    fn note(&self, state: &State<T>) {
        let outbox = &state.outbox;
        let is_free = matches!(&state.whereabouts, Whereabouts::Free(wire) if !wire.is_lost());
        let is_close_sent = outbox.is_close_sent();
        let is_at_rest = is_free && !is_close_sent && !outbox.has_output();
        self.hint.store(outbox.load(), is_close_sent, is_at_rest);
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        lock(&self.state)
    }
}

fn wait<'a, S>(condition: &Condvar, state: MutexGuard<'a, S>) -> MutexGuard<'a, S> {
    condition
        .wait(state)
        .unwrap_or_else(PoisonError::into_inner)
}
