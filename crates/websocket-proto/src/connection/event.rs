use std::ops::{Deref, DerefMut};

use crate::close::CloseFrame;
use crate::error::ProtocolError;
use crate::message::{ControlPayload, MessageKind};

/// What the [`ReceivingHalf`](super::ReceivingHalf) has made of its input.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A whole message.
    Message {
        /// Text or binary.
        kind: MessageKind,
        /// Its bytes; a text's are UTF-8.
        payload: Payload<'a>,
    },
    /// A Ping, to be answered by a Pong with the same payload (RFC 6455 §5.5.2).
    Ping(ControlPayload),
    /// A Pong (RFC 6455 §5.5.3).
    Pong(ControlPayload),
    /// A Close, to be answered unless one was sent already (RFC 6455 §5.5.1). The last event.
    Close(Option<CloseFrame>),
    /// The peer broke the protocol: fail the connection (RFC 6455 §7.1.7). The last event.
    Failed(ProtocolError),
}

/// The bytes of a message: borrowed from the input or, when they had to be collected, owned.
#[derive(Debug)]
pub enum Payload<'a> {
    /// A frame that lay whole in the input, unmasked in its place.
    Borrowed(&'a mut [u8]),
    /// Anything else; [`ReceivingHalf::recycle`](super::ReceivingHalf::recycle) takes it back.
    Owned(Vec<u8>),
}

impl Deref for Payload<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Payload::Borrowed(bytes) => bytes,
            Payload::Owned(bytes) => bytes,
        }
    }
}

impl DerefMut for Payload<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Payload::Borrowed(bytes) => bytes,
            Payload::Owned(bytes) => bytes,
        }
    }
}

impl PartialEq for Payload<'_> {
    fn eq(&self, other: &Payload<'_>) -> bool {
        **self == **other
    }
}

impl Eq for Payload<'_> {}
