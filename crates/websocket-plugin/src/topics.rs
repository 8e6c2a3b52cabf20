//! Topics: what is published on one child process reaches the subscribers of all.

use core::ffi::{CStr, c_char, c_int, c_long, c_uint};
use core::fmt;
use std::ffi::CString;
use std::io;

use crate::abi::*;
use crate::gate::Gated;
use crate::host::Host;
use crate::message::Message;

/// The topics of the server, which all of its children share; those of `SetHandler websocket-topics` and `websocket-publish`
/// are the same.
///
/// From [`Sender::topics`](crate::Sender::topics) or [`Process::topics`](crate::Process::topics), for any thread. A topic is a
/// name of 1 to 255 bytes without control characters, and is there as soon as somebody publishes or subscribes to it. Nothing
/// here waits for a subscriber.
///
/// ```
/// use websocket_plugin::{Message, Process, TopicError};
///
/// fn announce(process: &Process) -> Result<String, TopicError> {
///     process.topics().publish("/news", Message::Text("tea is ready"))
/// }
/// ```
#[derive(Clone, Copy)]
pub struct Topics<'a> {
    gated: &'a Gated,
}

impl<'a> Topics<'a> {
    pub(crate) fn new(gated: &'a Gated) -> Self {
        Self { gated }
    }

    /// Publishes a message to all subscribers of a topic, on all children. Returns its id.
    pub fn publish(&self, topic: &str, message: Message<'_>) -> Result<String, TopicError> {
        self.publish_with(topic, message, Publish::new())
    }

    /// [`publish`](Self::publish), not quite like any other message.
    pub fn publish_with(
        &self,
        topic: &str,
        message: Message<'_>,
        how: Publish,
    ) -> Result<String, TopicError> {
        let topic = named(topic)?;
        let message_type = match message {
            Message::Text(_) => MESSAGE_TYPE_TEXT,
            Message::Binary(_) => MESSAGE_TYPE_BINARY,
        };
        let mut id = [0 as c_char; WEBSOCKET_TOPIC_ID_SIZE];
        let result = self.call(|host| {
            // SAFETY: the gate is open, so the table is alive.
            unsafe { host.publish(&topic, message_type, message.as_bytes(), how.flags, &mut id) }
        })?;
        done(result)?;
        let id: Vec<u8> = id.iter().map(|&byte| byte.cast_unsigned()).collect();
        let id = CStr::from_bytes_until_nul(&id).unwrap_or_default();
        Ok(id.to_string_lossy().into_owned())
    }

    /// How many subscribers a topic has, on all children.
    pub fn count(&self, topic: &str) -> Result<u64, TopicError> {
        self.count_in(topic, WEBSOCKET_TOPIC_HOST)
    }

    /// How many subscribers a topic has in this child.
    pub fn count_here(&self, topic: &str) -> Result<u64, TopicError> {
        self.count_in(topic, WEBSOCKET_TOPIC_CHILD)
    }

    fn count_in(&self, topic: &str, scope: c_int) -> Result<u64, TopicError> {
        let topic = named(topic)?;
        let result = self.call(|host| {
            // SAFETY: the gate is open, so the table is alive.
            unsafe { host.topic_count(&topic, scope) }
        })?;
        number(result)
    }

    /// A topic's members on all children, in no order: what subscribers have called themselves ([`Subscribe::member`]).
    ///
    /// Those of a child that was killed are gone as soon as httpd notices, within a second or two.
    pub fn members(&self, topic: &str) -> Result<Vec<String>, TopicError> {
        let topic = named(topic)?;
        let mut members = Vec::new();
        let result = self.call(|host| {
            // SAFETY: the gate is open, so the table is alive.
            unsafe { host.topic_members(&topic, &mut members) }
        })?;
        number(result).map(|_| members)
    }

    pub(crate) fn subscribe(
        &self,
        topic: &str,
        wanted: &Subscribe<'_>,
    ) -> Result<Subscribed, TopicError> {
        let topic = named(topic)?;
        let since = match wanted.since {
            Since::Now => None,
            Since::Last(count) => Some(format!("last:{count}")),
            Since::Id(id) => Some(id.to_owned()),
        };
        let text = |text: &str| CString::new(text).map_err(|_| TopicError::Invalid);
        let since = since.as_deref().map(text).transpose()?;
        let member = wanted.member.map(text).transpose()?;
        let result = self.call(|host| {
            // SAFETY: the gate is open, so the table is alive.
            unsafe { host.subscribe(&topic, since.as_deref(), member.as_deref(), wanted.flags) }
        })?;
        match done(result)? {
            WEBSOCKET_TOPIC_LOST => Ok(Subscribed::Lost),
            _ => Ok(Subscribed::Whole),
        }
    }

