//! `set_timer`.

use std::ffi::{c_int, c_uint};
use std::time::{Duration, Instant};

use websocket_plugin::abi::WebSocketServer;

use super::arguments::with;

/// Milliseconds that `set_timer` takes: a day.
const LONGEST_TIMER: c_uint = 24 * 60 * 60 * 1000;

pub(super) unsafe extern "C" fn set_timer(
    server: *const WebSocketServer,
    milliseconds: c_uint,
) -> c_int {
    // SAFETY: a plugin passes the table that it was given.
    unsafe {
        with(server, 0, |connection| {
            if milliseconds > LONGEST_TIMER {
                connection.log_misuse(&"set_timer with more than a day");
                return 0;
            }
            let time = Duration::from_millis(milliseconds.into());
            let time = (!time.is_zero()).then(|| Instant::now() + time);
            c_int::from(connection.set_timer(time))
        })
    }
}
