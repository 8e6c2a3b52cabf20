//! The wire is taken out of its place, used, and put back: by one thread at a time, as the tables of
//! [`handover`](super) say.

use std::time::Instant;

use super::{Handover, Input, Progress, State, wait};
use crate::environment::{Machine, Transport};
use crate::limits::PASSES;
use crate::sync::MutexGuard;
use crate::wire::Wire;

/// Where the wire is.
pub(super) enum Whereabouts<T: Transport> {
    /// Not open yet, or given back.
    Absent,
    /// At rest.
    Free(Box<Wire<T>>),
    /// Output waits for the transport, or the transport is broken.
    Stalled(Box<Wire<T>>),
    /// A thread has it.
    Held {
        /// The poller has said meanwhile that there is room.
        has_room_come: bool,
    },
}

impl<T: Transport> Whereabouts<T> {
    /// Whether nothing may be read before output has left.
    pub(super) fn is_clogged(&self) -> bool {
        match self {
            Whereabouts::Free(wire) | Whereabouts::Stalled(wire) => wire.is_clogged(),
            Whereabouts::Absent | Whereabouts::Held { .. } => false,
        }
    }
}

impl<T: Transport> Handover<T> {
    /// The wire, before threads that would only write to it; none while the session is not open.
    #[inline(always)]
    pub fn hold(&self) -> Option<Holding<'_, T>> {
        let mut state = self.wire_in_place();
        let holding = self.take(&mut state);
        self.hint.wire_is_taken();
        holding
    }

    /// The wire, unless another thread has it.
    pub fn try_hold(&self) -> Option<Holding<'_, T>> {
        let mut state = self.state();
        let holding = self.take(&mut state);
        self.hint.wire_is_taken();
        holding
    }

    /// There may be room again: the wire, when there is something to go on with.
    pub fn resume(&self) -> Option<Holding<'_, T>> {
        let mut state = self.state();
        match &mut state.whereabouts {
            Whereabouts::Stalled(_) => self.take(&mut state),
            Whereabouts::Free(_) => {
                let holding = self.take_for_output(&mut state);
                self.note(&state);
                holding
            }
            Whereabouts::Held { has_room_come } => {
                *has_room_come = true;
                None
            }
            Whereabouts::Absent => None,
        }
    }

    /// The lock, once no thread has the wire.
    #[inline(always)]
    pub(super) fn wire_in_place(&self) -> MutexGuard<'_, State<T>> {
        let state = self.state();
        match &state.whereabouts {
            Whereabouts::Held { .. } => self.wait_for_wire(state),
            _ => state,
        }
    }

    #[cold]
    fn wait_for_wire<'a>(
        &'a self,
        mut state: MutexGuard<'a, State<T>>,
    ) -> MutexGuard<'a, State<T>> {
        state.expected += 1;
        while let Whereabouts::Held { .. } = state.whereabouts {
            state = wait(&self.wire_is_back, state);
        }
        state.expected -= 1;
        state
    }

    #[inline(always)]
    pub(super) fn take(&self, state: &mut State<T>) -> Option<Holding<'_, T>> {
        let is_stalled = match &state.whereabouts {
            Whereabouts::Absent | Whereabouts::Held { .. } => return None,
            Whereabouts::Free(_) => false,
            Whereabouts::Stalled(_) => true,
        };
        let held = Whereabouts::Held {
            has_room_come: false,
        };
        match std::mem::replace(&mut state.whereabouts, held) {
            Whereabouts::Free(wire) | Whereabouts::Stalled(wire) => Some(Holding {
                handover: self,
                wire: Some(wire),
                has_asked_again: is_stalled,
                is_stall_told: is_stalled,
                passes: 0,
            }),
            Whereabouts::Absent | Whereabouts::Held { .. } => None,
        }
    }
}

/// What has become of the wire.
struct Placed {
    /// It is still held, and is to be written to.
    goes_on: bool,
    /// It is stalled, until when its peer has time.
    stalled: Option<Option<Instant>>,
    /// The transport has just broken, or there is something left to be written.
    is_turn_due: bool,
}

impl Placed {
    const AGAIN: Placed = Placed {
        goes_on: true,
        ..Placed::QUIETLY
    };

    const QUIETLY: Placed = Placed {
        goes_on: false,
        stalled: None,
        is_turn_due: false,
    };

    const LEFT: Placed = Placed {
        is_turn_due: true,
        ..Placed::QUIETLY
    };
}

/// The wire, while a thread has it. When it is dropped, as in a panic, the wire goes back to its place.
pub struct Holding<'a, T: Transport> {
    handover: &'a Handover<T>,
    /// `None` once it is back in its place.
    wire: Option<Box<Wire<T>>>,
    /// The transport has been asked again since it last took all it was given.
    has_asked_again: bool,
    /// Whoever waits for the transport has been told of this stall.
    is_stall_told: bool,
    /// How often it has gone on after a write.
    passes: u32,
}

