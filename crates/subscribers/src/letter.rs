//! What an outlet is told that looks at everything itself ([`Form::Letters`](crate::Form::Letters)).

use topics::{Kind, Token};

/// One thing that a subscriber is told.
#[derive(Debug)]
pub struct Letter {
    /// Of which topic.
    pub topic: Box<str>,
    /// What it may come back with afterwards.
    pub id: Token,
    /// What there is to tell.
    pub news: News,
}

/// What there is to tell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum News {
    /// Something was published.
    Message {
        /// What the payload is: text or binary.
        kind: Kind,
        /// Whether it is worth being compressed.
        may_compress: bool,
        /// The payload.
        payload: Box<[u8]>,
    },
    /// A member has joined; it is one of so many now.
    Joined(Box<str>, u32),
    /// A member has left; there are so many now.
    Left(Box<str>, u32),
    /// Joins and leaves have gone by untold; there are so many members now.
    Members(u32),
    /// So many messages were dropped here, because the outlet was slow.
    Dropped(u64),
    /// Some messages are missing here.
    Gap,
}

impl Letter {
    /// About how many bytes it takes.
    pub fn size(&self) -> usize {
        let length = match &self.news {
            News::Message { payload, .. } => payload.len(),
            News::Joined(member, _) | News::Left(member, _) => member.len(),
            News::Members(_) | News::Dropped(_) | News::Gap => 0,
        };
        size_of::<Self>() + self.topic.len() + length
    }
}
