//! A turn: what one thread at a time does with a session, from input to what has to be waited for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use websocket_proto::{CloseCode, CloseFrame, Event, Payload, ProtocolError, Receiver};

use crate::config::Config;
use crate::ending::{Account, ClosedBy, Ending};
use crate::environment::{EndingOf, Environment, Epilogue, Failure, Machine, Read, ThreadId, Wait};
use crate::outbox::{Outgoing, SentBy};
use crate::session::Session;
use crate::sync::atomic::{Ordering, fence};
use crate::sync::lock;
use crate::watch::{Watch, Watched};

/// An application whose callback takes longer gets each of its messages written at once.
const QUICK: Duration = Duration::from_micros(100);

/// How long a turn handles input before others get theirs. Whoever waits behind a peer that sends without end waits for
/// as long, so it is short; but a hundred times what it takes to pass on from one connection to the next.
const SLICE: Duration = Duration::from_micros(100);
/// The same for a peer whose input is large messages, which lose their place in the processor's cache with each pause.
const LARGE_SLICE: Duration = Duration::from_millis(1);
/// How many events of input are handled before the next look at the clock, which costs as much as one of them.
const EVENTS_PER_LOOK: u32 = 32;

/// The time that a turn has for input. Most turns have one event, and need no clock.
#[derive(Default)]
struct Slice {
    begin: Option<Instant>,
    events: u32,
    is_over: bool,
}

impl Slice {
    /// A message has been handled from `begin` to `end`.
    fn spend(&mut self, begin: Instant, end: Instant) {
        self.is_over |= self.since(begin, end) >= SLICE;
    }

    /// An event has been handled that takes little time: there may have been many of them.
    fn count(&mut self, machine: &impl Machine) {
        self.events += 1;
        if self.events.is_multiple_of(EVENTS_PER_LOOK) {
            let now = machine.now();
            self.spend(now, now);
        }
    }

    /// There is more to read.
    fn go_on(&mut self, machine: &impl Machine) {
        let now = machine.now();
        self.is_over |= self.since(now, now) >= LARGE_SLICE;
    }

    fn since(&mut self, begin: Instant, end: Instant) -> Duration {
        let begin = *self.begin.get_or_insert(begin);
        end.saturating_duration_since(begin)
    }
}

/// The receiving half, and how it is coming to its end. The thread that has the turn has it.
pub struct Reader<E: Environment> {
    receiver: Receiver,
    /// Input that has been read and must wait: for the peer to take some output, or for the next turn.
    held_back: Vec<u8>,
    ending: Option<EndingOf<E>>,
    /// When the closing handshake has to be over.
    close_deadline: Option<Instant>,
    /// The turn has stopped before the input did.
    has_more: bool,
    /// The application's callbacks for the input at hand have taken little time so far.
    is_quick: bool,
    /// The transport has failed: what has been read before is handled, and nothing more is read.
    is_lost: bool,
    /// The turn has stopped because nothing may be read. What the socket holds is not reported again.
    is_stopped: bool,
    /// The application has had its on_open.
    is_open_told: bool,
    watch: Watch,
    close_timeout: Duration,
    messages_received: u64,
    bytes_received: u64,
}

impl<E: Environment> Reader<E> {
    /// The receiving half of a new session.
    pub fn new(receiver: Receiver, config: &Config, machine: &impl Machine) -> Self {
        Reader {
            receiver,
            held_back: Vec::new(),
            ending: None,
            close_deadline: None,
            has_more: false,
            is_quick: true,
            is_lost: false,
            is_stopped: false,
            is_open_told: false,
            watch: Watch::new(config, machine),
            close_timeout: config.close_timeout,
            messages_received: 0,
            bytes_received: 0,
        }
    }
}

