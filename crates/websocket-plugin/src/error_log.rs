//! The way to httpd's ErrorLog: for lines of the `log` crate, for panics, and for our own notes.

use core::ffi::c_int;
use core::fmt;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::ffi::CString;
use std::io::{self, Write};
use std::panic::{self, PanicHookInfo};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread;

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::abi::{
    WEBSOCKET_LOG_DEBUG, WEBSOCKET_LOG_ERROR, WEBSOCKET_LOG_INFO, WEBSOCKET_LOG_TRACE,
    WEBSOCKET_LOG_WARNING,
};
use crate::callback::Callback;
use crate::process::Process;

/// Makes this shared object's log lines and panics go to the ErrorLog.
///
/// A logger that the plugin has installed itself stays.
pub(crate) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        if log::set_logger(&ErrorLog).is_ok() {
            // What is too much, httpd's LogLevel sorts out.
            log::set_max_level(LevelFilter::Trace);
        }
        // Neither the box nor what it calls takes memory, so nothing is lost when httpd unloads the
        // shared object.
        panic::set_hook(Box::new(log_panic));
    });
}

/// From now on, and until [`remove`], lines that belong to no callback go to this process's log.
pub(crate) fn add(process: Process) {
    processes().push(process);
}

/// Takes a process away, if it is there.
pub(crate) fn remove(process: &Process) {
    let mut processes = processes();
    processes.retain(|other| !other.is(process));
    if processes.is_empty() {
        // A static is not dropped when httpd unloads the shared object.
        *processes = Vec::new();
    }
}

/// Writes a line that belongs to the running callback, at level error.
pub(crate) fn error(text: fmt::Arguments<'_>) {
    write(Level::Error, text);
}

/// Those that have started and not stopped: more than one when a shared object exports several
/// plugins.
static PROCESSES: Mutex<Vec<Process>> = Mutex::new(Vec::new());

fn processes() -> MutexGuard<'static, Vec<Process>> {
    PROCESSES.lock().unwrap_or_else(PoisonError::into_inner)
}

struct ErrorLog;

impl Log for ErrorLog {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        write(
            record.level(),
            format_args!("{}: {}", record.target(), record.args()),
        );
    }

    fn flush(&self) {}
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let payload = panic.payload();
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no text)");
    let place = panic.location().map(ToString::to_string);
    let place = place.as_deref().unwrap_or("an unknown place");
    // The name of a thread of httpd's says nothing, and asking for it leaves something behind.
    if Callback::running().is_some() {
        error(format_args!("panicked at {place}: {text}"));
    } else {
        let thread = thread::current();
        let name = thread.name().unwrap_or("without a name");
        error(format_args!("thread {name} panicked at {place}: {text}"));
    }
    // When RUST_BACKTRACE asks for it.
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        let _ = io::stderr().write_all(backtrace.to_string().as_bytes());
    }
}

/// Writes one line: to the log of the connection whose callback runs on this thread, else to the
/// process's, else to standard error.
fn write(level: Level, text: fmt::Arguments<'_>) {
    // A C string ends at a NUL.
    let text = text.to_string().replace('\0', "\\0");
    let Ok(line) = CString::new(text) else {
        return;
    };
    let number = level_number(level);
    if let Some(host) = Callback::running().and_then(|callback| callback.host()) {
        // SAFETY: the callback runs on this thread, so its table is alive.
        unsafe { host.log(number, &line) };
        return;
    }
    let process = processes().last().cloned();
    if process.is_some_and(|process| process.log(number, &line)) {
        return;
    }
    // There is no LogLevel here, so the lines for a plugin's author are left out.
    if level <= Level::Info {
        // One write, or lines of several threads mix; and not eprintln, which panics when it fails.
        let line = format!(
            "websocket plugin: {}: {}\n",
            level.as_str().to_ascii_lowercase(),
            line.to_string_lossy()
        );
        let _ = io::stderr().write_all(line.as_bytes());
    }
}

fn level_number(level: Level) -> c_int {
    match level {
        Level::Error => WEBSOCKET_LOG_ERROR,
        Level::Warn => WEBSOCKET_LOG_WARNING,
        Level::Info => WEBSOCKET_LOG_INFO,
        Level::Debug => WEBSOCKET_LOG_DEBUG,
        Level::Trace => WEBSOCKET_LOG_TRACE,
    }
}