    pub(crate) fn unsubscribe(&self, topic: &str) -> Result<bool, TopicError> {
        let topic = named(topic)?;
        let result = self.call(|host| {
            // SAFETY: the gate is open, so the table is alive.
            unsafe { host.unsubscribe(&topic) }
        })?;
        Ok(done(result)? != WEBSOCKET_TOPIC_NOT_SO)
    }

    fn call<T>(&self, f: impl FnOnce(Host) -> Option<T>) -> Result<T, TopicError> {
        let result = self.gated.call(f).ok_or(TopicError::Closed)?;
        result.ok_or(TopicError::Unsupported)
    }
}

impl fmt::Debug for Topics<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topics").finish_non_exhaustive()
    }
}

/// How a message is published.
///
/// ```
/// # use websocket_plugin::Publish;
/// let position = Publish::new().volatile().exclude_self();
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Publish {
    flags: c_uint,
}

impl Publish {
    /// Like any other message.
    pub const fn new() -> Self {
        Self { flags: 0 }
    }

    /// Not to the WebSocket that publishes it. Nobody is left out when a [`Process`](crate::Process) publishes.
    pub const fn exclude_self(self) -> Self {
        self.with(WEBSOCKET_PUBLISH_EXCLUDE_SELF)
    }

    /// Not kept in the topic's history: nobody who comes later, or is slow, gets it.
    pub const fn volatile(self) -> Self {
        self.with(WEBSOCKET_PUBLISH_VOLATILE)
    }

    /// The topic's value: newcomers get it first, until there is a later one. Not together with
    /// [`volatile`](Self::volatile).
    pub const fn retain(self) -> Self {
        self.with(WEBSOCKET_PUBLISH_RETAIN)
    }

    /// To each subscriber without compression.
    pub const fn uncompressed(self) -> Self {
        self.with(WEBSOCKET_PUBLISH_UNCOMPRESSED)
    }

    const fn with(self, flag: c_uint) -> Self {
        Self {
            flags: self.flags | flag,
        }
    }
}

/// What a subscription is to be like: for [`Sender::subscribe`](crate::Sender::subscribe).
///
/// ```
/// # use websocket_plugin::Subscribe;
/// let wanted = Subscribe::new().last(50).member("Ada").unique().watched().presence();
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Subscribe<'a> {
    since: Since<'a>,
    member: Option<&'a str>,
    flags: c_uint,
}

#[derive(Clone, Copy, Debug, Default)]
enum Since<'a> {
    #[default]
    Now,
    Last(u32),
    Id(&'a str),
}

impl<'a> Subscribe<'a> {
    /// To what is published from now on; what the topic retains comes first. The client gets messages as they are.
    pub const fn new() -> Self {
        Self {
            since: Since::Now,
            member: None,
            flags: 0,
        }
    }

    /// Begins with so many of the latest messages, as far as they are there and `WebSocketTopicHistory` allows.
    pub const fn last(self, count: u32) -> Self {
        Self {
            since: Since::Last(count),
            ..self
        }
    }

    /// Begins behind the message of this id, with exactly what was missed, or is [`Subscribed::Lost`].
    pub const fn since(self, id: &'a str) -> Self {
        Self {
            since: Since::Id(id),
            ..self
        }
    }

    /// What the subscriber is called among the topic's members: 1 to 128 bytes without control characters.
    pub const fn member(self, text: &'a str) -> Self {
        Self {
            member: Some(text),
            ..self
        }
    }

    /// [`TopicError::Taken`] when a member of the topic is called so already, on any child. Needs [`member`](Self::member).
    pub const fn unique(self) -> Self {
        self.with(WEBSOCKET_SUBSCRIBE_UNIQUE)
    }

    /// [`Plugin::topic`](crate::Plugin::topic) is called for each message before it goes to the client, and for whatever else
    /// happens to the subscription.
    pub const fn watched(self) -> Self {
        self.with(WEBSOCKET_SUBSCRIBE_ON_TOPIC)
    }

    /// The client gets the messages of the subprotocol `topics.json`: topic, id, data. Not together with
    /// [`watched`](Self::watched).
    pub const fn json(self) -> Self {
        self.with(WEBSOCKET_SUBSCRIBE_JSON)
    }

