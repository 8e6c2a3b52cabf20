//! How the server of a seed is configured.

use std::sync::Arc;
use std::time::Duration;

use session::Config;
use websocket_proto::extension::permessage_deflate::{
    self, Agreed, CodecPool, PermessageDeflateConfig, WindowBits,
};
use websocket_proto::{ProtocolVersion, ReservedCloseCodes};

use crate::chance::Chance;

/// What is decided before the WebSocket opens.
pub struct Settings {
    pub config: Config,
    pub compression: Option<(Agreed, Arc<CodecPool>)>,
    /// The server's end of the connection has a layer above it that works in records and keeps output back.
    pub is_layered: bool,
    /// Threads of the application's own.
    pub threads: u64,
    /// The application sends messages in parts, one at a time: then a Close may come before a part that others wait for.
    pub sends_parts: bool,
    /// All of those begin with many messages at once.
    pub floods: bool,
    pub workers: u64,
    /// One thread is with the WebSocket to its end, and polls, instead of workers that get edges.
    pub is_blocking: bool,
    /// Nobody hears of the socket while a thread of the application's is in `send`, as if it were a callback of another session's,
    /// and all that wait for sockets were in such callbacks.
    pub is_deaf: bool,
    /// Who tells of what waits is late at times.
    pub is_late: bool,
    /// The layer breaks at so many bytes of output; no poller tells.
    pub layer_breaks_at: Option<u64>,
}

/// What a WebSocket may take beyond its timeouts: callbacks that sleep, and the network's delays.
const SLACK: Duration = Duration::from_millis(500);

impl Settings {
    /// Those of a seed.
    pub fn of(seed: u64) -> Self {
        let chance = &mut Chance::new(!seed);
        let millis = |chance: &mut Chance, choices: &[u64]| {
            let chosen = chance.below(choices.len() as u64) as usize;
            Duration::from_millis(choices[chosen])
        };
        let mut settings = Settings {
            config: Config {
                version: ProtocolVersion::V13,
                max_message_size: [500, 1 << 20][chance.below(2) as usize],
                reserved_close_codes: ReservedCloseCodes::Refuse,
                send_buffer: [1, 40, 400, 5_000][chance.below(4) as usize],
                send_timeout: millis(chance, &[500, 5_000]),
                close_timeout: millis(chance, &[300, 2_000]),
                ping_interval: millis(chance, &[0, 400, 4_000]),
                pong_timeout: millis(chance, &[300, 3_000]),
                idle_timeout: millis(chance, &[0, 0, 900, 10_000]),
                message_timeout: millis(chance, &[0, 0, 2_000]),
                max_lifetime: millis(chance, &[0, 0, 0, 3_000]),
                rate_limit: [None, None, None, Some((50, 3)), Some((5, 1))]
                    [chance.below(5) as usize],
            },
            compression: chance.percent(12).then(compression),
            is_layered: chance.percent(50),
            threads: chance.below(3),
            sends_parts: chance.percent(25),
            floods: false,
            workers: chance.within(1, 3),
            is_blocking: seed.is_multiple_of(4),
            is_deaf: false,
            is_late: seed % 16 == 1,
            layer_breaks_at: None,
        };
        // A part may have to wait for on_writable, which somebody has to hear that it is due.
        settings.is_deaf = matches!(seed % 16, 4 | 15) && !settings.sends_parts;
        if chance.percent(8) {
            settings.floods = true;
            settings.threads = 2;
            settings.config.send_buffer = 5_000;
        }
        if settings.is_layered && chance.percent(10) {
            settings.layer_breaks_at = Some(chance.below(2_000));
        }
        settings
    }

    /// How long a WebSocket may live on at most once its peer has fallen silent; `None` when pings are off, or a rate has what
    /// the peer has sent before wait to be read, which is a sign of life when it is.
    pub fn patience(&self) -> Option<Duration> {
        let config = &self.config;
        let is_watched = !config.ping_interval.is_zero()
            && !config.pong_timeout.is_zero()
            && config.rate_limit.is_none();
        is_watched.then(|| {
            // Output that waits for the peer is given its time first, and a closing handshake has one of its own.
            config.ping_interval
                + config.pong_timeout
                + config.send_timeout
                + config.close_timeout
                + SLACK
        })
    }
}

fn compression() -> (Agreed, Arc<CodecPool>) {
    // The smallest window: a compressor is made for each seed.
    let deflate = PermessageDeflateConfig {
        min_size: 20,
        max_window_bits: WindowBits::MIN,
        ..PermessageDeflateConfig::default()
    };
    let agreed = permessage_deflate::negotiate(
        std::iter::once("permessage-deflate; server_max_window_bits=9"),
        &deflate,
    );
    (agreed.expect("it is offered"), Arc::new(CodecPool::new(2)))
}
