//! A log of messages by topic, in memory that processes share. All children of a server write it and read it, from any
//! thread, through every reload. It knows no httpd, and but for one file, `memory/sys.rs`, there is nothing unsafe in it.
//!
//! ```
//! # use std::{num::NonZeroU64, sync::atomic::AtomicU64, time::Duration};
//! # use topics::*;
//! # let layout = Layout { ring: 1 << 20, topics: 100, seats: 4 };
//! # let words: Vec<AtomicU64> = (0..layout.words().unwrap()).map(|_| AtomicU64::new(0)).collect();
//! # let (words, pid): (&'static [AtomicU64], _) = (words.leak(), NonZeroU64::MIN);
//! // Whoever maps the memory makes the log, before the processes part.
//! let log = Log::new(words, layout, Epoch(NonZeroU64::new(0xc0ffee).unwrap()), [1, 2]).unwrap();
//!
//! // Each child has a seat, and a thread that reads.
//! let seat = log.claim(Owner(pid), |_| true).unwrap();
//! let mut reader = seat.reader().unwrap();
//!
//! // A subscriber comes.
//! let room = Topic::new("/room/1").unwrap();
//! let (subscription, history) = seat.subscribe(&room).unwrap();
//! let token = history.token();
//!
//! // Somebody publishes, in whatever process.
//! let message = Message {
//!     topic: &room,
//!     kind: Kind::Text,
//!     flags: Flags::default(),
//!     origin: 0,
//!     time: 1_700_000_000_000,
//!     key: None,
//!     payload: b"hello",
//! };
//! let published = Publisher::new(log, Futex).publish(&message).unwrap();
//! assert_eq!(published.subscribers, 1);
//!
//! // The thread that reads wakes.
//! let mut batch = Batch::new();
//! reader.wait(&Futex, Duration::from_millis(500));
//! reader.next(&mut batch).unwrap();
//! for record in batch.iter() {
//!     let is_for_it = record.slot == subscription.slot() && record.position >= subscription.start();
//!     assert!(is_for_it && record.payload == b"hello");
//! }
//!
//! // The subscriber has gone and comes back with its token: exactly what it has missed, or why not.
//! seat.unsubscribe(subscription).unwrap();
//! let (subscription, history) = seat.subscribe(&room).unwrap();
//! let limits = Limits { messages: 100, age: None, now: 0 };
//! history.resume(token, &limits, &mut batch).unwrap();
//! assert_eq!(batch.len(), 1);
//! # seat.unsubscribe(subscription).unwrap();
//! ```
//!
//! # What it promises
//!
//! | promise | proved by |
//! |---|---|
//! | All publishers of all processes have one order; ids rise strictly over all topics, and every reader has that order | `tests/kills.rs`, `tests/log/live.rs` |
//! | A [`Reader`] gets every record once, or is told between which ones some are missing ([`Gap`]); never one twice, none damaged | `tests/kills.rs`, `tests/log/model.rs` |
//! | A [`History`] resumes with exactly what was published to its topic after a [`Token`], in order, or says why it cannot ([`CannotResume`]) | `tests/log/history.rs`, at each position; `tests/log/model.rs` |
//! | What is in the [`History`] of a subscription, and what is live for it, meet: no record is in both or in neither | `tests/log/history.rs` |
//! | With ids, every loss is visible: a record names its topic's [`previous`](Record::previous) one | the same |
//! | Publishing waits for no reader, and for other publishers no longer than they copy; for one that is stopped, a second, and then it is refused | `tests/log/live.rs` |
//! | A process may be killed at any instruction: whoever comes next finishes or takes back what it has left. What [`Publisher::publish`] has returned from is published | `src/writing/tests.rs`, at each word that is written; `tests/kills.rs`, with SIGKILL |
//! | A member is listed as long as its child lives and it has not left; a list and the notices behind it agree | `tests/log/members.rs` |
//! | The retained record of a topic is there until it is replaced, forgotten, or its topic evicted | `tests/log/history.rs` |
//! | Memory that something else writes to makes nothing panic, nothing run on for ever and nothing be read out of bounds; damage is found by checksums and told | `tests/log/garbage.rs` |
//!
//! It does **not** promise that ids are dense within a topic (they count all topics' records: whether one is missing, the
//! server judges, by `previous`), that a message outlives the last process that has the memory, or that anybody has read it.
//!
//! # What is in the memory
//!
//! ```text
//!  header ── form, sizes, epoch · lock · what writers need · COMMIT and TAIL, which readers look at
//!  seats ─── one for each child: who it is, its bell, how far it has read; which of them wait
//!  entries ─ one for each topic: its name, its latest record, how many there were, what is retained, what was counted
//!  index ─── finds an entry by its name's hash
//!  bits ──── which entries have subscribers
//!  keys ──── idempotency keys, and the ids that they led to
//!  members ─ subscribers that have said what they are called
//!  rows ──── one for each seat: its subscribers of each topic
//!  ring ──── the records
//! ```
//!
//! All of it is one slice of [`AtomicU64`](std::sync::atomic::AtomicU64). Payloads are copied word by word with relaxed
//! loads and stores, so that a reader that races a writer reads nonsense at worst, not undefined behaviour; it finds out
//! afterwards, since `TAIL` goes past what is going to be overwritten before it is. The lock is a robust, process-shared
//! mutex, which only those take who change something or look a topic up; reading takes none. The steps of a publish, and
//! what somebody who is killed between two of them leaves, are told at `Locked` (`src/writing/locked.rs`).
//!
//! # Who does what
//!
//! * **The server** makes the log where it makes its children ([`Log::new`]) and keeps the words through reloads
//!   ([`Log::find`], which is `None` for a log of another build's form: then make one anew, with another epoch). A region
//!   that is mapped and reserved only takes memory as it is used; it is worth keeping out of core dumps.
//! * **A child** claims a seat ([`Log::claim`]) once it subscribes for the first time. A child that only publishes needs
//!   none. Its reader begins at the log's end; one thread drives it: [`Reader::next`] until the batch is empty, then
//!   [`Reader::wait`]. [`Seat::ring`] wakes it for other reasons.
//! * **A subscriber** is counted by [`Seat::subscribe`] and [`Seat::unsubscribe`]. Its topic has a number, the
//!   [`slot`](Record::slot) of its records, so that nobody looks up names for each record.
//! * **After a [`Gap`]**, the child goes through its topics: each one's [`Log::history`], resumed from the last record that
//!   was read before the gap, has what was missed, or says that it cannot be told; live records go on at [`History::end`],
//!   which then stands for [`Subscription::start`].
//! * **A member** is a subscriber that has said what it is called ([`Seat::enter`]). Who joins and who leaves is told in the
//!   log itself, as a [`Notice`], in one order with everything else.
//! * **Whoever notices that a child is gone** says so ([`Log::note_death`], [`Log::ring`]), and the others sweep
//!   ([`Sweeping`]): its subscribers do not count any more, and its members have left. A child that claims a seat sweeps as well,
//!   and rings behind that.
//! * **Nobody** publishes or subscribes in a signal handler, or holds a lock of its own there that a thread which publishes
//!   may have; unless the process has called [`hold_signals`] before.
//!
//! # Limits
//!
//! | what | how many | beyond |
//! |---|---|---|
//! | bytes of messages | [`Layout::ring`]; some 100 more for each message, and an eighth of them at most for one | the oldest are overwritten; one that is too large is [`PublishError::TooLarge`] |
//! | topics | [`Layout::topics`] | of those without subscribers, the one that nothing was published to for longest (of 64 that are looked at) is evicted, one with a retained message last; who resumes it is told. When all have subscribers: `TopicsFull` |
//! | retained messages | an eighth of the ring, a 64th at most for one | [`PublishError::RetainedFull`] |
//! | members, of all topics | twice as many as topics, 64 to 16,384 | [`EnterError::Full`] |
//! | a member's text | [`Member::MOST`] bytes | [`BadMember`] |
//! | idempotency keys | [`KEYS`] | each of 512 buckets forgets its oldest of eight |
//! | children | [`Layout::seats`] | [`ClaimError::Full`] |
//! | name of a topic | [`Topic::MOST`] bytes | [`BadTopic`] |
//! | a batch | some 256 KiB or 1,024 records, one record at least | the next one has the rest |
//!
//! # The map
//!
//! | file | what lives there |
//! |---|---|
//! | `log` | the log: made, found, swept |
//! | `memory/` | where everything is in shared memory, and how it is read and written |
//! | `table/` | what is known beside the messages: topics, who subscribes, members, keys |
//! | `writing/` | who writes: one at a time, under the lock |
//! | `reading/` | who reads: as many as like, without it |
//! | `seat` | a child's place at the log |
//! | `name/` | what topics, messages and members are called |
//! | `sweeping` | who sweeps when a child has died, and when |
//! | `bell` | how a child's reader is woken |
//! | `figures`, `count`, `error` | what is to be said about a log; what children count of what becomes of messages; why something was not done |

#![deny(unsafe_code)]

mod bell;
mod count;
mod error;
mod figures;
mod log;
mod memory;
mod name;
mod reading;
mod seat;
mod sweeping;
mod table;
mod writing;

pub use bell::Bell;
pub use count::{Count, Counted};
pub use error::{
    CannotResume, ClaimError, EnterError, LockError, MakeError, PublishError, SubscribeError,
};
pub use figures::{ChildFigures, Figures, TopicFigures};
pub use log::Log;
pub use memory::{Flags, Futex, KEYS, Kind, Layout, hold_signals};
pub use name::{BadMember, BadToken, BadTopic, Epoch, Member, RecordId, Token, Topic};
pub use reading::{Batch, Cause, Gap, History, Limits, Reader, Record, Trail};
pub use seat::{Membership, Seat, Subscription};
pub use sweeping::Sweeping;
pub use table::Owner;
pub use writing::{Message, Notice, Published, Publisher, Unrung};
