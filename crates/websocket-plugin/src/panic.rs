//! Where panics end.

use core::mem;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs code of the plugin's for a callback of `init`'s. `None` when it panicked, which is logged.
///
/// Whoever calls this must not use what `f` borrowed as if it were whole.
pub(crate) fn guard<T>(init: &str, callback: &str, f: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(value) => Some(value),
        Err(payload) => {
            // The payload is the plugin's too, and may panic when it is dropped; what comes of that
            // is leaked, for this has to end somewhere.
            if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                mem::forget(another);
            }
            note(init, format_args!("panic in {callback}"));
            None
        }
    }
}

/// One line for httpd's ErrorLog. The panic hook has written its own before.
pub(crate) fn note(init: &str, text: impl core::fmt::Display) {
    // One write, or lines of several threads mix; and not eprintln, which panics when it fails.
    let line = format!("websocket plugin {init}: {text}\n");
    let _ = io::stderr().write_all(line.as_bytes());
}