impl<E: Environment> Session<E> {
    /// Does what there is to do: reads, decodes, calls the application, writes. The waiter takes one turn after the
    /// other, never two at once, until one says [`Wait::Ended`]. `buffer` is where input passes through.
    ///
    /// `is_hung_up`: the poller has seen the peer's end. It says so once, but the core input filter answers a
    /// non-blocking read that meets the end as one that would block, and says EOF at the next.
    pub fn turn(&self, buffer: &mut [u8], is_hung_up: bool) -> Wait {
        let Some(mut reader) = lock(&self.reader).take() else {
            return Wait::Ended;
        };
        self.set_turn_thread(self.environment.current_thread());
        let wait = sheltered(|| {
            self.advance(&mut reader, buffer, is_hung_up);
            // The application is called no more: what is behind this is the session's own.
            self.set_turn_thread(ThreadId::NONE);
            self.what_to_wait_for(&mut reader)
        });
        let wait = wait.unwrap_or_else(|| self.fail(&mut reader));
        match wait {
            Wait::Ended => self.end(&reader),
            Wait::Again | Wait::For { .. } => *lock(&self.reader) = Some(reader),
        }
        wait
    }

    /// The turn has panicked: closes the WebSocket with 1011. Says what to wait for, until that is written.
    fn fail(&self, reader: &mut Reader<E>) -> Wait {
        self.set_turn_thread(ThreadId::NONE);
        self.is_corked.store(false, Ordering::Relaxed);
        reader.ending = Some(Ending::Internal);
        reader.has_more = false;
        let wait = sheltered(|| {
            self.close(
                Some(&CloseFrame::from(CloseCode::INTERNAL_ERROR)),
                ClosedBy::Fault,
            );
            self.what_to_wait_for(reader)
        });
        // What panics twice is not asked a third time.
        wait.unwrap_or(Wait::Ended)
    }

    /// Ends the WebSocket when there will be no more turns, unless it has ended or a turn is under way: says whether it
    /// does. The transport is the caller's then.
    pub fn give_up(&self, ending: EndingOf<E>) -> bool {
        let Some(mut reader) = lock(&self.reader).take() else {
            return false;
        };
        reader.ending.get_or_insert(ending);
        self.end(&reader);
        true
    }

    /// The application has accepted, but there is no transport.
    pub fn fail_to_open(&self) {
        self.outbox.end();
        if lock(&self.reader).take().is_some() {
            sheltered(|| self.environment.on_disconnect());
        }
    }

    /// Reads and handles input until there is none, or the output has to go first.
    fn advance(&self, reader: &mut Reader<E>, buffer: &mut [u8], mut is_hung_up: bool) {
        self.resume();
        if !std::mem::replace(&mut reader.is_open_told, true) {
            self.environment.on_open();
        }
        self.call_as_asked();
        let mut slice = Slice::default();
        reader.has_more = false;
        if !reader.held_back.is_empty() {
            let mut held_back = std::mem::take(&mut reader.held_back);
            // As much a sign of life as when it was read: behind it may lie the answer to a ping.
            reader.watch.input();
            self.receive(reader, &mut held_back, &mut slice);
        }
        loop {
            if reader.ending.is_some() || reader.has_more || reader.is_lost {
                return;
            }
            // What is held back comes first, even if it might be handled by now.
            if !reader.held_back.is_empty() || !self.may_read(reader) {
                self.stop_input(reader);
                return;
            }
            reader.is_quick = true;
            match self.read(reader, buffer) {
                Ok(Read::Data(count)) => self.receive(reader, &mut buffer[..count], &mut slice),
                Ok(Read::LastData(count)) => {
                    self.receive(reader, &mut buffer[..count], &mut slice);
                    if !is_hung_up {
                        if reader.held_back.is_empty() {
                            reader.watch.no_input();
                        }
                        return;
                    }
                }
                Ok(Read::WouldBlock) if is_hung_up => is_hung_up = false,
                Ok(Read::WouldBlock) => {
                    reader.watch.no_input();
                    return;
                }
                Ok(Read::Again) => {
                    reader.has_more = true;
                    return;
                }
                Ok(Read::Stalled) => {
                    self.stop_input(reader);
                    return;
                }
                Ok(Read::Eof) => reader.ending = Some(Ending::Eof),
                Err(status) => reader.ending = Some(Ending::Broken(status)),
            }
            slice.go_on(&self.environment);
            reader.has_more |= slice.is_over;
        }
    }

