//! Models of the hand-overs between the threads of one session: `scripts/schedules` runs each in every schedule within its
//! bounds. A file is named for the promise that it proves, and says how it was seen to fail: the promise broken on
//! purpose, by one edit, which is to be tried again when the model or the code changes.
//!
//! The threads of a model call [`Handover`] and [`Turnstile`](crate::turnstile::Turnstile) as a session does. The transport is
//! another: one that has room for so many bytes, and a poller that says once when there is more.

mod a_second_turn_is_never_forgotten;
mod an_edge_is_never_lost;
mod no_output_is_left_beside_a_free_wire;
mod room_for_input_is_never_missed;
mod room_is_never_missed_by_a_blocked_send;
mod the_room_that_comes_ends_every_stall;

use std::io::IoSlice;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use schedules::Mutex;
use websocket_proto::{Compression, MessageBudget, MessageKind, Role, SendingHalf};

use crate::buffers::Buffers;
use crate::ending::Account;
use crate::environment::{Epilogue, Machine, NoInlet, Read, ThreadId, Transport};
use crate::handover::{Handover, Holding, Progress};
use crate::outbox::{Outbox, Outgoing};
use crate::sync::lock;
use crate::wire::Wire;

/// Time stands still.
static NOW: LazyLock<Instant> = LazyLock::new(Instant::now);

/// What the transport of a model has taken, and what it has room for.
struct Pipe {
    room: usize,
    taken: usize,
    is_broken: bool,
}

type SharedPipe = Arc<Mutex<Pipe>>;

/// A transport into a [`Pipe`].
struct Socket(SharedPipe);

struct StoppedClock;

impl Machine for StoppedClock {
    fn now(&self) -> Instant {
        *NOW
    }

    fn random(&self) -> u64 {
        0
    }

    fn current_thread(&self) -> ThreadId {
        ThreadId(1)
    }
}

impl Transport for Socket {
    type Failure = ();
    type Inlet = NoInlet;

    fn inlet(&mut self) -> Option<NoInlet> {
        None
    }

    fn read(&mut self, _: &mut [u8]) -> Result<Read, ()> {
        Ok(Read::WouldBlock)
    }

    fn begin_frames(&mut self, _: &[u8]) {}

    fn write(&mut self, bytes: &[u8]) -> Result<usize, ()> {
        let mut pipe = lock(&self.0);
        if pipe.is_broken {
            return Err(());
        }
        let count = pipe.room.min(bytes.len());
        pipe.room -= count;
        pipe.taken += count;
        Ok(count)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> Result<usize, ()> {
        self.write(&joined(slices))
    }

    fn has_output(&self) -> bool {
        false
    }

    fn acknowledged(&self) -> Option<u64> {
        None
    }

    fn is_clogged(&self) -> bool {
        false
    }

    fn flush(&mut self) -> Result<(), ()> {
        Ok(())
    }

    fn end(&mut self, _: &Account<'_, ()>, _: bool) -> Option<Epilogue> {
        None
    }

    fn shut(&mut self) {}
}

/// A hand-over whose transport has room for so many bytes, and which takes messages while fewer than `limit` wait.
struct Model {
    pipe: SharedPipe,
    handover: Handover<Socket>,
}

impl Model {
    fn new(limit: usize, room: usize) -> Arc<Model> {
        let pipe = Arc::new(Mutex::new(Pipe {
            room,
            taken: 0,
            is_broken: false,
        }));
        let budget = Arc::new(MessageBudget::new(0));
        let buffers = Arc::new(Buffers::new(budget));
        let outbox = Outbox::new(limit, SendingHalf::new(Role::Server), Arc::clone(&buffers));
        let handover = Handover::new(outbox);
        let socket = Socket(Arc::clone(&pipe));
        handover.open(Wire::new(socket, Duration::from_secs(1), buffers));
        Arc::new(Model { pipe, handover })
    }

    fn write(&self, holding: Option<Holding<'_, Socket>>, tell: impl Fn(Progress)) {
        if let Some(holding) = holding {
            holding.write(&StoppedClock, tell);
        }
    }

    /// The peer takes everything from now on; the poller says so once.
    fn room_comes(&self, tell: impl Fn(Progress)) {
        lock(&self.pipe).room = usize::MAX;
        // As a session does. The kernel's locks are between a write and the event of its room, as the pipe's is here.
        if !self.handover.is_at_rest() {
            self.write(self.handover.resume(), tell);
        }
    }

    /// The transport breaks, and the next write finds out.
    fn breaks(&self, tell: impl Fn(Progress)) {
        lock(&self.pipe).is_broken = true;
        self.write(self.handover.resume(), tell);
    }

    fn taken(&self) -> usize {
        lock(&self.pipe).taken
    }
}

/// A message of one byte, which makes a frame of [`FRAME`].
const MESSAGE: Outgoing<'static> =
    Outgoing::Message(MessageKind::Binary, Compression::Default, b"x");

const FRAME: usize = 3;

/// What several stretches are together.
fn joined(slices: &[IoSlice<'_>]) -> Vec<u8> {
    slices.iter().flat_map(|slice| slice.to_vec()).collect()
}
