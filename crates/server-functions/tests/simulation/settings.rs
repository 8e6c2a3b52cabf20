//! How one connection of a child is made.

use std::time::Duration;

use session::Config;
use websocket_proto::{ProtocolVersion, ReservedCloseCodes};

use crate::chance::Chance;

/// What is decided before a WebSocket opens.
pub struct Settings {
    pub config: Config,
    /// The server's end of the connection has a layer above it that works in records and keeps output back.
    pub is_layered: bool,
    /// One thread is with the WebSocket to its end, and polls, instead of workers that get edges.
    pub is_blocking: bool,
    pub workers: u64,
    /// The layer breaks at so many bytes of output.
    pub layer_breaks_at: Option<u64>,
}

impl Settings {
    pub fn draw(chance: &mut Chance) -> Self {
        let millis = |millis| Duration::from_millis(millis);
        let never = Duration::ZERO;
        let config = Config {
            version: ProtocolVersion::V13,
            max_message_size: 1 << 20,
            reserved_close_codes: ReservedCloseCodes::Refuse,
            send_buffer: [1, 300, 2_000, 20_000][chance.below(4) as usize],
            send_timeout: millis([500, 5_000][chance.below(2) as usize]),
            close_timeout: millis([300, 2_000][chance.below(2) as usize]),
            ping_interval: never,
            pong_timeout: never,
            idle_timeout: never,
            message_timeout: never,
            max_lifetime: never,
            rate_limit: None,
        };
        Settings {
            config,
            is_layered: chance.percent(30),
            is_blocking: chance.percent(25),
            workers: chance.within(1, 2),
            layer_breaks_at: None,
        }
    }
}
