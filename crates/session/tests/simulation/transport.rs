//! The server's end of the connection, as the session reads and writes it.

use std::io::IoSlice;
use std::sync::Arc;

use session::{Account, Ending, Epilogue, Inlet, Read, Transport};
use shuttle::scheduler::TaskId;

use crate::network::Found;
use crate::poller::Poller;
use crate::promises::Promises;
use crate::settings::Settings;
use crate::world::World;

/// A socket, or a layer above one that works in records.
pub struct Socket {
    world: Arc<World>,
    promises: Arc<Promises>,
    poller: Arc<Poller>,
    /// There is a layer: reads give a record at a time, and output is kept back until it is flushed.
    is_layered: bool,
    /// What the layer has taken and the network has not.
    held: Vec<u8>,
    /// How many bytes the layer takes before it breaks, if it does.
    until_break: Option<usize>,
    /// The task that last found too little room.
    refused: Option<TaskId>,
    /// A read has met the end, and has said "would block"; the next one says what it is.
    has_met_end: bool,
    /// What the outbox had is being told, frame by frame, and nothing of it is written yet.
    is_loading: bool,
}

/// The connection was reset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reset;

/// The size of the buffers that input passes through: larger than what is read into a message at once.
pub const INPUT: usize = 1024;
/// How much the layer takes at once, in bytes.
const MOST_HELD: usize = 300;
/// How many steps of others there are at most between a write that finds no room and what its thread makes of it.
const MOST_STEPS_LATE: u64 = 40;
/// How many records without data a read passes over.
const MOST_TRIES: u32 = 1;

impl Socket {
    pub fn new(
        world: &Arc<World>,
        promises: &Arc<Promises>,
        poller: &Arc<Poller>,
        settings: &Settings,
    ) -> Self {
        Socket {
            world: Arc::clone(world),
            promises: Arc::clone(promises),
            poller: Arc::clone(poller),
            is_layered: settings.is_layered,
            held: Vec::new(),
            until_break: settings.layer_breaks_at.map(|bytes| bytes as usize),
            refused: None,
            has_met_end: false,
            is_loading: false,
        }
    }

    /// The session is done with it: what is left goes, then the end.
    pub fn shut(mut self) {
        let _ = self.flush();
        self.end_output();
    }

    fn end_output(&mut self) {
        let mut state = self.world.state();
        let arrival = state.now + state.latency();
        state.outward.shut(arrival);
        drop(state);
        self.poller.look();
    }

    /// Gives bytes to the network; how many it took.
    fn put(&mut self, bytes: &[u8]) -> Result<usize, Reset> {
        let this = shuttle::current::me();
        if self.refused.take() == Some(this) && self.poller.has_room_been_told() {
            // Nobody has written in between: the other one has found the wire held, and has left word.
            self.world.mark("room comes between two looks");
        }
        let mut state = self.world.state();
        // A process that has died writes nothing.
        if state.is_reset || state.outward.is_shut() {
            return Err(Reset);
        }
        let room = state.outward.room().min(bytes.len());
        if room < bytes.len() {
            state.outward.want_room();
            self.refused = Some(this);
            self.poller.forget_room();
        }
        if room == 0 {
            let most = [0, MOST_STEPS_LATE][state.chance.below(2) as usize];
            let steps = state.chance.below(most + 1);
            drop(state);
            // The thread loses its processor just here: what it has found out is old when it says so.
            for _ in 0..steps {
                shuttle::thread::yield_now();
            }
            return Ok(0);
        }
        let count = match state.chance.percent(70) {
            true => room,
            false => state.chance.within(1, room as u64) as usize,
        };
        let arrival = state.now + state.latency();
        state.outward.send(&bytes[..count], arrival);
        drop(state);
        self.poller.look();
        Ok(count)
    }
}

/// A plain socket, read from beside whoever writes.
pub struct Reader {
    world: Arc<World>,
    poller: Arc<Poller>,
}

impl Inlet<Reset> for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> Result<Read, Reset> {
        self.world.mark("a read goes beside the wire");
        read(&self.world, &self.poller, false, buffer)
    }
}

