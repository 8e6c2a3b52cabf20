//! A turn: what one thread at a time does with a session, from input to what has to be waited for.

use std::ops::Range;
use std::time::{Duration, Instant};

use websocket_proto::message::MessageAssembler;
use websocket_proto::{CloseCode, CloseFrame, Event, MessageKind, Payload, ProtocolError};

use crate::ending::{Account, ClosedBy, Ending};
use crate::environment::{
    EndingOf, Environment, Epilogue, Failure, Inlet, Read, ThreadId, Transport, Wait,
};
use crate::handover::Holding;
use crate::limits::{IN_PLACE, QUICK, SLICE, WRITE};
use crate::reader::{Reader, Stop};
use crate::session::Session;
use crate::shelter::sheltered;
use crate::slice::Slice;
use crate::sync::atomic::Ordering;
use crate::turnstile::Found;

/// Where a read has put its input.
#[derive(Clone, Copy)]
enum Place {
    /// In the buffer that input passes through.
    Buffer,
    /// In the message that is being gathered: its own buffer.
    Message,
}

impl Place {
    /// Where a read is to put its input, and the room that is there.
    #[inline]
    fn of<'b>(message: Option<&'b mut [u8]>, buffer: &'b mut [u8]) -> (Place, &'b mut [u8]) {
        match message {
            None => (Place::Buffer, buffer),
            Some(room) => (Place::Message, room),
        }
    }
}

impl<E: Environment> Session<E> {
    /// Does what there is to do: reads, decodes, calls the application, writes. The waiter takes one turn after the
    /// other until one says [`Wait::Ended`]; of two at once the second leaves word, and the first says [`Wait::Again`]. `buffer` is where input passes through.
    ///
    /// `is_hung_up`: the poller has seen the peer's end. It says so once, but the core input filter answers a
    /// non-blocking read that meets the end as one that would block, and says EOF at the next.
    pub fn turn(&self, buffer: &mut [u8], is_hung_up: bool) -> Wait {
        let mut reader = match self.turnstile.take() {
            Found::Free(reader) => reader,
            Found::Ended => return Wait::Ended,
            // The turn that is under way says that there is more to do.
            Found::Taken => {
                return Wait::For {
                    input: false,
                    output: false,
                    deadline: None,
                    is_new: false,
                };
            }
        };
        self.set_turn_thread(self.environment.current_thread());
        let wait = sheltered(|| {
            if self.take_failure() {
                return self.fail(&mut reader);
            }
            let now = self.advance(&mut reader, buffer, is_hung_up);
            // The application is called no more: what is behind this is the session's own.
            self.set_turn_thread(ThreadId::NONE);
            let now = now.unwrap_or_else(|| self.environment.now());
            self.glance(&mut reader, now)
                .unwrap_or_else(|| self.what_to_wait_for(&mut reader, now))
        });
        let wait = wait.unwrap_or_else(|| self.fail(&mut reader));
        if let Wait::Ended = wait {
            self.end(&reader);
            self.turnstile.end();
        } else if self.turnstile.give_back(reader) {
            // Relaxed: the turn that is asked for behind this sees it.
            self.is_deadline_lost.store(true, Ordering::Relaxed);
            return Wait::Again;
        }
        wait
    }

    /// The turn has panicked, or another thread with output in its hands: closes the WebSocket with 1011. Says what to wait for, until that is written.
    fn fail(&self, reader: &mut Reader<E>) -> Wait {
        self.set_turn_thread(ThreadId::NONE);
        self.is_corked.store(false, Ordering::Relaxed);
        self.flush_given();
        // It may have been this thread's.
        self.take_failure();
        reader.ends(Ending::Internal);
        reader.stop = Stop::Drained;
        let wait = sheltered(|| {
            self.close(
                Some(&CloseFrame::from(CloseCode::INTERNAL_ERROR)),
                ClosedBy::Fault,
            );
            // The panic may have come between the output and its write.
            self.resume();
            self.what_to_wait_for(reader, self.environment.now())
        });
        // What panics twice is not asked a third time.
        wait.unwrap_or(Wait::Ended)
    }

    /// Ends the WebSocket when there will be no more turns, unless it has ended or a turn is under way: says whether it
    /// does. The transport is the caller's then.
    pub fn give_up(&self, ending: EndingOf<E>) -> bool {
        let Some(mut reader) = self.turnstile.take_for_good() else {
            return false;
        };
        reader.ends(ending);
        self.end(&reader);
        true
    }

