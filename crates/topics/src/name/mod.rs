//! What things are called: topics, and the messages of a log.

mod id;
mod member;
mod token;
mod topic;

pub use id::{Epoch, RecordId};
pub use member::{BadMember, Member};
pub use token::{BadToken, Token};
pub use topic::{BadTopic, Topic};
