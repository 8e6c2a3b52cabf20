//! The limits and times of a session.

use std::time::Duration;

use websocket_proto::{ProtocolVersion, ReservedCloseCodes};

/// What is agreed on, or configured, before a session begins.
#[derive(Clone, Debug)]
pub struct Config {
    /// The version of the protocol that the opening handshake has agreed on.
    pub version: ProtocolVersion,
    /// The largest message, in bytes, uncompressed.
    pub max_message_size: u64,
    /// Which close codes the peer and the application may send.
    pub reserved_close_codes: ReservedCloseCodes,
    /// Bytes that may wait in the outbox; callbacks may add as many again.
    pub send_buffer: usize,
    /// How long the peer may take no output.
    pub send_timeout: Duration,
    /// How long the closing handshake may take.
    pub close_timeout: Duration,
    /// After how long without input the peer is pinged; zero: never.
    pub ping_interval: Duration,
    /// How long it may show no sign of life after a ping; zero: for ever.
    pub pong_timeout: Duration,
    /// How long there may be no message, either way; zero: for ever.
    pub idle_timeout: Duration,
    /// How long a message may be unfinished; zero: for ever.
    pub message_timeout: Duration,
    /// How old the session may get, less up to a tenth; zero: any age.
    pub max_lifetime: Duration,
    /// Messages in a second, and at once.
    pub rate_limit: Option<(u32, u32)>,
}