    /// The application has accepted, but there is no transport.
    pub fn fail_to_open(&self) {
        self.stop_sending();
        if self.turnstile.take_for_good().is_some() {
            sheltered(|| self.environment.on_disconnect());
        }
    }

    /// Goes on with output, calls the application as it has asked, and handles input. Says what time it is, if it has
    /// just looked.
    fn advance(
        &self,
        reader: &mut Reader<E>,
        buffer: &mut [u8],
        is_hung_up: bool,
    ) -> Option<Instant> {
        if !self.begins_with_a_read(reader) {
            self.resume();
            if !std::mem::replace(&mut reader.is_open_told, true) {
                self.environment.on_open();
            }
            self.call_as_asked();
        }
        let mut slice = Slice::default();
        if let Some(stop) = self.take_input(reader, buffer, is_hung_up, &mut slice) {
            reader.stop = stop;
        }
        slice.now
    }

    /// Whether nothing comes before a read, which goes on with stalled output itself: so it is in most turns.
    #[inline]
    fn begins_with_a_read(&self, reader: &Reader<E>) -> bool {
        reader.is_open_told
            && matches!(reader.stop, Stop::Drained)
            && reader.ending.is_none()
            && !reader.is_lost
            && self.asked.is_nothing()
            && self.may_read(reader)
    }

    /// Reads and handles input until there is none, or says why it stops before.
    #[inline]
    fn take_input(
        &self,
        reader: &mut Reader<E>,
        buffer: &mut [u8],
        mut is_hung_up: bool,
        slice: &mut Slice,
    ) -> Option<Stop> {
        if !matches!(reader.stop, Stop::Drained)
            && let Some(stop) = self.take_held_back(reader, slice)
        {
            return Some(stop);
        }
        while reader.ending.is_none() && !reader.is_lost {
            if !self.may_read(reader) {
                // The read that goes on with stalled output may not come: others have just filled the room for it.
                self.resume();
                if let Some(stop) = self.must_stop(reader) {
                    return Some(stop(Vec::new()));
                }
            }
            let (place, read) = self.read(reader, buffer);
            match read {
                Ok(Read::Data(count)) => {
                    let stop = self.receive_from(reader, place, buffer, count, slice);
                    if stop.is_some() {
                        return stop;
                    }
                }
                Ok(Read::LastData(count)) => {
                    let stop = self.receive_from(reader, place, buffer, count, slice);
                    if stop.is_some() {
                        return stop;
                    }
                    if !is_hung_up {
                        reader.watch.no_input();
                        return None;
                    }
                }
                Ok(Read::WouldBlock) if is_hung_up => is_hung_up = false,
                Ok(Read::WouldBlock) => {
                    reader.watch.no_input();
                    return None;
                }
                Ok(Read::Again) => return Some(Stop::Again(Vec::new())),
                Ok(Read::Stalled) => {
                    return match self.must_stop(reader) {
                        Some(stop) => Some(stop(Vec::new())),
                        // The output has left meanwhile.
                        None => Some(Stop::Again(Vec::new())),
                    };
                }
                Ok(Read::Eof) => reader.ends(Ending::Eof),
                Err(status) => reader.ends(Ending::Broken(status)),
            }
            slice.go_on(&self.environment);
            if let Some(stop) = self.gives_way(reader, slice) {
                return Some(stop);
            }
        }
        None
    }

    /// Handles the input that the last turn has read and left.
    #[cold]
    fn take_held_back(&self, reader: &mut Reader<E>, slice: &mut Slice) -> Option<Stop> {
        let mut held_back = std::mem::take(&mut reader.stop).into_held_back();
        if held_back.is_empty() {
            return None;
        }
        // As much a sign of life as when it was read: behind it may lie the answer to a ping.
        reader.watch.input();
        let stop = self.receive(reader, &mut held_back, slice);
        if stop.is_none() {
            slice.go_on(&self.environment);
            return self.gives_way(reader, slice);
        }
        stop
    }

    /// Between two reads: whether others are to have their turns.
    fn gives_way(&self, reader: &Reader<E>, slice: &Slice) -> Option<Stop> {
        (slice.is_over && reader.ending.is_none()).then(|| Stop::Again(Vec::new()))
    }

