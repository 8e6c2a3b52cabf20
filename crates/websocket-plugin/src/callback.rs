//! Callbacks while they run: where panics end.

use core::cell::Cell;
use core::fmt;
use core::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error_log;
use crate::host::Host;

thread_local! {
    // Without a destructor: a thread that had one to run would keep the shared object from being
    // unloaded.
    static RUNNING: Cell<Option<Callback>> = const { Cell::new(None) };
}

/// A call that the server makes to the plugin.
#[derive(Clone, Copy)]
pub(crate) struct Callback {
    init: &'static str,
    name: &'static str,
    host: Option<Host>,
    connection: Option<Identity>,
}

/// Tells a connection from all others that somebody still has a sender of: the address of what its senders share. A
/// server's table says less, since the next connection may have its memory.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) struct Identity(pub(crate) *const ());

impl Callback {
    /// A callback that has to do without server functions.
    pub(crate) const fn new(init: &'static str, name: &'static str) -> Self {
        Self {
            init,
            name,
            host: None,
            connection: None,
        }
    }

    /// A callback of a process.
    ///
    /// # Safety
    /// The table of `host` is alive as long as this value is used, which is on the callback's
    /// thread.
    pub(crate) const unsafe fn of(host: Host, init: &'static str, name: &'static str) -> Self {
        Self {
            init,
            name,
            host: Some(host),
            connection: None,
        }
    }

    /// A callback of a connection.
    ///
    /// # Safety
    /// As [`of`](Self::of).
    pub(crate) unsafe fn of_connection(
        host: Host,
        connection: Identity,
        init: &'static str,
        name: &'static str,
    ) -> Self {
        Self {
            init,
            name,
            host: Some(host),
            connection: Some(connection),
        }
    }

    /// The callback that this thread runs, if any.
    pub(crate) fn running() -> Option<Self> {
        RUNNING.get()
    }

    /// The server functions that it has.
    pub(crate) fn host(&self) -> Option<Host> {
        self.host
    }

    /// Whether it is one of this connection.
    pub(crate) fn is_of(&self, connection: Identity) -> bool {
        self.connection == Some(connection)
    }

    /// Runs foreign code on the way of what must go on. A panic is logged as the running callback's.
    pub(crate) fn shelter(name: &'static str, f: impl FnOnce()) {
        let callback = Self::running().unwrap_or(Self::new("a plugin", name));
        Self { name, ..callback }.run(f);
    }

    /// Runs code of the plugin's. `None` when it panicked, which is logged.
    ///
    /// Whoever calls this must not use what `f` borrowed as if it were whole.
    pub(crate) fn run<T>(self, f: impl FnOnce() -> T) -> Option<T> {
        let outer = RUNNING.replace(Some(self));
        let result = catch_unwind(AssertUnwindSafe(f)).map_err(|payload| {
            // The payload is the plugin's too, and may panic when it is dropped; what comes of that
            // is leaked, for this has to end somewhere.
            if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                mem::forget(another);
            }
            self.note(format_args!("panic in {}", self.name));
        });
        RUNNING.set(outer);
        result.ok()
    }

    /// Logs an error of this callback's.
    pub(crate) fn note(self, text: impl fmt::Display) {
        let outer = RUNNING.replace(Some(self));
        note(text);
        RUNNING.set(outer);
    }
}

/// Logs an error of the callback that this thread runs.
pub(crate) fn note(text: impl fmt::Display) {
    match Callback::running() {
        Some(callback) => error_log::error(format_args!("{}: {text}", callback.init)),
        None => error_log::error(format_args!("{text}")),
    }
}
