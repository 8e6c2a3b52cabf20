//! What a connection and a process do for a plugin, when its calls have been checked.

use std::ffi::{CStr, CString, c_int};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Weak};

use session::{Environment, Receiver, Session};
use subscribers::{Attendance, Hub, Outlet, Terms};
use topics::{Log, Message, PublishError, Published};
use websocket_plugin::abi::{self, RequestRec};

use crate::pings::Pings;

/// A connection whose plugin calls. Its functions are called on any thread, if they do not say otherwise.
pub trait Served: Sync {
    /// The outside of its session.
    type Environment: Environment;

    /// What happens on it.
    fn session(&self) -> &Session<Self::Environment>;

    /// Has the processor fetch memory that is going to be used, if it can: addresses, of whatever is there.
    fn fetch(memory: Range<usize>) {
        let _ = memory;
    }

    /// httpd's request; NULL where there is none.
    fn request(&self) -> *mut RequestRec;

    /// The value of a header field of the request.
    ///
    /// # Safety
    /// Called for a plugin, which may use a connection's request from a callback only.
    unsafe fn header(&self, name: &CStr) -> Option<&CStr>;

    /// Sets a header field of the response, which may be set and has not been sent.
    ///
    /// # Safety
    /// As [`Served::header`].
    unsafe fn set_header(&self, name: &CStr, value: &CStr);

    /// The subprotocols that the client offers.
    fn subprotocols(&self) -> &[CString];

    /// Answers with this one of them.
    ///
    /// # Safety
    /// As [`Served::header`].
    unsafe fn set_subprotocol(&self, name: &CStr);

    /// The value of one of the plugin's options.
    fn option(&self, name: &CStr) -> Option<&CStr>;

    /// The value of a CGI variable.
    ///
    /// # Safety
    /// As [`Served::header`].
    unsafe fn variable(&self, name: &CStr) -> Option<&CStr>;

    /// Answers with this HTTP status (300 to 599) when the plugin refuses the connection, and with a body of its own:
    /// media type and content.
    fn set_refusal(&self, status: u16, body: Option<(&CStr, &[u8])>);

    /// The same connection, kept until what others have given it is written; `None` when it is going.
    fn receiver(&self) -> Option<Arc<dyn Receiver>>;

    /// Whether the plugin has an `on_timer`.
    fn has_on_timer(&self) -> bool;

    /// The topics of its process.
    fn topics(&self) -> &dyn Topics;

    /// Its subscriptions.
    fn attendance(&self) -> &Attendance;

    /// What they go out by.
    fn outlet(&self) -> Weak<dyn Outlet>;

    /// How far back its subscriptions may go, and what becomes of slow ones.
    fn topic_terms(&self) -> Terms;

    /// Whether the plugin has an `on_topic`.
    fn has_on_topic(&self) -> bool;

    /// The plugin's pings; `None` when it does not want to know of their Pongs.
    fn pings(&self) -> Option<&Pings>;

    /// Logs a line of the plugin's.
    fn log(&self, level: Level, line: &CStr);

    /// Says what the plugin does wrong, once for each kind of mistake (see [`Misuses`](crate::Misuses)).
    fn log_misuse(&self, reason: &dyn fmt::Display);
}

/// A process whose plugin calls, on any thread.
pub trait Process: Sync {
    /// The connections that it serves.
    type Connection: Served;

    /// The value of one of the plugin's options, as the process sees it.
    fn option(&self, name: &CStr) -> Option<&CStr>;

    /// Logs a line of the plugin's.
    fn log(&self, level: Level, line: &CStr);

    /// The topics.
    fn topics(&self) -> &dyn Topics;

    /// Says what the plugin does wrong, once for each kind of mistake.
    fn log_misuse(&self, reason: &dyn fmt::Display);
}

/// The topics of a process. Called on any thread. An error is why there are none.
pub trait Topics: Sync {
    /// The log.
    fn log(&self) -> Result<Log<'static>, String>;

    /// The process's subscribers, to whom somebody delivers from now on.
    fn hub(&self) -> Result<Arc<Hub>, String>;

    /// The same, if there have been any.
    fn running(&self) -> Option<Arc<Hub>>;

    /// Publishes a message; `gather` as for [`Ringer::publish`](crate::Ringer::publish).
    fn publish(
        &self,
        message: &Message<'_>,
        gather: &dyn Fn(Arc<dyn Receiver>) -> bool,
    ) -> Result<Published, PublishError>;
}

/// How much a line matters to its plugin: `WEBSOCKET_LOG_…`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Level {
    Error,
    Warning,
    Notice,
    Info,
    Debug,
    Trace,
}

impl Level {
    /// The level that a plugin names; one that there is not counts as the next.
    pub(crate) fn of(level: c_int) -> Level {
        match level {
            ..=abi::WEBSOCKET_LOG_ERROR => Level::Error,
            abi::WEBSOCKET_LOG_WARNING => Level::Warning,
            abi::WEBSOCKET_LOG_NOTICE => Level::Notice,
            abi::WEBSOCKET_LOG_INFO => Level::Info,
            abi::WEBSOCKET_LOG_DEBUG => Level::Debug,
            _ => Level::Trace,
        }
    }
}
