//! What things are called: topics, and the messages of a log.

mod id;
mod token;
mod topic;

pub use id::{Epoch, RecordId};
pub use token::{BadToken, Token};
pub use topic::{BadTopic, Topic};