    /// Calls the application for what it has asked for, as far as it is due.
    fn call_as_asked(&self) {
        // Acquire: what the thread did that set it, which the application may look at.
        if self.asked.is_writable.load(Ordering::Acquire)
            && self.asked.is_writable.swap(false, Ordering::AcqRel)
            && !self.handover.is_close_sent()
        {
            self.environment.on_writable();
        }
        if self.asked.is_called.load(Ordering::Acquire)
            && self.asked.is_called.swap(false, Ordering::AcqRel)
            && !self.handover.is_close_sent()
        {
            self.environment.on_called();
        }
        let is_due = |timer: &mut Instant| *timer <= self.environment.now();
        if self.asked.timer().is_some()
            && self.asked.take_timer(is_due)
            && !self.handover.is_close_sent()
        {
            self.environment.on_timer();
        }
    }

    /// Whether there seems to be room for what comes of input, and the peer keeps to its rate.
    #[inline]
    fn may_read(&self, reader: &Reader<E>) -> bool {
        self.handover.seems_to_have_room() && reader.watch.paused_until(&self.environment).is_none()
    }

    /// Why input has to wait, if it has to. Room that comes from here on is told.
    fn must_stop(&self, reader: &Reader<E>) -> Option<fn(Vec<u8>) -> Stop> {
        // A pause has an end of its own, and room makes no difference to it.
        if reader.watch.paused_until(&self.environment).is_some() {
            return Some(Stop::Paused);
        }
        if self.handover.stop_input() {
            return Some(Stop::ForRoom);
        }
        // What others have left to this thread while it waited for the wire: a callback may come before the turn's end.
        self.transmit();
        None
    }

    #[inline]
    fn read(&self, reader: &mut Reader<E>, buffer: &mut [u8]) -> (Place, Result<Read, Failure<E>>) {
        let (place, read) = match &mut reader.inlet {
            // There is no output to go on with, and nobody has to be waited for.
            Some(inlet) if self.handover.is_at_rest() => {
                let lend = |size| self.buffers.lend(size);
                let (place, room) = Place::of(reader.receiver.room(IN_PLACE, lend), buffer);
                let read = inlet.read(room);
                if let Ok(Read::Data(count) | Read::LastData(count)) = read {
                    reader.bytes_by_inlet += count as u64;
                }
                (place, read)
            }
            _ => self.read_by_wire(reader, buffer),
        };
        if let Ok(Read::Data(count) | Read::LastData(count)) = read {
            reader.bytes_received += count as u64;
            self.environment.bytes_in(count);
            reader.watch.input();
        }
        (place, read)
    }

    #[inline(never)]
    fn read_by_wire(
        &self,
        reader: &mut Reader<E>,
        buffer: &mut [u8],
    ) -> (Place, Result<Read, Failure<E>>) {
        let Some(mut holding) = self.handover.hold() else {
            return (Place::Buffer, Ok(Read::Eof));
        };
        if holding.is_stalled() {
            self.write_stalled(holding);
            match self.handover.hold() {
                Some(again) => holding = again,
                None => return (Place::Buffer, Ok(Read::Eof)),
            }
        }
        let lend = |size| self.buffers.lend(size);
        let (place, room) = Place::of(reader.receiver.room(IN_PLACE, lend), buffer);
        let transport = holding.transport();
        let read = transport.read(room);
        if let (None, Ok(Read::WouldBlock | Read::LastData(_))) = (&reader.inlet, read) {
            reader.inlet = transport.inlet();
        }
        self.give_back(holding);
        (place, read)
    }

    #[cold]
    fn write_stalled(&self, holding: Holding<'_, E::Transport>) {
        self.write(holding);
    }

    /// Handles what has just been read, wherever that is.
    #[inline]
    fn receive_from(
        &self,
        reader: &mut Reader<E>,
        place: Place,
        buffer: &mut [u8],
        count: usize,
        slice: &mut Slice,
    ) -> Option<Stop> {
        match place {
            Place::Buffer => self.receive(reader, &mut buffer[..count], slice),
            Place::Message => {
                self.receive_in_place(reader, count, slice);
                None
            }
        }
    }

