//! Why something was not done.

use std::fmt;

/// The lock of the log was not to be had. Nothing was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LockError {
    /// Another thread has had it for a second: one of a process that is stopped, most likely. For who is
    /// [impatient](crate::Log::impatient), some milliseconds are enough.
    Busy,
    /// The calling thread has it: this is a signal handler that has interrupted another call.
    Held,
    /// The system refuses, with this number (errno).
    System(i32),
}

/// A log was not made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MakeError {
    /// The layout is smaller or larger than may be, or takes more words than there are.
    Layout,
    /// The system makes no lock of the kind, with this number (errno).
    Lock(i32),
}

/// A message was not published.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PublishError {
    /// Its payload has more bytes than this log takes at once.
    TooLarge {
        /// The most bytes of a payload.
        limit: usize,
    },
    /// The table of topics is full, and every topic has subscribers.
    TopicsFull,
    /// It was to be retained, and what is retained already leaves no room for it.
    RetainedFull,
    /// The idempotency key was given before, with something else.
    KeyReused,
    /// Who was to publish it has no log.
    NoLog,
    /// The lock was not to be had.
    Lock(LockError),
}

/// A subscriber was not counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SubscribeError {
    /// The table of topics is full, and every topic has subscribers.
    TopicsFull,
    /// The seat is not this child's any more: another process has held it for dead.
    SeatLost,
    /// The lock was not to be had.
    Lock(LockError),
}

/// A subscriber is no member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EnterError {
    /// A member of the topic is called so.
    Taken,
    /// All members of all topics are too many.
    Full,
    /// The seat is not this child's any more: another process has held it for dead.
    SeatLost,
    /// The lock was not to be had.
    Lock(LockError),
}

/// A child has no seat.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClaimError {
    /// Every seat has a living child.
    Full,
    /// The lock was not to be had.
    Lock(LockError),
}

/// What a subscriber has missed of a topic cannot be told exactly.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CannotResume {
    /// The numbers have begun anew.
    OtherEpoch,
    /// No record has had this id yet.
    NeverSeen,
    /// Some of it has been overwritten.
    Overrun,
    /// Some of it was forgotten ([`Log::forget`](crate::Log::forget)), or the topic was evicted in between.
    Forgotten,
    /// It is more, or older, than the limits allow.
    Limit,
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::Busy => {
                f.write_str("another process holds the log's lock and does not go on")
            }
            LockError::Held => f.write_str("the log's lock is held by this very thread"),
            LockError::System(error) => {
                write!(
                    f,
                    "the log's lock fails: {}",
                    std::io::Error::from_raw_os_error(*error)
                )
            }
        }
    }
}

impl fmt::Display for MakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MakeError::Layout => f.write_str("no log can have this size"),
            MakeError::Lock(error) => {
                write!(
                    f,
                    "no robust lock: {}",
                    std::io::Error::from_raw_os_error(*error)
                )
            }
        }
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PublishError::TooLarge { limit } => write!(f, "more than {limit} bytes"),
            PublishError::TopicsFull => SubscribeError::TopicsFull.fmt(f),
            PublishError::RetainedFull => f.write_str("no room for more retained messages"),
            PublishError::KeyReused => {
                f.write_str("the idempotency key was used for another message")
            }
            PublishError::NoLog => f.write_str("there is no shared memory for topics"),
            PublishError::Lock(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for SubscribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SubscribeError::TopicsFull => f.write_str("too many topics have subscribers"),
            SubscribeError::SeatLost => f.write_str("another process has this one's seat"),
            SubscribeError::Lock(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for EnterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EnterError::Taken => f.write_str("another member is called so"),
            EnterError::Full => f.write_str("too many members"),
            EnterError::SeatLost => SubscribeError::SeatLost.fmt(f),
            EnterError::Lock(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for ClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClaimError::Full => f.write_str("no seat is free"),
            ClaimError::Lock(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for CannotResume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CannotResume::OtherEpoch => "the numbers have begun anew",
            CannotResume::NeverSeen => "no message has had this id",
            CannotResume::Overrun => "some of it has been overwritten",
            CannotResume::Forgotten => "some of it has been forgotten",
            CannotResume::Limit => "it is more than the history's limits allow",
        })
    }
}

impl std::error::Error for LockError {}
impl std::error::Error for MakeError {}
impl std::error::Error for PublishError {}
impl std::error::Error for SubscribeError {}
impl std::error::Error for EnterError {}
impl std::error::Error for ClaimError {}
impl std::error::Error for CannotResume {}

impl From<LockError> for PublishError {
    fn from(error: LockError) -> Self {
        PublishError::Lock(error)
    }
}

impl From<LockError> for SubscribeError {
    fn from(error: LockError) -> Self {
        SubscribeError::Lock(error)
    }
}

impl From<LockError> for EnterError {
    fn from(error: LockError) -> Self {
        EnterError::Lock(error)
    }
}

impl From<LockError> for ClaimError {
    fn from(error: LockError) -> Self {
        ClaimError::Lock(error)
    }
}
