//! Bounds of turns and of output that depend on each other.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::buffers::INPUT;

/// How long a turn handles input before others get theirs. A session that waits behind a peer that sends without end waits
/// for as long, so it is short; but a hundred times what it takes to pass on from one connection to the next.
pub const SLICE: Duration = Duration::from_micros(100);

/// The same for a peer whose input is large messages, which lose their place in the processor's cache with each pause.
pub const LARGE_SLICE: Duration = Duration::from_millis(1);

/// An application whose callback takes longer gets each of its messages written at once: as long as a slice, because
/// what a quick one sends is gathered for no longer than its turn lasts.
pub const QUICK: Duration = SLICE;

/// How many events of input are handled before the next look at the clock, which costs as much as one of them.
pub const EVENTS_PER_LOOK: u32 = 32;

/// Bytes of answers that may be gathered before they are written: what the transport passes on at once, so that more
/// would make no fewer writes. The transport of httpd says that it is so: `src/websocket/transport.rs`.
pub const CORK_LIMIT: usize = 48 * 1024;

/// How often the thread that has a session's wire goes on after a write, because others have put something in or room has
/// come, before it leaves the rest to the next one. Each time it writes up to [`CORK_LIMIT`], or one message that is larger:
/// so a `try_send` and a callback are done in a time that has a bound, however much other threads send. Many enough that the turn
/// which is asked for then costs nothing beside them.
#[cfg(not(any(loom, shuttle)))]
pub const PASSES: u32 = 32;
/// Models and the simulation come to the end of them sooner.
#[cfg(any(loom, shuttle))]
pub const PASSES: u32 = 2;

/// Small frames are gathered into one buffer up to this many bytes, so that they leave in one write.
pub const GATHER: usize = 16 * 1024;

/// A message of so many bytes is written from where the application has it, when nothing has to leave before it: the copy would
/// cost more than what it takes to write two stretches instead of one. The simulation's messages are small.
pub const THROUGH: usize = match cfg!(shuttle) {
    true => 24,
    false => GATHER,
};

/// Room that a buffer of waiting frames may have beside as much as they take, in bytes: less is not worth a copy.
pub const SLACK: usize = 256;

/// A frame that goes to many is not copied from this many bytes on. A smaller one is gathered with others: a place of its own
/// in a write costs as much as the copy.
pub const SHARED: usize = 256;

/// What writing for one more session takes, on a busy machine and with what it wakes: for so long may a callback that has
/// given to many handle its input's next messages, before what it has given is written.
pub const WRITE: Duration = Duration::from_micros(10);

/// How long a thread in `send` counts on others to notice that a full transport takes more, before it looks itself. Somebody
/// notices at once, unless all that do so wait in callbacks.
pub const DEAF: Duration = Duration::from_millis(50);

/// What a message that waits for the end of one in parts costs beside its bytes: its place in a queue, which may have twice
/// as many as are used, and an allocation. Without it, empty messages would have no limit.
pub const HELD_UP_OVERHEAD: usize = 64;

/// Of a message that is gathered, so many bytes are read straight into its own buffer at a time. Not fewer than a turn's buffer
/// has: it would take what is left and whatever follows in one read, where one that fills its room exactly is followed by
/// another that hears "would block". And no more than stays in the processor's cache until it is unmasked and checked. The
/// simulation's messages are small.
pub const IN_PLACE: RangeInclusive<usize> = match cfg!(shuttle) {
    true => 20..=200,
    false => INPUT..=128 * 1024,
};