    /// Calls the application for what it has asked for, as far as it is due.
    fn call_as_asked(&self) {
        if self.asked.is_writable.load(Ordering::Acquire)
            && self.asked.is_writable.swap(false, Ordering::AcqRel)
            && !self.outbox.is_close_sent()
        {
            self.environment.on_writable();
        }
        let is_due = |timer: &mut Instant| *timer <= self.environment.now();
        if self.asked.timer().is_some()
            && self.asked.take_timer(is_due)
            && !self.outbox.is_close_sent()
        {
            self.environment.on_timer();
        }
    }

    /// Input has to wait. Room that comes from here on is told, and room that has come is seen at the turn's end.
    fn stop_input(&self, reader: &mut Reader<E>) {
        reader.is_stopped = true;
        // A pause for the rate has an end of its own, and room makes no difference to it.
        if reader.watch.paused_until(&self.environment).is_none() {
            self.is_input_stopped.store(true, Ordering::SeqCst);
            fence(Ordering::SeqCst);
        }
    }

    /// Whether there is room for what comes of input, and the peer keeps to its rate.
    fn may_read(&self, reader: &Reader<E>) -> bool {
        self.outbox.has_room(SentBy::Callback)
            && reader.watch.paused_until(&self.environment).is_none()
    }

    fn read(&self, reader: &mut Reader<E>, buffer: &mut [u8]) -> Result<Read, Failure<E>> {
        let read = self.with_wire(|wire| {
            let read = wire.read(buffer);
            self.has_read(wire);
            read
        });
        if let Some(Ok(Read::Data(count) | Read::LastData(count))) = read {
            reader.bytes_received += count as u64;
            self.environment.bytes_in(count);
            reader.watch.input();
        }
        read.unwrap_or(Ok(Read::Eof))
    }

    /// Decodes input and handles each event.
    ///
    /// What a quick application sends while there is more input in the buffer is gathered, and leaves in one write when
    /// the input is used up. When the peer takes no output, the rest of the input waits: the application's `send`
    /// would have to, on this thread.
    fn receive(&self, reader: &mut Reader<E>, mut input: &mut [u8], slice: &mut Slice) {
        let mut clock = None;
        while !input.is_empty() && reader.ending.is_none() {
            if !self.may_read(reader) {
                self.uncork();
                if !self.may_read(reader) {
                    reader.held_back = input.to_vec();
                    self.stop_input(reader);
                    break;
                }
            }
            if slice.is_over {
                reader.held_back = input.to_vec();
                reader.has_more = true;
                break;
            }
            let length = input.len();
            let (consumed, event) = reader.receiver.receive(input);
            if consumed == length {
                self.handle(reader, event);
                break;
            }
            if reader.is_quick && event.is_some() {
                self.is_corked.store(true, Ordering::Relaxed);
            }
            if let Some(Event::Message { .. }) = event {
                let begin = clock.take().unwrap_or_else(|| self.environment.now());
                self.handle(reader, event);
                let end = *clock.insert(self.environment.now());
                slice.spend(begin, end);
                if reader.is_quick && end.saturating_duration_since(begin) >= QUICK {
                    reader.is_quick = false;
                    self.uncork();
                }
            } else {
                self.handle(reader, event);
                slice.count(&self.environment);
                clock = None;
            }
            input = &mut input[consumed..];
        }
        self.uncork();
    }

    /// Writes what has been gathered.
    fn uncork(&self) {
        if self.is_corked.swap(false, Ordering::Relaxed) {
            self.transmit();
        }
    }

