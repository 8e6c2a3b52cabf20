//! Loads, checks and owns a plugin, and calls its callbacks.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_int, c_void};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use httpd::apr::Pool;
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use websocket_plugin::abi;
use websocket_proto::MessageKind;

/// A loaded plugin. Its last owner is the configuration: when that goes, the plugin is destroyed and unloaded.
pub struct Plugin {
    table: NonNull<abi::WebSocketPlugin>,
    callbacks: Callbacks,
    /// Last, so that the code is there while `drop` calls `destroy`.
    _library: Library,
}

/// The table's functions, read once.
#[derive(Clone, Copy)]
struct Callbacks {
    destroy: abi::WsDestroy,
    on_connect: abi::WsOnConnect,
    on_message: unsafe extern "C" fn(
        *mut c_void,
        *const abi::WebSocketServer,
        c_int,
        *mut u8,
        usize,
    ) -> usize,
    on_disconnect: abi::WsOnDisconnect,
}

// SAFETY: the ABI lets the server call a plugin on any thread (websocket_plugin.h, "Rules that hold everywhere").
unsafe impl Send for Plugin {}
// SAFETY: as above.
unsafe impl Sync for Plugin {}

/// What a plugin's `on_connect` gave, or the NULL of a plugin that has none; handed to its other callbacks.
#[derive(Clone, Copy)]
pub struct PluginPrivate(*mut c_void);

// SAFETY: the pointer is the plugin's own, which accepts it back on any thread.
unsafe impl Send for PluginPrivate {}
// SAFETY: as above.
unsafe impl Sync for PluginPrivate {}

/// What a plugin says to a handshake.
pub enum Verdict {
    /// It takes the connection.
    Accepted(PluginPrivate),
    /// It refuses: 403.
    Refused,
    /// It has failed: 500.
    Failed,
}

/// The plugins of one configuration, by file and init function.
type Loaded = Mutex<BTreeMap<(String, String), Arc<Plugin>>>;
const LOADED: &CStr = c"mod_websocket.plugins";

/// Whether a configuration has any plugin; `pool` is the configuration's.
pub fn is_any_loaded(pool: Pool<'_>) -> bool {
    pool.find::<Loaded>(LOADED).is_some()
}

/// Loads a plugin, once for each file and init function in a configuration; `pool` is the configuration's.
/// The error says what is wrong with it.
pub fn load_once(pool: Pool<'_>, file: &str, init: &str) -> Result<Arc<Plugin>, String> {
    let loaded: &Loaded = pool.kept(LOADED, Loaded::default);
    let mut loaded = loaded.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (file.to_owned(), init.to_owned());
    if let Some(plugin) = loaded.get(&key) {
        return Ok(Arc::clone(plugin));
    }
    let plugin = Arc::new(Plugin::load(file, init)?);
    loaded.insert(key, Arc::clone(&plugin));
    Ok(plugin)
}

impl Plugin {
    fn load(file: &str, init: &str) -> Result<Self, String> {
        // As the C module loaded plugins: whole at once, and visible to libraries that a plugin loads in turn.
        // SAFETY: a plugin's initialisers run; that they may is what WebSocketHandler says.
        let library = unsafe { Library::open(Some(file), RTLD_NOW | RTLD_GLOBAL) }
            .map_err(|error| format!("cannot load {file}: {error}"))?;
        let symbol =
            CString::new(init).map_err(|_| "a NUL in the init function's name".to_owned())?;
        // SAFETY: the operator names the init function, whose type is WS_Init.
        let function = unsafe {
            library.get::<unsafe extern "C" fn() -> *mut abi::WebSocketPlugin>(
                symbol.as_bytes_with_nul(),
            )
        }
        .map_err(|_| format!("{file} has no function '{init}'"))?;
        // SAFETY: as above; it takes nothing.
        let table = unsafe { function() };
        let table = NonNull::new(table).ok_or_else(|| format!("{init} of {file} returned NULL"))?;
        // SAFETY: the table begins with size and version, whatever it is; the rest is read only if it is there.
        let callbacks =
            unsafe { check(table) }.map_err(|defect| format!("{init} of {file}: {defect}"))?;
        Ok(Plugin {
            table,
            callbacks,
            _library: library,
        })
    }

    /// Asks whether the plugin takes a connection.
    ///
    /// # Safety
    /// `server` is the table of a live connection whose callbacks this thread may run.
    pub unsafe fn on_connect(&self, server: *const abi::WebSocketServer) -> Verdict {
        let Some(on_connect) = self.callbacks.on_connect else {
            return Verdict::Accepted(PluginPrivate(std::ptr::null_mut()));
        };
        // SAFETY: the caller's promise; the plugin is loaded while `self` lives.
        let private = unsafe { on_connect(server) };
        match private {
            _ if private.is_null() => Verdict::Refused,
            abi::WEBSOCKET_CONNECT_ERROR => Verdict::Failed,
            _ => Verdict::Accepted(PluginPrivate(private)),
        }
    }

    /// Hands a message to the plugin, which may change it in place.
    ///
    /// # Safety
    /// As [`Plugin::on_connect`]; `private` is from this plugin's acceptance of this connection.
    pub unsafe fn on_message(
        &self,
        private: PluginPrivate,
        server: *const abi::WebSocketServer,
        kind: MessageKind,
        payload: &mut [u8],
    ) {
        let message_type = match kind {
            MessageKind::Text => abi::MESSAGE_TYPE_TEXT,
            MessageKind::Binary => abi::MESSAGE_TYPE_BINARY,
        };
        // SAFETY: the caller's promise; the buffer is writable, and not NULL even when it is empty.
        unsafe {
            (self.callbacks.on_message)(
                private.0,
                server,
                message_type,
                payload.as_mut_ptr(),
                payload.len(),
            );
        }
    }

    /// Tells the plugin that the connection has ended.
    ///
    /// # Safety
    /// As [`Plugin::on_message`]; the last callback of the connection, made once.
    pub unsafe fn on_disconnect(
        &self,
        private: PluginPrivate,
        server: *const abi::WebSocketServer,
    ) {
        if let Some(on_disconnect) = self.callbacks.on_disconnect {
            // SAFETY: the caller's promise.
            unsafe { on_disconnect(private.0, server) }
        }
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        if let Some(destroy) = self.callbacks.destroy {
            // SAFETY: the table is the plugin's own, loaded until `drop` is over, and given back once.
            unsafe { destroy(self.table.as_ptr()) }
        }
    }
}

/// Checks a table as the ABI wants it; the error is what is wrong with it.
///
/// # Safety
/// `table` points to a live table that has `size` and `version`, and as many bytes as `size` says.
unsafe fn check(table: NonNull<abi::WebSocketPlugin>) -> Result<Callbacks, String> {
    let table = table.as_ptr();
    // SAFETY: the caller's promise; members beyond `version` are read only after `size` says that they are there.
    unsafe {
        let (size, version) = ((*table).size as usize, (*table).version);
        if version != abi::WEBSOCKET_PLUGIN_VERSION_0 {
            return Err(format!("plugin version {version} is not supported (0 is)"));
        }
        if size < size_of::<abi::WebSocketPlugin>() {
            return Err(format!(
                "the plugin's size is {size}, less than the {} of version 0; was it compiled with another header?",
                size_of::<abi::WebSocketPlugin>()
            ));
        }
        let Some(on_message) = (*table).on_message else {
            return Err("on_message is NULL".to_owned());
        };
        Ok(Callbacks {
            destroy: (*table).destroy,
            on_connect: (*table).on_connect,
            on_message,
            on_disconnect: (*table).on_disconnect,
        })
    }
}
