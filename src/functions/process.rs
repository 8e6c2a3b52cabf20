//! The table of a process.

use std::ffi::{CStr, c_char};
use std::ptr;
use std::sync::Arc;

use websocket_plugin::abi::WebSocketServer;

use super::arguments::text;
use super::log::process_log;
use super::table::table;
use crate::plugin::Options;

/// The table that a plugin gets in `child_start`. It stands for the process: what concerns a connection refuses.
#[repr(C)]
pub struct ProcessTable {
    /// First, so that its address is the whole's.
    table: WebSocketServer,
    options: Arc<Options>,
}

// SAFETY: its functions may be called on any thread, and its state is NULL.
unsafe impl Send for ProcessTable {}
// SAFETY: as above.
unsafe impl Sync for ProcessTable {}

impl ProcessTable {
    /// The table of a process whose main server has these options.
    pub fn new(options: Arc<Options>) -> Self {
        ProcessTable {
            table: WebSocketServer {
                option_get: Some(process_option_get),
                log: Some(process_log),
                ..table(ptr::null())
            },
            options,
        }
    }

    /// What the plugin sees.
    pub fn as_ptr(&self) -> *const WebSocketServer {
        ptr::from_ref(self).cast()
    }
}

unsafe extern "C" fn process_option_get(
    server: *const WebSocketServer,
    name: *const c_char,
) -> *const c_char {
    // SAFETY: this function is in tables of `ProcessTable`s only, and a plugin passes the one that it was given.
    let process = unsafe { server.cast::<ProcessTable>().as_ref() };
    // SAFETY: a plugin passes a terminated string or NULL.
    let name = unsafe { text(name) };
    let value = process.zip(name).and_then(|(p, name)| p.options.get(name));
    value.map_or(ptr::null(), CStr::as_ptr)
}
