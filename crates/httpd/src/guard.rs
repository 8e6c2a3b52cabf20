//! The one way from C into Rust: no panic crosses it.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `body`, the whole of an `extern "C"` function, and gives `fallback` (that function's fail-closed value)
/// when it panics. The panic itself is logged by the hook that [`log_panics`] installs.
pub fn guard<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(fallback)
}

/// Sends the text of every later panic of this DSO to `log`. Called once when the module is loaded; the hook
/// is part of the DSO's own standard library and goes with it.
pub fn log_panics(log: fn(&str)) {
    std::panic::set_hook(Box::new(move |panic| {
        let payload = panic.payload();
        let text = match payload.downcast_ref::<&str>() {
            Some(text) => text,
            None => payload
                .downcast_ref::<String>()
                .map_or("(no text)", String::as_str),
        };
        match panic.location() {
            Some(place) => log(&format!("{text} at {}:{}", place.file(), place.line())),
            None => log(text),
        }
    }));
}
