//! `set_timer`.

use std::ffi::{c_int, c_uint};
use std::time::{Duration, Instant};

use websocket_plugin::abi::WebSocketServer;

use crate::arguments::with;
use crate::served::Served;

/// Milliseconds that `set_timer` takes: a day.
const LONGEST: c_uint = 24 * 60 * 60 * 1000;

pub(crate) unsafe extern "C" fn set_timer<C: Served>(
    server: *const WebSocketServer,
    milliseconds: c_uint,
) -> c_int {
    // SAFETY: a plugin passes the table that it was given.
    unsafe {
        with(server, 0, |connection: &C| {
            if milliseconds > LONGEST {
                connection.log_misuse(&"set_timer with more than a day");
                return 0;
            }
            if !connection.has_on_timer() {
                connection.log_misuse(&"set_timer without an on_timer");
                return 0;
            }
            let time = Duration::from_millis(milliseconds.into());
            let time = (!time.is_zero()).then(|| Instant::now() + time);
            c_int::from(connection.session().set_timer(time))
        })
    }
}
