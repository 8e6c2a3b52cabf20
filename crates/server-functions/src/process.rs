//! The table of a process, and the functions that work without a connection.

use std::ffi::{CStr, c_char, c_int, c_long, c_uchar, c_uint, c_void};
use std::ptr;

use websocket_plugin::abi::{self, WebSocketServer, WsMember};

use crate::arguments::{connection, guard, pointer, text};
use crate::served::{Level, Process, Served};
use crate::table::table;
use crate::topics::{self, Caller};

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
                publish: Some(publish::<P>),
                topic_count: Some(topic_count::<P>),
                topic_members: Some(topic_members::<P>),
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
/// `server` is NULL, the table of a [`ProcessTable`] of `P`, or one of a connection of its: a plugin may keep a function of the one
/// and call it with the other.
unsafe fn with_process<P: Process, T: Copy>(
    server: *const WebSocketServer,
    fallback: T,
    body: impl FnOnce(&P) -> T,
) -> T {
    // SAFETY: the caller's promise; a process's table has no connection.
    if let Some(connection) = unsafe { connection::<P::Connection>(server) } {
        let reason = "a function of the process's table is called with a connection's";
        return guard(fallback, || {
            connection.log_misuse(&reason);
            fallback
        });
    }
    // SAFETY: the caller's promise; the table is a `ProcessTable`'s first member.
    let table = unsafe { server.cast::<ProcessTable<P>>().as_ref() };
    table.map_or(fallback, |table| guard(fallback, || body(&table.process)))
}

/// Runs `body` with the process whose table a plugin passes, and with the string.
///
/// # Safety
/// As [`with_process`], and `string` is NULL or terminated.
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

/// Calls `body` with a process as a caller.
fn by<T>(process: &impl Process, body: impl FnOnce(&Caller<'_>) -> T) -> T {
    body(&Caller {
        topics: process.topics(),
        gather: &|_| false,
        log_misuse: &|reason| process.log_misuse(reason),
    })
}

unsafe extern "C" fn option_get<P: Process>(
    server: *const WebSocketServer,
    name: *const c_char,
) -> *const c_char {
    // SAFETY: this is a function of processes' tables, which `with_process` looks at, and a plugin passes a terminated string or NULL.
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

unsafe extern "C" fn publish<P: Process>(
    server: *const WebSocketServer,
    name: *const c_char,
    message_type: c_int,
    buffer: *const c_uchar,
    buffer_size: usize,
    flags: c_uint,
    id: *mut c_char,
) -> c_int {
    // SAFETY: this is a function of processes' tables, which `with_process` looks at; the rest as `Caller::publish` wants it.
    unsafe {
        with_process(server, abi::WEBSOCKET_TOPIC_CLOSED, |process: &P| {
            let message = (message_type, buffer, buffer_size);
            by(process, |caller| {
                caller.publish(name, message, flags, 0, id)
            })
        })
    }
}

unsafe extern "C" fn topic_count<P: Process>(
    server: *const WebSocketServer,
    name: *const c_char,
    scope: c_int,
) -> c_long {
    // SAFETY: this is a function of processes' tables, which `with_process` looks at; a terminated string or NULL.
    unsafe {
        with_process(server, abi::WEBSOCKET_TOPIC_CLOSED.into(), |process: &P| {
            by(process, |caller| caller.count(name, scope))
        })
    }
}

unsafe extern "C" fn topic_members<P: Process>(
    server: *const WebSocketServer,
    name: *const c_char,
    each: WsMember,
    data: *mut c_void,
) -> c_long {
    let mut members = Vec::new();
    // SAFETY: this is a function of processes' tables, which `with_process` looks at; a terminated string or NULL.
    let count = unsafe {
        with_process(server, abi::WEBSOCKET_TOPIC_CLOSED.into(), |process: &P| {
            by(process, |caller| caller.list(name, &mut members))
        })
    };
    // SAFETY: the plugin gives a function and what belongs to it.
    unsafe { topics::tell_members(&members, each, data) };
    count
}