    /// Handles input that lies in its message, of which it may be the end.
    #[inline(never)]
    fn receive_in_place(&self, reader: &mut Reader<E>, count: usize, slice: &mut Slice) {
        match reader.receiver.receive_in_room(count) {
            Some(event) => self.event(reader, event, true, slice),
            None => slice.count(&self.environment),
        }
    }

    /// Decodes input and handles each event. Says why it stops before the input is used up, if it does.
    ///
    /// What a quick application sends while there is more input in the buffer is gathered, and leaves in one write when
    /// the input is used up. When the peer takes no output, the rest of the input waits: the application's `send`
    /// would have to, on this thread.
    #[inline]
    fn receive(&self, reader: &mut Reader<E>, input: &mut [u8], slice: &mut Slice) -> Option<Stop> {
        let stop = self.decode(reader, input, slice);
        self.uncork();
        stop
    }

    fn decode(
        &self,
        reader: &mut Reader<E>,
        mut input: &mut [u8],
        slice: &mut Slice,
    ) -> Option<Stop> {
        while !input.is_empty() && reader.ending.is_none() {
            // Once the transport is lost, no answer needs room, and a pause has nothing to spare.
            if !reader.is_lost && !self.may_read(reader) {
                self.uncork();
                if let Some(stop) = self.must_stop(reader) {
                    return Some(stop(input.to_vec()));
                }
            }
            if slice.is_over {
                return Some(Stop::Again(input.to_vec()));
            }
            let length = input.len();
            let consumed = match reader.receiver.whole_message(input) {
                Some((kind, place)) => {
                    let consumed = place.end;
                    self.message(reader, kind, &mut input[place], consumed == length, slice);
                    consumed
                }
                None => self.decode_any(reader, input, slice),
            };
            input = &mut input[consumed..];
        }
        None
    }

    /// Decodes input up to an event, of whatever kind, and handles it. Says how much that was.
    #[inline(never)]
    fn decode_any(&self, reader: &mut Reader<E>, input: &mut [u8], slice: &mut Slice) -> usize {
        let length = input.len();
        let (consumed, event) = reader.receiver.receive(input);
        let is_last = consumed == length;
        match event {
            Some(event) => self.event(reader, event, is_last, slice),
            None => slice.count(&self.environment),
        }
        consumed
    }

    /// Handles an event, of whatever kind. `is_last`: there is no more input behind it.
    fn event(&self, reader: &mut Reader<E>, event: Event<'_>, is_last: bool, slice: &mut Slice) {
        match event {
            Event::Message { kind, mut payload } => {
                self.message(reader, kind, &mut payload, is_last, slice);
                match payload {
                    Payload::Borrowed(_) => {}
                    Payload::Owned(buffer)
                        if buffer.capacity() > MessageAssembler::MAX_RECYCLED =>
                    {
                        self.buffers.give(buffer);
                    }
                    Payload::Owned(buffer) => reader.receiver.recycle(buffer),
                }
            }
            event => {
                self.cork(reader, is_last);
                match self.handle(reader, event) {
                    Some(call) => slice.called(call),
                    None => slice.count(&self.environment),
                }
            }
        }
    }

    /// What is sent from here on is gathered, if there is more input behind what it answers.
    #[inline]
    fn cork(&self, reader: &Reader<E>, is_last: bool) {
        if reader.is_quick && !is_last {
            self.is_corked.store(true, Ordering::Relaxed);
        }
    }

    /// Writes what has been gathered.
    fn uncork(&self) {
        // Relaxed, as in `gathers`.
        if self.is_corked.load(Ordering::Relaxed) {
            self.is_corked.store(false, Ordering::Relaxed);
            self.transmit();
            if self.given.load(Ordering::Relaxed) > 0 {
                self.flush_given();
            }
        }
    }

