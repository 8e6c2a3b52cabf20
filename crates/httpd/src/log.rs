//! The error log. A message is never a format string: httpd's variadic loggers get `"%s"` and the text.

use std::ffi::{CStr, CString, c_int};

use httpd_sys as sys;
use sys::port::level_is_always_logged;

use crate::apr::Status;
use crate::module::Module;
use crate::request::Request;
use crate::server::Server;
use crate::upgraded::Upgraded;

/// What httpd shows as the source file of a line.
pub(crate) const FILE: &CStr = c"mod_websocket";
/// Has what C code prints to `stderr` written by each call, not when a buffer is full or the process ends: httpd has opened
/// it anew, as a file, which buffers, and a fork doubles what the buffer holds.
pub fn write_standard_error_at_once() {
    unsafe extern "C" {
        static mut stderr: *mut libc::FILE;
    }
    // SAFETY: the C library's own stream, which is open as long as the process, and locked in each of these calls.
    unsafe {
        libc::fflush(stderr);
        libc::setvbuf(stderr, std::ptr::null_mut(), libc::_IONBF, 0);
    }
}

/// `LogLevel`, by its names.
#[derive(Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Level {
    Emerg = sys::APLOG_EMERG as isize,
    Alert = sys::APLOG_ALERT as isize,
    Crit = sys::APLOG_CRIT as isize,
    Error = sys::APLOG_ERR as isize,
    Warn = sys::APLOG_WARNING as isize,
    Notice = sys::APLOG_NOTICE as isize,
    Info = sys::APLOG_INFO as isize,
    Debug = sys::APLOG_DEBUG as isize,
    Trace1 = sys::APLOG_TRACE1 as isize,
    Trace4 = sys::APLOG_TRACE4 as isize,
    Trace8 = sys::APLOG_TRACE8 as isize,
}

/// What a line belongs to: its prefix, and whose LogLevel counts.
pub enum Subject<'a> {
    /// A request that has not been upgraded.
    Request(&'a Request<'a>),
    /// A WebSocket; the caller holds its transport.
    Upgraded(&'a Upgraded),
    /// A server or virtual host.
    Server(Server<'a>),
    /// The process, before there is a server.
    Process,
}

/// Logs one line under `module`. `text` is only made when LogLevel lets the line through.
pub fn log(
    module: &Module,
    subject: &Subject<'_>,
    level: Level,
    status: Status,
    text: impl FnOnce() -> String,
) {
    if !is_logged(module, subject, level) {
        return;
    }
    // A NUL would end the line for C; nobody else's text may do that.
    let text = CString::new(text().replace('\0', "\u{fffd}")).unwrap_or_default();
    let (file, format) = (FILE.as_ptr(), c"%s".as_ptr());
    let (index, level, status) = (module.index(), level as c_int, status.as_raw());
    // SAFETY: the subject is live, the format takes exactly the one string that follows it.
    unsafe {
        match subject {
            Subject::Request(request) => {
                sys::ap_log_rerror_(
                    file,
                    0,
                    index,
                    level,
                    status,
                    request.as_raw(),
                    format,
                    text.as_ptr(),
                );
            }
            Subject::Upgraded(upgraded) => {
                sys::ap_log_rerror_(
                    file,
                    0,
                    index,
                    level,
                    status,
                    upgraded.request_raw(),
                    format,
                    text.as_ptr(),
                );
            }
            Subject::Server(server) => {
                sys::ap_log_error_(
                    file,
                    0,
                    index,
                    level,
                    status,
                    server.as_raw(),
                    format,
                    text.as_ptr(),
                );
            }
            Subject::Process => {
                sys::ap_log_error_(
                    file,
                    0,
                    index,
                    level,
                    status,
                    std::ptr::null(),
                    format,
                    text.as_ptr(),
                );
            }
        }
    }
}

/// Whether LogLevel lets a line through.
pub fn is_logged(module: &Module, subject: &Subject<'_>, level: Level) -> bool {
    let level = level as c_int;
    if level_is_always_logged(level) {
        return true;
    }
    // SAFETY: the subject is live; the functions only read it.
    let allowed = unsafe {
        match subject {
            Subject::Request(request) => {
                sys::ap_get_request_module_loglevel(request.as_raw(), module.index())
            }
            Subject::Upgraded(upgraded) => {
                sys::ap_get_request_module_loglevel(upgraded.request_raw(), module.index())
            }
            Subject::Server(server) => {
                sys::ap_get_server_module_loglevel(server.as_raw(), module.index())
            }
            Subject::Process => return true,
        }
    };
    allowed >= level
}