    /// Tells of members that join and leave, itself included. Together with [`watched`](Self::watched) or
    /// [`json`](Self::json).
    pub const fn presence(self) -> Self {
        self.with(WEBSOCKET_SUBSCRIBE_PRESENCE)
    }

    const fn with(self, flag: c_uint) -> Self {
        Self {
            flags: self.flags | flag,
            ..self
        }
    }
}

/// How a subscription has begun.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Subscribed {
    /// As it was wanted.
    Whole,
    /// What was missed since the id cannot be told exactly: with what is published from now on.
    Lost,
}

/// What has happened to a subscription: for [`Plugin::topic`](crate::Plugin::topic).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct TopicEvent<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// What [`Subscribe::since`] may be afterwards.
    pub id: &'a str,
    /// What has happened.
    pub news: News<'a>,
}

/// What has happened to a subscription.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum News<'a> {
    /// Something was published.
    Message(Message<'a>),
    /// A member has joined, perhaps this one; with [`Subscribe::presence`].
    Joined {
        /// What it is called.
        member: &'a str,
        /// How many members there are now.
        members: u64,
    },
    /// A member has left.
    Left {
        /// What it was called.
        member: &'a str,
        /// How many members there are now.
        members: u64,
    },
    /// Joins and leaves have gone by untold, because this WebSocket was slow: so many members there are now.
    Members(u64),
    /// So many messages were dropped here, because this WebSocket was slow.
    Dropped(u64),
    /// Some messages are missing here: they were overwritten before this WebSocket could take them.
    Missing,
}

/// What becomes of a message that [`Plugin::topic`](crate::Plugin::topic) has seen.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Delivery {
    /// It goes to the client as it is.
    #[default]
    Pass,
    /// It does not: the plugin has sent something else, or nothing.
    Skip,
}

/// Why something was not done with a topic.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TopicError {
    /// The connection, or the process, has ended.
    Closed,
    /// A limit is reached: the topics of one WebSocket or of the server, its members, or what is retained.
    Full,
    /// A name, id, text or flag is bad; or the WebSocket is subscribed to the topic already.
    Invalid,
    /// Another member is called so.
    Taken,
    /// A message has more than an eighth of `WebSocketTopicMemory`.
    TooLarge,
    /// There are no topics here, or not now: the log says why.
    Unavailable,
    /// The server is older than topics.
    Unsupported,
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the WebSocket is closed",
            Self::Full => "a limit of topics is reached",
            Self::Invalid => "this is no topic, or cannot be asked of it",
            Self::Taken => "another member is called so",
            Self::TooLarge => "the message is too large for a topic",
            Self::Unavailable => "there are no topics now",
            Self::Unsupported => "this server has no topics",
        })
    }
}

impl std::error::Error for TopicError {}

impl From<TopicError> for io::Error {
    fn from(error: TopicError) -> Self {
        let kind = match error {
            TopicError::Closed => io::ErrorKind::BrokenPipe,
            TopicError::Full => io::ErrorKind::OutOfMemory,
            TopicError::Invalid | TopicError::TooLarge => io::ErrorKind::InvalidInput,
            TopicError::Taken => io::ErrorKind::AlreadyExists,
            TopicError::Unavailable => io::ErrorKind::WouldBlock,
            TopicError::Unsupported => io::ErrorKind::Unsupported,
        };
        Self::new(kind, error)
    }
}

fn named(topic: &str) -> Result<CString, TopicError> {
    CString::new(topic).map_err(|_| TopicError::Invalid)
}

/// What the functions say: not negative, or why not.
fn done(result: c_int) -> Result<c_int, TopicError> {
    Err(match result {
        0.. => return Ok(result),
        WEBSOCKET_TOPIC_CLOSED => TopicError::Closed,
        WEBSOCKET_TOPIC_FULL => TopicError::Full,
        WEBSOCKET_TOPIC_TAKEN => TopicError::Taken,
        WEBSOCKET_TOPIC_TOO_LARGE => TopicError::TooLarge,
        WEBSOCKET_TOPIC_UNAVAILABLE => TopicError::Unavailable,
        _ => TopicError::Invalid,
    })
}

fn number(result: c_long) -> Result<u64, TopicError> {
    match u64::try_from(result) {
        Ok(count) => Ok(count),
        Err(_) => {
            let word = c_int::try_from(result).unwrap_or(WEBSOCKET_TOPIC_INVALID);
            Err(done(word).err().unwrap_or(TopicError::Invalid))
        }
    }
}
