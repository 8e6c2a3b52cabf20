//! What a plugin logs.

use std::ffi::{c_char, c_int};

use websocket_plugin::abi::WebSocketServer;

use crate::arguments::{text, with};
use crate::served::{Level, Served};

pub(crate) unsafe extern "C" fn log<C: Served>(
    server: *const WebSocketServer,
    level: c_int,
    line: *const c_char,
) {
    // SAFETY: a plugin passes the table that it was given, and a terminated string or NULL.
    unsafe {
        with(server, (), |connection: &C| {
            if let Some(line) = text(line) {
                connection.log(Level::of(level), line);
            }
        });
    }
}
