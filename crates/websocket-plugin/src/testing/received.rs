//! What a client of a world gets.

/// What a plugin has sent to a client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Received {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A part of a message; the last one ends it.
    Part {
        /// A text, or binary.
        is_text: bool,
        /// The part.
        payload: Vec<u8>,
        /// It is the last one.
        is_last: bool,
    },
    /// A ping.
    Ping(Vec<u8>),
    /// A pong.
    Pong(Vec<u8>),
    /// A Close, with a code and a reason, if it has any.
    Close(Option<u16>, String),
}
