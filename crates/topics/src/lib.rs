//! A log of messages by topic.

#![deny(unsafe_code)]

mod bell;
mod error;
mod figures;
mod log;
mod memory;
mod name;
mod reading;
mod seat;
mod table;
mod writing;

pub use bell::Bell;
pub use error::{CannotResume, ClaimError, LockError, MakeError, PublishError, SubscribeError};
pub use figures::{ChildFigures, Figures, TopicFigures};
pub use log::Log;
pub use memory::{Flags, Futex, KEYS, Kind, Layout};
pub use name::{BadToken, BadTopic, Epoch, RecordId, Token, Topic};
pub use reading::{Batch, Cause, Gap, History, Limits, Reader, Record};
pub use seat::{Seat, Subscription};
pub use table::Owner;
pub use writing::{Message, Published, Publisher};
