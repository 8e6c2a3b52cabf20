//! The table of a process, and the functions that work without a connection.

use std::ffi::{CStr, c_char, c_int};
use std::ptr;

use websocket_plugin::abi::WebSocketServer;

use crate::arguments::{guard, pointer, text};
use crate::served::{Level, Process};
use crate::table::table;
use crate::topics;

/// The table that a plugin gets in `child_start`. It stands for the process: what concerns a connection refuses.
#[repr(C)]
pub struct ProcessTable<P> {
    /// First, so that its address is the whole's.
    table: WebSocketServer,
    process: P,
}

// SAFETY: as for `ServerTable`; its state is NULL, and a `Process` is `Sync`.
unsafe impl<P: Process + Send> Send for ProcessTable<P> {}
// SAFETY: as above.
unsafe impl<P: Process> Sync for ProcessTable<P> {}

impl<P: Process> ProcessTable<P> {
    /// The table of `process`, which stays where it is while a plugin may use it.
    pub fn new(process: P) -> Self {
        ProcessTable {
            table: WebSocketServer {
                option_get: Some(option_get::<P>),
                log: Some(log::<P>),
                publish: Some(topics::publish_of_process::<P>),
                topic_count: Some(topics::topic_count_of_process::<P>),
                topic_members: Some(topics::topic_members_of_process::<P>),
                ..table::<P::Connection>(ptr::null())
            },
            process,
        }
    }

    /// What the plugin sees.
    pub fn as_ptr(&self) -> *const WebSocketServer {
        ptr::from_ref(self).cast()
    }
}

/// Runs `body` with the process whose table a plugin passes.
///
/// # Safety
/// `server` is NULL or the table of a [`ProcessTable`] of `P`.
pub(crate) unsafe fn with_process<P: Process, T: Copy>(
    server: *const WebSocketServer,
    fallback: T,
    body: impl FnOnce(&P) -> T,
) -> T {
    // SAFETY: the caller's promise; the table is a `ProcessTable`'s first member.
    let table = unsafe { server.cast::<ProcessTable<P>>().as_ref() };
    table.map_or(fallback, |table| guard(fallback, || body(&table.process)))
}

/// Runs `body` with the process whose table a plugin passes, and with the string.
///
/// # Safety
/// `server` is NULL or the table of a [`ProcessTable`] of `P`, and `string` is NULL or terminated.
unsafe fn with<P: Process, T: Copy>(
    server: *const WebSocketServer,
    string: *const c_char,
    fallback: T,
    body: impl FnOnce(&P, &CStr) -> T,
) -> T {
    // SAFETY: the caller's promise.
    unsafe {
        match text(string) {
            Some(string) => with_process(server, fallback, |process| body(process, string)),
            None => fallback,
        }
    }
}

unsafe extern "C" fn option_get<P: Process>(
    server: *const WebSocketServer,
    name: *const c_char,
) -> *const c_char {
    // SAFETY: only tables of processes have this function, and a plugin passes a terminated string or NULL.
    unsafe {
        with(server, name, ptr::null(), |process: &P, name| {
            pointer(process.option(name))
        })
    }
}

unsafe extern "C" fn log<P: Process>(
    server: *const WebSocketServer,
    level: c_int,
    line: *const c_char,
) {
    // SAFETY: as in `option_get`.
    unsafe {
        with(server, line, (), |process: &P, line| {
            process.log(Level::of(level), line);
        });
    }
}