impl<T: Transport> Holding<'_, T> {
    #[inline(always)]
    pub(super) fn wire(&mut self) -> &mut Wire<T> {
        self.wire.as_mut().expect("it is put back last")
    }

    /// Whether the transport was full when the wire was taken.
    pub fn is_stalled(&self) -> bool {
        self.is_stall_told
    }

    /// The transport, to be read from or looked at.
    pub fn transport(&mut self) -> &mut T {
        self.wire().transport()
    }

    /// The wire, to be looked at.
    pub fn look<R>(&mut self, look: impl FnOnce(&mut Wire<T>) -> R) -> R {
        look(self.wire())
    }

    /// Writes until the outbox is empty, another thread is expected or the transport takes no more, or until it has done
    /// its share ([`PASSES`]), and puts the wire back. What has to be told is told without the lock.
    #[inline(always)]
    pub fn write(mut self, machine: &impl Machine, tell: impl Fn(Progress)) {
        self.has_asked_again = false;
        let count = self.wire().resume(machine);
        self.go_on(count, machine, tell);
    }

    /// [`Holding::write`] of the payload of [`Handover::pass`], as far as the transport takes it; what it does not take is
    /// copied.
    pub fn write_through(
        mut self,
        payload: &[u8],
        machine: &impl Machine,
        tell: impl Fn(Progress),
    ) {
        let count = self.wire().resume_through(payload, machine);
        self.go_on(count, machine, tell);
    }

    /// The transport has taken so many bytes.
    #[inline(always)]
    fn go_on(mut self, mut count: usize, machine: &impl Machine, tell: impl Fn(Progress)) {
        loop {
            let (goes_on, progress) = self.settle(count);
            tell(progress);
            if !goes_on {
                return;
            }
            count = self.wire().resume(machine);
        }
    }

    /// Puts the wire back, after a look or a read; writes what others have left meanwhile.
    #[inline(always)]
    pub fn give_back(mut self, machine: &impl Machine, tell: impl Fn(Progress)) {
        if self.put_back() {
            self.write(machine, tell);
        }
    }

    /// Accounts for what the transport has taken, and goes on as the table says. Says whether the wire is still held.
    #[inline(always)]
    fn settle(&mut self, count: usize) -> (bool, Progress) {
        let handover = self.handover;
        let mut state = handover.state();
        let room = state.outbox.transmitted(count);
        let mut lets_callback_go = false;
        if room.is_below_a_limit {
            handover.tell_waiting(&state);
            lets_callback_go = std::mem::take(&mut state.callback_waits);
        }
        let resumes_input = state.input == Input::StoppedForRoom
            && state.outbox.load() < handover.limit
            && !self.wire().is_clogged();
        if resumes_input {
            state.input = Input::Flowing;
        }
        let placed = self.place(&mut state);
        handover.note(&state);
        let progress = Progress {
            sent: count,
            queued: state.outbox.queued(),
            has_wanted_room: room.is_wanted,
            is_turn_due: resumes_input || lets_callback_go || placed.is_turn_due,
            stalled: placed.stalled,
        };
        (placed.goes_on, progress)
    }

    /// Says whether the wire is still held.
    #[inline(always)]
    fn put_back(&mut self) -> bool {
        let handover = self.handover;
        let mut state = handover.state();
        let placed = self.place(&mut state);
        handover.note(&state);
        placed.goes_on
    }

    #[inline(always)]
    fn place(&mut self, state: &mut State<T>) -> Placed {
        let Some(mut wire) = self.wire.take() else {
            return Placed::QUIETLY;
        };
        if wire.is_idle() {
            if state.expected == 0 && state.outbox.has_output() {
                if self.passes == PASSES {
                    return self.leave(state, wire);
                }
                if wire.load(&mut state.outbox) {
                    self.passes += 1;
                    self.has_asked_again = false;
                    self.is_stall_told = false;
                    self.wire = Some(wire);
                    return Placed::AGAIN;
                }
            }
            state.whereabouts = Whereabouts::Free(wire);
            self.tell_expected(state);
            Placed::QUIETLY
        } else {
            self.place_full(state, wire)
        }
    }

    /// Leaves what others have put in to the next thread: to one that is blocked in `send`, to one that sends, or to the turn
    /// that is due.
    #[cold]
    fn leave(&self, state: &mut State<T>, wire: Box<Wire<T>>) -> Placed {
        state.whereabouts = Whereabouts::Free(wire);
        self.handover.tell_waiting(state);
        Placed::LEFT
    }

    /// The same, of a wire whose transport holds a part, or is broken.
    #[cold]
    fn place_full(&mut self, state: &mut State<T>, wire: Box<Wire<T>>) -> Placed {
        let has_room_come = match &mut state.whereabouts {
            Whereabouts::Held { has_room_come } => std::mem::take(has_room_come),
            _ => false,
        };
        let is_asked = has_room_come || !std::mem::replace(&mut self.has_asked_again, true);
        let is_to_ask = is_asked && !wire.is_lost();
        if is_to_ask && self.passes < PASSES {
            self.passes += 1;
            self.wire = Some(wire);
            return Placed::AGAIN;
        }
        let stalled = (!self.is_stall_told).then(|| wire.send_deadline());
        let has_broken = wire.failure().is_some() && self.handover.forget_peer(state);
        state.whereabouts = Whereabouts::Stalled(wire);
        self.tell_expected(state);
        Placed {
            goes_on: false,
            stalled,
            is_turn_due: has_broken || is_to_ask,
        }
    }

    fn tell_expected(&self, state: &State<T>) {
        if state.expected > 0 {
            self.handover.wire_is_back.notify_all();
        }
    }
}

impl<T: Transport> Drop for Holding<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(wire) = self.wire.take() {
            self.put_back_in_panic(wire);
        }
    }
}

impl<T: Transport> Holding<'_, T> {
    /// Puts the wire back without another word to the transport, which may be what has panicked; or which has ended. A turn
    /// follows, or has been the last.
    #[cold]
    fn put_back_in_panic(&self, wire: Box<Wire<T>>) {
        let mut state = self.handover.state();
        state.whereabouts = match wire.is_idle() {
            true => Whereabouts::Free(wire),
            false => Whereabouts::Stalled(wire),
        };
        self.handover.note(&state);
        self.handover.wire_is_back.notify_all();
    }
}