    fn handle(&self, reader: &mut Reader<E>, event: Option<Event<'_>>) {
        match event {
            None => {}
            Some(Event::Pong(payload)) => {
                reader.watch.counted(&self.environment);
                let heartbeat = reader.watch.pong(&payload, &self.environment);
                if let Some(time) = heartbeat {
                    self.environment.ping_round_trip(time);
                }
                if !self.outbox.is_close_sent() {
                    self.environment.on_pong(&payload, heartbeat);
                }
            }
            Some(Event::Message { kind, mut payload }) => {
                // An application that has closed gets no more messages.
                reader.watch.message(&self.environment);
                if !self.outbox.is_close_sent() {
                    reader.messages_received += 1;
                    self.environment.message_in();
                    self.environment.on_message(kind, &mut payload);
                }
                if let Payload::Owned(buffer) = payload {
                    reader.receiver.recycle(buffer);
                }
            }
            Some(Event::Ping(payload)) => {
                reader.watch.counted(&self.environment);
                self.outbox.push_pong(payload);
                self.transmit_unless_corked();
            }
            Some(Event::Close(frame)) => {
                // RFC 6455 §5.5.1: answer with the peer's own code, unless ours came first.
                let answer = frame.as_ref().map(|frame| CloseFrame::from(frame.code));
                let is_answer = !self.close(answer.as_ref(), ClosedBy::Peer);
                reader.ending = Some(Ending::Close { frame, is_answer });
            }
            Some(Event::Failed(error)) => {
                // RFC 6455 §7.1.7.
                let by = match error {
                    ProtocolError::NoMemory => ClosedBy::Memory,
                    _ => ClosedBy::Protocol,
                };
                self.close(Some(&error.close_frame(self.version)), by);
                reader.ending = Some(Ending::Failed(error));
            }
        }
    }

    /// What the waiter has to wait for after a turn.
    fn what_to_wait_for(&self, reader: &mut Reader<E>) -> Wait {
        // Under the lock nobody takes output out of the outbox that has not been written yet.
        let (is_idle, has_output, is_clogged, failure, has_expired, send_deadline) =
            match self.wire().as_mut() {
                Some(wire) => (
                    wire.is_idle(),
                    self.outbox.has_output(),
                    wire.is_clogged(),
                    wire.failure(),
                    wire.expire(&self.environment),
                    wire.send_deadline(),
                ),
                None => (true, false, false, None, false, None),
            };
        if let Some(status) = failure {
            if std::mem::take(&mut reader.has_more) && !reader.held_back.is_empty() {
                reader.is_lost = true;
                self.outbox.end();
                return Wait::Again;
            }
            reader.ending.get_or_insert(Ending::Broken(status));
            return Wait::Ended;
        }
        if let Some(ending) = &reader.ending
            && ((is_idle && !has_output) || !ending.has_close_to_send())
        {
            return Wait::Ended;
        }
        if has_expired {
            reader.ending = Some(Ending::SendTimeout);
            return Wait::Ended;
        }
        let watched_until = match self.outbox.is_close_sent() {
            true => {
                let timeout = reader.close_timeout;
                let deadline = reader
                    .close_deadline
                    .get_or_insert_with(|| self.environment.now() + timeout);
                if *deadline <= self.environment.now() {
                    reader.ending.get_or_insert(Ending::CloseTimeout);
                    return Wait::Ended;
                }
                Some(*deadline)
            }
            false => match self.look_after(reader, !is_idle || has_output) {
                Ok(until) => until,
                Err(wait) => return wait,
            },
        };
        // Output beside an idle wire has been put in while this thread had it.
        if std::mem::take(&mut reader.has_more) || (is_idle && self.outbox.has_output()) {
            return Wait::Again;
        }
        // Asked once: what ends in between would be waited for in vain.
        let paused_until = reader.watch.paused_until(&self.environment);
        let may_read =
            !is_clogged && paused_until.is_none() && self.outbox.has_room(SentBy::Callback);
        if may_read && std::mem::take(&mut reader.is_stopped) {
            return Wait::Again;
        }
        let deadlines = [watched_until, send_deadline, paused_until];
        Wait::For {
            input: reader.ending.is_none() && may_read,
            output: !is_idle,
            deadline: deadlines.into_iter().flatten().min(),
        }
    }

