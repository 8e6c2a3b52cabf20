//! Who writes to the log: one at a time.

mod locked;
mod notice;
mod publisher;
mod room;
#[cfg(test)]
mod tests;

pub(crate) use locked::Locked;
pub use notice::Notice;
pub use publisher::{Message, Published, Publisher, Unrung};
