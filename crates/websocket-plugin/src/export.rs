//! A plugin's place, and the tables that stand for it.

use core::ffi::{CStr, c_uint};
use core::ptr;
use std::ffi::CString;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::abi::{WEBSOCKET_PLUGIN_VERSION_1, WebSocketPlugin};
use crate::callback::Callback;
use crate::plugin::{AnyPlugin, Plugin};
use crate::process::Process;
use crate::{callbacks, error_log};

/// The place of one exported plugin.
///
/// `on_connect` is given no pointer to the plugin's table, so the plugin has to stand in a static.
/// It does so from the init function to the last `destroy`; nothing else outlives a configuration.
pub struct Export {
    init: &'static str,
    current: RwLock<Current>,
}

struct Current {
    plugin: Option<Arc<dyn AnyPlugin>>,
    /// Handed out by the init function and not destroyed yet.
    tables: usize,
    /// Of these, those of which a child process has begun and not ended.
    processes: Vec<Process>,
    /// The first of them, which the plugin has.
    given: Option<Process>,
    /// `child_start` panicked.
    is_broken: bool,
}

impl Export {
    /// The place of the plugin whose init function has this name.
    pub const fn new(init: &'static str) -> Self {
        Self {
            init,
            current: RwLock::new(Current {
                plugin: None,
                tables: 0,
                processes: Vec::new(),
                given: None,
                is_broken: false,
            }),
        }
    }

    /// The name of the init function.
    pub(crate) fn init(&self) -> &'static str {
        self.init
    }

    /// The plugin, as long as it may be called.
    pub(crate) fn plugin(&self) -> Option<Arc<dyn AnyPlugin>> {
        let current = self.read();
        (!current.is_broken).then(|| current.plugin.clone())?
    }

    /// A table's child process begins. The plugin, for the first of them.
    pub(crate) fn start(&self, process: &Process) -> Option<Arc<dyn AnyPlugin>> {
        let mut current = self.write();
        current.processes.push(process.clone());
        if current.processes.len() > 1 {
            return None;
        }
        current.given = Some(process.clone());
        current.plugin.clone()
    }

    /// A table's child process is about to end. If others go on, so does what the plugin has, with one of their tables: its
    /// own is alive no longer than this. The plugin, for the last of them, whose timers have ended.
    pub(crate) fn stop(&self, process: &Process) -> Option<Arc<dyn AnyPlugin>> {
        let mut current = self.write();
        current.processes.retain(|other| !other.is(process));
        if let Some(other) = current.processes.first() {
            process.hand_over(other);
            return None;
        }
        // A static is not dropped when httpd unloads the shared object.
        current.processes = Vec::new();
        let given = current.given.take();
        let plugin = (!current.is_broken).then(|| current.plugin.clone());
        drop(current);
        if let Some(given) = given {
            given.stop_timers();
        }
        plugin?
    }

    /// The plugin must not be called any more.
    pub(crate) fn set_broken(&self) {
        self.write().is_broken = true;
    }

    /// Adds a table. The first one makes the plugin; `false` when that panicked.
    fn hold<P: Plugin>(&self, make: impl FnOnce() -> P) -> bool {
        let mut current = self.write();
        if current.plugin.is_none() {
            let made = Callback::new(self.init, "init").run(|| Arc::new(make()));
            let Some(plugin) = made else {
                return false;
            };
            current.plugin = Some(plugin);
        }
        current.tables += 1;
        true
    }

    /// Takes a table away, and the plugin with the last one.
    pub(crate) fn release(&self) {
        let mut current = self.write();
        current.tables = current.tables.saturating_sub(1);
        let last = if current.tables == 0 {
            current.is_broken = false;
            current.plugin.take()
        } else {
            None
        };
        drop(current);
        Callback::new(self.init, "destroy").run(|| drop(last));
    }

    fn read(&self) -> RwLockReadGuard<'_, Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Current> {
        self.current.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A type for each [`Export`], by which its callbacks find it.
pub trait Exported: 'static {
    /// The place of the plugin.
    fn export() -> &'static Export;
}

/// The body of an init function: NULL when `make` panics.
pub fn init<E: Exported, P: Plugin>(make: impl FnOnce() -> P) -> *mut WebSocketPlugin {
    error_log::install();
    if !E::export().hold(make) {
        return ptr::null_mut();
    }
    let table = Box::into_raw(Box::new(Table {
        callbacks: WebSocketPlugin {
            size: size_of::<WebSocketPlugin>() as c_uint,
            version: WEBSOCKET_PLUGIN_VERSION_1,
            destroy: Some(callbacks::destroy::<E>),
            on_connect: Some(callbacks::on_connect::<E>),
            on_message: Some(callbacks::on_message::<E>),
            on_disconnect: Some(callbacks::on_disconnect::<E>),
            configure: Some(callbacks::configure::<E>),
            child_start: Some(callbacks::child_start::<E>),
            child_stop: Some(callbacks::child_stop::<E>),
            on_open: Some(callbacks::on_open::<E>),
            on_timer: Some(callbacks::on_timer::<E>),
            on_writable: Some(callbacks::on_writable::<E>),
            on_close: Some(callbacks::on_close::<E>),
            on_pong: Some(callbacks::on_pong::<E>),
            on_topic: Some(callbacks::on_topic::<E>),
        },
        complaint: Mutex::default(),
        process: Mutex::default(),
    }))
    .cast();
    #[cfg(feature = "testing")]
    crate::testing::tables::add(table);
    table
}

/// What `init` hands out.
#[repr(C)]
pub(crate) struct Table {
    /// First, so that the server's pointer to it is one to the whole.
    callbacks: WebSocketPlugin,
    /// What `configure` has returned, until it is called again.
    complaint: Mutex<Option<CString>>,
    /// From `child_start` to `child_stop`.
    process: Mutex<Option<Process>>,
}

impl Table {
    /// Keeps the text, in the place of the one before.
    pub(crate) fn complain(&self, text: Option<String>) -> *const core::ffi::c_char {
        // A C string ends at a NUL.
        let text = text.and_then(|text| CString::new(text.replace('\0', "\\0")).ok());
        let mut complaint = self
            .complaint
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *complaint = text;
        complaint.as_deref().map_or(ptr::null(), CStr::as_ptr)
    }

    /// The child process begins. Another one that has not ended comes back.
    pub(crate) fn enter(&self, process: Process) -> Option<Process> {
        error_log::add(process.clone());
        self.replace(Some(process))
    }

    /// The child process that has begun, if any, while it ends: [`leave`] ends it.
    pub(crate) fn take_process(&self) -> Option<Process> {
        self.replace(None)
    }

    fn replace(&self, process: Option<Process>) -> Option<Process> {
        let mut place = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *place, process)
    }
}

/// The child process has ended: nothing uses its table from now on.
pub(crate) fn leave(process: &Process) {
    error_log::remove(process);
    process.end();
}
