//! `WebSocketMessageMemory`: what the unfinished messages of one child may take together.

use std::ffi::CStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use httpd::apr::Pool;
use httpd::log::Subject;
use httpd::server::Server;
use websocket_proto::MessageBudget;

use crate::configuration::config::Config;
use crate::log::{self, Level, Tag};
use crate::symbol::websocket_module;

const LARGEST: &CStr = c"mod_websocket.largest_message";

/// A scope has this WebSocketMaxMessageSize; `pool` is the configuration's.
pub fn note_size(pool: Pool<'_>, size: u64) {
    let largest: &AtomicU64 = pool.kept(LARGEST, AtomicU64::default);
    largest.fetch_max(size, Ordering::Relaxed);
}

/// The largest WebSocketMaxMessageSize that the configuration has; 0 when it has none. Those of .htaccess files are not
/// in it.
fn largest(pool: Pool<'_>) -> u64 {
    let noted = pool.find::<AtomicU64>(LARGEST);
    noted.map_or(0, |largest| largest.load(Ordering::Relaxed))
}

/// What a child that begins has for its unfinished messages.
pub fn budget(server: Server<'_>, config: &Config) -> Arc<MessageBudget> {
    let memory = config.message_memory(largest(server.config_pool()));
    Arc::new(MessageBudget::new(memory))
}

/// Warns at start-up when a message that WebSocketMaxMessageSize allows finds no room even if it is alone.
pub fn check(server: Server<'_>) {
    let config = server.config::<Config>(&websocket_module);
    let Some(memory) = config.and_then(|config| config.message_memory) else {
        return;
    };
    let largest = match largest(server.config_pool()) {
        0 => Config::DEFAULT_MAX_MESSAGE_SIZE,
        size => size,
    };
    // One message has at most half.
    let enough = largest.saturating_mul(2);
    if (memory as u64) < enough {
        log::log(
            &Subject::Server(server),
            Level::Warn,
            Tag::LittleMessageMemory,
            || {
                format!(
                    "WebSocketMessageMemory {memory} has no room for a message of {largest} bytes, which \
                     WebSocketMaxMessageSize allows and which takes up to half of it: {enough} would be enough"
                )
            },
        );
    }
}