    /// Looks after an open WebSocket: whether its peer lives, whether it is to be closed, whether the application is
    /// to be called. Says when to look again, or what to do at once. `is_sending`: output waits for the peer.
    fn look_after(
        &self,
        reader: &mut Reader<E>,
        is_sending: bool,
    ) -> Result<Option<Instant>, Wait> {
        let now = self.environment.now();
        let drain_at = self.drains_at();
        let is_over = |time: Option<Instant>| time.is_some_and(|time| time <= now);
        let is_mid_message = reader.receiver.is_mid_message();
        let watched = reader.watch.check(
            now,
            self.last_sent(),
            is_sending,
            is_mid_message,
            &self.environment,
        );
        let closed_by = match watched {
            _ if is_over(drain_at) => ClosedBy::Stopping,
            Watched::Dead => {
                reader.ending.get_or_insert(Ending::PongTimeout);
                return Err(Wait::Ended);
            }
            Watched::Ping(payload) => {
                // It is only refused when the connection ends anyway, or when there is no room, so that nothing is
                // read and nothing was to be pinged.
                let _ = self.outbox.push(Outgoing::Ping(&payload), SentBy::Callback);
                self.transmit();
                return Err(Wait::Again);
            }
            Watched::Idle => ClosedBy::Idle,
            Watched::Unfinished => ClosedBy::Unfinished,
            Watched::Old => ClosedBy::Age,
            Watched::TooFast => ClosedBy::Rate,
            Watched::Well(watched_until) => {
                let timer = self.asked.timer();
                if is_over(timer) || self.asked.is_writable.load(Ordering::Acquire) {
                    return Err(Wait::Again);
                }
                let times = [watched_until, drain_at, timer];
                return Ok(times.into_iter().flatten().min());
            }
        };
        let code = match closed_by {
            ClosedBy::Rate | ClosedBy::Unfinished => CloseCode::POLICY_VIOLATION,
            _ => CloseCode::GOING_AWAY,
        };
        self.close(Some(&CloseFrame::from(code)), closed_by);
        // What comes of it: is it written, and when must it be answered?
        Err(Wait::Again)
    }

    /// The WebSocket has ended: releases threads in `send`, tells the application, gives account. A panic in one of
    /// these does not keep the others from being done: the application's last call comes whatever happened before.
    fn end(&self, reader: &Reader<E>) {
        self.outbox.end();
        let ending = reader.ending.as_ref().unwrap_or(&Ending::Internal);
        if !ending.is_broken() {
            self.shut();
        }
        if reader.is_open_told {
            let (code, reason) = ending.code_and_reason();
            sheltered(|| {
                self.environment.on_close(code, reason, ending.is_clean());
            });
        }
        sheltered(|| self.environment.on_disconnect());
        let (_, code) = ending.logged_code(self.closed());
        sheltered(|| self.environment.closed(code));
        // What takes long (a log may hang) is done when the wire is free.
        if let Some(epilogue) = sheltered(|| self.give_account(reader, ending)).flatten() {
            sheltered(epilogue);
        }
    }

    /// Lets the peer see the end at once, before the application has had its last calls, when nothing is to be written
    /// any more.
    fn shut(&self) {
        if let Some(wire) = self.wire().as_mut()
            && wire.is_idle()
        {
            wire.shut();
        }
    }

    fn give_account(&self, reader: &Reader<E>, ending: &EndingOf<E>) -> Option<Epilogue> {
        lock(&self.wire).as_mut().and_then(|wire| {
            wire.end(&Account {
                ending,
                closed: self.closed(),
                duration: self.environment.now() - self.opened,
                messages_in: reader.messages_received,
                messages_out: self.messages_sent.load(Ordering::Relaxed),
                bytes_in: reader.bytes_received,
                bytes_out: wire.bytes_sent(),
            })
        })
    }
}

/// What `step` says; nothing when it panics, which the process's panic hook has told.
fn sheltered<T>(step: impl FnOnce() -> T) -> Option<T> {
    // A panic ends the session, which looks at little of its state then, and at nothing that is half changed: see
    // `crate::sync::lock`.
    catch_unwind(AssertUnwindSafe(step)).ok()
}
