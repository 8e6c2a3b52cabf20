//! The table of a process.

use std::ffi::{CStr, CString, c_char};
use std::ptr;

use httpd::guard::guard;
use httpd::log::Subject;
use httpd::server::Server;
use websocket_plugin::abi::WebSocketServer;

use super::arguments::text;
use super::log::process_log;
use super::table::table;
use crate::log::{self, Level, Tag};
use crate::plugin::Options;

/// The table that a plugin gets in `child_start`. It stands for the process: what concerns a connection refuses.
#[repr(C)]
pub struct ProcessTable {
    /// First, so that its address is the whole's.
    table: WebSocketServer,
    options: Options,
    /// The options of the plugin's that stand in sections, where it does not see them here: name and place.
    elsewhere: Vec<(CString, String)>,
}

// SAFETY: its functions may be called on any thread, and its state is NULL.
unsafe impl Send for ProcessTable {}
// SAFETY: as above.
unsafe impl Sync for ProcessTable {}

impl ProcessTable {
    /// The table of a process, for a plugin that has these options there. `elsewhere`: those that it has in sections
    /// only, with their places.
    pub fn new(options: Options, elsewhere: Vec<(CString, String)>) -> Self {
        ProcessTable {
            table: WebSocketServer {
                option_get: Some(process_option_get),
                log: Some(process_log),
                ..table(ptr::null())
            },
            options,
            elsewhere,
        }
    }

    /// What the plugin sees.
    pub fn as_ptr(&self) -> *const WebSocketServer {
        ptr::from_ref(self).cast()
    }

    /// Says that an option which the plugin asks for is set, but where a process does not see it.
    fn warn_of(&self, wanted: &CStr) {
        let mut elsewhere = self.elsewhere.iter();
        let Some((name, place)) = elsewhere.find(|(name, _)| name.as_c_str() == wanted) else {
            return;
        };
        let subject = Server::main().map_or(Subject::Process, Subject::Server);
        log::log(&subject, Level::Warn, Tag::OptionUnread, || {
            let name = name.to_string_lossy();
            format!(
                "{place}: the plugin asks for the option {name} for the whole process, where it is not set; \
                 WebSocketProcessOption sets it there"
            )
        });
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
    let Some((process, name)) = process.zip(name) else {
        return ptr::null();
    };
    guard(ptr::null(), || {
        let value = process.options.get(name);
        if value.is_none() {
            process.warn_of(name);
        }
        value.map_or(ptr::null(), CStr::as_ptr)
    })
}
