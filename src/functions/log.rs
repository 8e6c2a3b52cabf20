//! What a plugin logs, of a connection or of its process.

use std::ffi::{CStr, c_char, c_int};

use httpd::guard::guard;
use httpd::log::Subject;
use httpd::server::Server;
use websocket_plugin::abi::{self, WebSocketServer};

use super::arguments::{text, with};
use crate::log::{Level, Tag};

pub(super) unsafe extern "C" fn log(
    server: *const WebSocketServer,
    level: c_int,
    line: *const c_char,
) {
    // SAFETY: a plugin passes the table that it was given, and a terminated string or NULL.
    unsafe {
        with(server, (), |connection| {
            if let Some(line) = text(line) {
                connection.log(level_of(level), Tag::PluginSays, || line_of(line));
            }
        });
    }
}

pub(super) unsafe extern "C" fn process_log(
    _: *const WebSocketServer,
    level: c_int,
    line: *const c_char,
) {
    // SAFETY: a plugin passes a terminated string or NULL.
    let line = unsafe { text(line) };
    guard((), || {
        let subject = Server::main().map_or(Subject::Process, Subject::Server);
        if let Some(line) = line {
            crate::log::log(&subject, level_of(level), Tag::PluginSays, || line_of(line));
        }
    });
}

fn level_of(level: c_int) -> Level {
    match level {
        ..=abi::WEBSOCKET_LOG_ERROR => Level::Error,
        abi::WEBSOCKET_LOG_WARNING => Level::Warn,
        abi::WEBSOCKET_LOG_NOTICE => Level::Notice,
        abi::WEBSOCKET_LOG_INFO => Level::Info,
        abi::WEBSOCKET_LOG_DEBUG => Level::Debug,
        _ => Level::Trace1,
    }
}

/// A plugin's line; httpd escapes what is not printable, and cuts what is too long.
fn line_of(line: &CStr) -> String {
    line.to_string_lossy().into_owned()
}