/// Reads what the network has.
fn read(
    world: &World,
    poller: &Poller,
    is_layered: bool,
    buffer: &mut [u8],
) -> Result<Read, Reset> {
    // Less than there is, as often as not.
    let most = world.draw(|chance| chance.within(1, 700)) as usize;
    if buffer.len() != INPUT {
        world.mark("a read goes into its message");
    }
    let most = most.min(buffer.len());
    let buffer = &mut buffer[..most];
    let mut count = 0;
    let mut tells = false;
    let mut tries = 0;
    let last = loop {
        let mut state = world.state();
        if state.is_reset {
            return Err(Reset);
        }
        let (found, has_room) = state.inward.read(&mut buffer[count..]);
        tells |= has_room;
        match found {
            Found::Bytes(more) => count += more,
            // The layer has taken input without giving any: below it something may lie, so it is asked again.
            Found::EmptyRecord if tries < MOST_TRIES => {
                tries += 1;
                continue;
            }
            Found::EmptyRecord => break found,
            Found::Nothing | Found::End => break found,
        }
        if count == buffer.len() || is_layered {
            break found;
        }
    };
    if tells {
        poller.peer().wake();
    }
    world.tell(|| format!("a read gives {count} bytes"));
    match (count, last) {
        (0, Found::End) => Ok(Read::Eof),
        (0, Found::EmptyRecord) => {
            world.mark("a read gives nothing, and more lies below");
            Ok(Read::Again)
        }
        (0, _) => Ok(Read::WouldBlock),
        (_, Found::Nothing | Found::End) if !is_layered => Ok(Read::LastData(count)),
        _ => Ok(Read::Data(count)),
    }
}

impl Transport for Socket {
    type Failure = Reset;
    type Inlet = Reader;

    fn inlet(&mut self) -> Option<Reader> {
        (!self.is_layered).then(|| Reader {
            world: Arc::clone(&self.world),
            poller: Arc::clone(&self.poller),
        })
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<Read, Reset> {
        if self.has_output() {
            self.flush()?;
            if self.has_output() {
                self.world
                    .mark("a read is put off, since output is stalled");
                return Ok(Read::Stalled);
            }
        }
        if self.world.state().is_layer_broken {
            return Err(Reset);
        }
        let read = read(&self.world, &self.poller, self.is_layered, buffer);
        match read {
            Ok(Read::Eof) if !std::mem::replace(&mut self.has_met_end, true) => {
                Ok(Read::WouldBlock)
            }
            read => read,
        }
    }

    fn begin_frames(&mut self, _frames: &[u8]) {
        if !std::mem::replace(&mut self.is_loading, true) {
            let task = usize::from(shuttle::current::me());
            self.world.state().load(task);
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, Reset> {
        self.is_loading = false;
        if !self.is_layered {
            let count = self.put(bytes)?;
            self.world
                .tell(|| format!("the socket takes {count} of {} bytes", bytes.len()));
            return Ok(count);
        }
        if self.has_output() {
            self.flush()?;
            if self.has_output() {
                return Ok(0);
            }
        }
        let count = bytes.len().min(MOST_HELD);
        if let Some(until_break) = &mut self.until_break {
            if *until_break < count {
                self.world.tell(|| "the layer breaks".to_owned());
                self.promises.broken();
                self.world.state().is_layer_broken = true;
                return Err(Reset);
            }
            *until_break -= count;
        }
        self.held.extend_from_slice(&bytes[..count]);
        self.flush()?;
        self.world
            .tell(|| format!("the layer takes {count} of {} bytes", bytes.len()));
        Ok(count)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> Result<usize, Reset> {
        // As the system does it: all of them are one stretch, of which it takes what there is room for.
        let bytes = joined(slices);
        let is_in_place = is_lone_header(&slices[0]);
        let count = self.write(&bytes)?;
        self.world.mark(match (is_in_place, count < bytes.len()) {
            (false, _) => "several pieces leave in one write",
            (true, false) => "a message leaves from where it is",
            (true, true) => "a part of one that leaves from where it is has to be kept",
        });
        Ok(count)
    }

    fn has_output(&self) -> bool {
        !self.held.is_empty()
    }

    fn acknowledged(&self) -> Option<u64> {
        None
    }

    fn is_clogged(&self) -> bool {
        self.has_output()
    }

    fn flush(&mut self) -> Result<(), Reset> {
        while !self.held.is_empty() {
            let held = std::mem::take(&mut self.held);
            let count = self.put(&held);
            self.held = held;
            match count? {
                0 => break,
                count => drop(self.held.drain(..count)),
            }
        }
        Ok(())
    }

    fn end(&mut self, account: &Account<'_, Reset>, is_lost: bool) -> Option<Epilogue> {
        let is_in_order = matches!(
            account.ending,
            Ending::Close { .. } | Ending::Failed(_) | Ending::Internal
        );
        if is_lost || !is_in_order {
            self.promises.broken();
        }
        if account.closed.is_none() && self.promises.has_close_arrived() {
            self.promises
                .is_found_broken("our Close has arrived, and nobody is said to have sent it");
        }
        self.world
            .tell(|| format!("the session has ended: {}", account.ending.word()));
        None
    }

    fn shut(&mut self) {
        if !self.is_layered {
            self.end_output();
        }
    }
}

/// What several stretches are together.
/// Whether the frame that begins there has its payload elsewhere. Headers are of two bytes here: messages are short.
fn is_lone_header(slice: &[u8]) -> bool {
    matches!(slice, [_, length] if *length > 0)
}

fn joined(slices: &[IoSlice<'_>]) -> Vec<u8> {
    slices.iter().flat_map(|slice| slice.to_vec()).collect()
}
