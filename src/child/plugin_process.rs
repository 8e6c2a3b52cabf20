//! What a child does for a plugin that calls without a connection, from `child_start` on.

use std::ffi::{CStr, CString};
use std::fmt;
use std::sync::Arc;

use httpd::log::Subject;
use httpd::server::Server;
use server_functions::{self as functions, Misuses, Process, Topics};

use crate::log::{self, Level, Tag};
use crate::plugin::Options;
use crate::topics::Exchange;
use crate::websocket::connection::Connection;

/// This process, as one plugin sees it.
pub struct PluginProcess {
    options: Options,
    /// The options of the plugin's that stand in sections, where it does not see them here: name and place.
    elsewhere: Vec<(CString, String)>,
    exchange: Arc<Exchange>,
    misuses: Misuses,
}

impl PluginProcess {
    /// For a plugin that has these options. `elsewhere`: those that it has in sections only, with their places.
    pub fn new(
        options: Options,
        elsewhere: Vec<(CString, String)>,
        exchange: &Arc<Exchange>,
    ) -> Self {
        PluginProcess {
            options,
            elsewhere,
            exchange: Arc::clone(exchange),
            misuses: Misuses::default(),
        }
    }

    /// Says that an option which the plugin asks for is set, but where a process does not see it.
    fn warn_of(&self, wanted: &CStr) {
        let mut elsewhere = self.elsewhere.iter();
        let Some((name, place)) = elsewhere.find(|(name, _)| name.as_c_str() == wanted) else {
            return;
        };
        log::log(&subject(), Level::Warn, Tag::OptionUnread, || {
            let name = name.to_string_lossy();
            format!(
                "{place}: the plugin asks for the option {name} for the whole process, where it is not set; \
                 WebSocketProcessOption sets it there"
            )
        });
    }
}

impl Process for PluginProcess {
    type Connection = Connection;

    fn option(&self, name: &CStr) -> Option<&CStr> {
        let value = self.options.get(name);
        if value.is_none() {
            self.warn_of(name);
        }
        value
    }

    fn log(&self, level: functions::Level, line: &CStr) {
        log::log(&subject(), log::of_plugin(level), Tag::PluginSays, || {
            line.to_string_lossy().into_owned()
        });
    }

    fn topics(&self) -> &dyn Topics {
        &*self.exchange
    }

    fn log_misuse(&self, reason: &dyn fmt::Display) {
        let reason = reason.to_string();
        if self.misuses.is_new(&reason) {
            log::log(&subject(), Level::Warn, Tag::Misuse, || {
                format!("the plugin's call was refused: {reason} (said once for each process)")
            });
        }
    }
}

fn subject() -> Subject<'static> {
    Server::main().map_or(Subject::Process, Subject::Server)
}
