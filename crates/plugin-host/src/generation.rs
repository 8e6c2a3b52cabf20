//! One load of the plugin: from its init function to its `destroy`, with the connections that it has accepted.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::time::Instant;

use loaded_plugin::Plugin;
use server_functions::{Level, Misuses, Process, ProcessTable, Topics};
use session::ClosedBy;
use session::sync::lock;
use websocket_proto::{CloseCode, CloseFrame};

use crate::command_line::{Options, Settings};
use crate::connection::Connection;
use crate::exchange::Exchange;
use crate::loading::{self, PrivateCopy};
use crate::running::{Begun, Running};
use crate::terminal::Terminal;

/// A loaded plugin, and what is open of it. When the last connection has gone, it ends: `child_stop`, `destroy`.
pub struct Generation {
    connections: Mutex<BTreeMap<u64, Weak<Connection>>>,
    has_changed: Condvar,
    options: Arc<Options>,
    process: ProcessTable<PluginProcess>,
    running: Arc<Running>,
    /// Before the copy: the file goes when nobody has it mapped.
    plugin: Plugin,
    /// After the plugin, which calls its `destroy` when it goes.
    destroying: Option<Begun>,
    _copy: Option<PrivateCopy>,
}

impl Generation {
    /// Loads the plugin, has it check its options, and begins.
    pub fn begin(
        settings: &Settings,
        running: &Arc<Running>,
        terminal: &Arc<Terminal>,
        exchange: &Arc<Exchange>,
    ) -> Result<Arc<Self>, String> {
        let options = Arc::new(settings.options.clone());
        let (plugin, copy) = {
            let _begun = running.begin("the init function", None);
            loading::load(&settings.file, &settings.init, settings.is_watched)?
        };
        let configuring = running.begin("configure", None);
        let pairs = options.iter().map(|(name, value)| (&**name, &**value));
        // SAFETY: nobody else has the plugin yet.
        unsafe { plugin.configure(pairs) }
            .map_err(|defect| format!("the plugin does not take its options: {defect}"))?;
        drop(configuring);
        let generation = Generation {
            connections: Mutex::default(),
            has_changed: Condvar::new(),
            process: ProcessTable::new(PluginProcess {
                options: Arc::clone(&options),
                terminal: Arc::clone(terminal),
                exchange: Arc::clone(exchange),
                misuses: Misuses::default(),
            }),
            options,
            running: Arc::clone(running),
            plugin,
            destroying: None,
            _copy: copy,
        };
        let generation = Arc::new(generation);
        let _begun = running.begin("child_start", None);
        // SAFETY: the first call; the table stays where it is until `drop` has called child_stop.
        unsafe { generation.plugin.child_start(generation.process.as_ptr()) };
        Ok(generation)
    }

    /// The plugin.
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// Its options.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// A callback begins, of this connection.
    pub fn begin_callback(&self, name: &'static str, connection: u64) -> Begun {
        self.running.begin(name, Some(connection))
    }

    /// A connection begins, whose plugin is about to be asked.
    pub fn add(&self, connection: &Arc<Connection>) {
        lock(&self.connections).insert(connection.number(), Arc::downgrade(connection));
    }

    /// The connection of this number, before its last callback.
    pub fn connection(&self, number: u64) -> Option<Arc<Connection>> {
        lock(&self.connections).get(&number)?.upgrade()
    }

    /// A connection has had its last callback.
    pub fn remove(&self, number: u64) {
        lock(&self.connections).remove(&number);
        self.has_changed.notify_all();
    }

    /// Closes every connection.
    pub fn close(&self, code: CloseCode) {
        for connection in self.open() {
            let frame = CloseFrame::from(code);
            connection.session().close(Some(&frame), ClosedBy::Stopping);
        }
    }

    /// Waits until each connection has had its last callback, or the time is over.
    pub fn wait(&self, deadline: Instant) {
        let mut connections = lock(&self.connections);
        while !connections.is_empty() && Instant::now() < deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            let waited = self.has_changed.wait_timeout(connections, left);
            connections = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }

    /// The connections that have not had their last callback.
    pub fn open(&self) -> Vec<Arc<Connection>> {
        let connections = lock(&self.connections);
        connections.values().filter_map(Weak::upgrade).collect()
    }
}

/// What the process does for its plugin.
struct PluginProcess {
    options: Arc<Options>,
    terminal: Arc<Terminal>,
    exchange: Arc<Exchange>,
    misuses: Misuses,
}

impl Process for PluginProcess {
    type Connection = Connection;

    fn option(&self, name: &CStr) -> Option<&CStr> {
        self.options.get(name).map(CString::as_c_str)
    }

    fn log(&self, level: Level, line: &CStr) {
        self.terminal.say(level, &line.to_string_lossy());
    }

    fn topics(&self) -> &dyn Topics {
        &*self.exchange
    }

    fn log_misuse(&self, reason: &dyn fmt::Display) {
        if self.misuses.is_new(&reason.to_string()) {
            let line = format_args!(
                "WS0401: the plugin's call was refused: {reason} (said once for each process)"
            );
            self.terminal.say(Level::Warning, &line);
        }
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        let stopping = self.running.begin("child_stop", None);
        // SAFETY: once, after child_start; each connection owns its generation, so that the last on_disconnect is over.
        unsafe { self.plugin.child_stop(true) };
        drop(stopping);
        self.destroying = Some(self.running.begin("destroy", None));
    }
}
