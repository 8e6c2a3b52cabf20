//! What is known beside the messages themselves: topics, who subscribes, and which keys were used. All of it is changed
//! with the lock held only.

mod entry;
mod index;
mod keys;
mod members;
mod name;
mod seats;
mod subscribed;
mod topics;

pub(crate) use entry::Entry;
pub(crate) use keys::{Key, Keys, Remembered};
pub(crate) use members::{Members, NoPlace};
pub(crate) use name::Name;
pub use seats::Owner;
pub(crate) use seats::Seats;
pub(crate) use subscribed::Subscribed;
pub(crate) use topics::{Full, Topics};