    /// Hands a message to the application. `is_last`: there is no more input behind it.
    #[inline]
    fn message(
        &self,
        reader: &mut Reader<E>,
        kind: MessageKind,
        payload: &mut [u8],
        is_last: bool,
        slice: &mut Slice,
    ) {
        self.cork(reader, is_last);
        let begin = slice.now.take();
        let begin = begin.unwrap_or_else(|| self.environment.now());
        reader.watch.message(&self.environment);
        let mut end = begin;
        // An application that has closed gets no more messages.
        if !self.handover.is_close_sent() {
            reader.messages_received += 1;
            self.environment.message_in();
            end = self.environment.on_message(kind, payload, begin);
        }
        slice.now = Some(end);
        if is_last {
            // The next read asks whether the turn's time is over, which has begun here.
            slice.begin.get_or_insert(begin);
            return;
        }
        // Relaxed, as in `gathers`. What it has given to others takes time to write, whatever comes next.
        let extra = match self.given.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            given => WRITE * u32::try_from(given).unwrap_or(u32::MAX),
        };
        slice.spend(SLICE + extra, begin, end);
        reader.is_quick = end.saturating_duration_since(begin) < QUICK + extra;
        if !reader.is_quick {
            self.uncork();
        }
    }

    /// Handles what is no message. Says when the application has been called for it, if it has.
    fn handle(&self, reader: &mut Reader<E>, event: Event<'_>) -> Option<Range<Instant>> {
        match event {
            Event::Message { .. } => {}
            Event::Pong(payload) => {
                reader.watch.counted(&self.environment);
                let heartbeat = reader.watch.pong(&payload, &self.environment);
                if let Some(time) = heartbeat {
                    self.environment.ping_round_trip(time);
                }
                if !self.handover.is_close_sent() {
                    return self.environment.on_pong(&payload, heartbeat);
                }
            }
            Event::Ping(payload) => {
                reader.watch.counted(&self.environment);
                let gathers = self.is_corked.load(Ordering::Relaxed);
                if let Some(holding) = self.handover.push_pong(payload, gathers) {
                    self.write(holding);
                }
            }
            Event::Close(frame) => {
                // RFC 6455 §5.5.1: answer with the peer's own code, unless ours came first.
                let answer = frame.as_ref().map(|frame| CloseFrame::from(frame.code));
                let is_first = self.close(answer.as_ref(), ClosedBy::Peer);
                // Ours came before, unless it was refused because the peer has been given up.
                let is_answer = !is_first && self.handover.is_close_sent();
                reader.ends(Ending::Close { frame, is_answer });
            }
            Event::Failed(error) => {
                // RFC 6455 §7.1.7.
                let by = match error {
                    ProtocolError::NoMemory => ClosedBy::Memory,
                    _ => ClosedBy::Protocol,
                };
                self.close(Some(&error.close_frame(self.version)), by);
                reader.ends(Ending::Failed(error));
            }
        }
        None
    }

    /// The WebSocket has ended: releases threads in `send`, tells the application, gives account. A panic in one of
    /// these does not keep the others from being done: the application's last call comes whatever happened before.
    fn end(&self, reader: &Reader<E>) {
        // Before what waits is dropped.
        let has_close_left = sheltered(|| self.handover.has_close_left()).unwrap_or(false);
        self.stop_sending();
        let ending = reader.ending.as_ref().unwrap_or(&Ending::Internal);
        if !ending.is_broken() {
            sheltered(|| self.shut());
        }
        if reader.is_open_told {
            let (code, reason) = ending.code_and_reason();
            sheltered(|| {
                let is_clean = ending.has_close() && has_close_left;
                self.environment.on_close(code, reason, is_clean);
            });
        }
        sheltered(|| self.environment.on_disconnect());
        let (_, code) = ending.logged_code(self.closed());
        sheltered(|| self.environment.closed(code));
        // What takes long (a log may hang) is done when no thread has the wire.
        if let Some(epilogue) = sheltered(|| self.give_account(reader, ending)).flatten() {
            sheltered(epilogue);
        }
    }

    /// Lets the peer see the end at once, before the application has had its last calls, when nothing is to be written
    /// any more.
    fn shut(&self) {
        if let Some(mut holding) = self.handover.hold() {
            holding.look(|wire| {
                if wire.is_idle() {
                    wire.shut();
                }
            });
        }
    }

    fn give_account(&self, reader: &Reader<E>, ending: &EndingOf<E>) -> Option<Epilogue> {
        let messages_out = self.handover.messages();
        let mut holding = self.handover.hold()?;
        holding.look(|wire| {
            wire.end(&Account {
                ending,
                closed: self.closed(),
                duration: self.environment.now() - self.opened,
                messages_in: reader.messages_received,
                messages_out,
                bytes_in: reader.bytes_received,
                bytes_by_inlet: reader.bytes_by_inlet,
                bytes_out: wire.bytes_sent(),
            })
        })
    }
}
