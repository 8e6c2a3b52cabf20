//! Loads plugins: once for each file and init function of a configuration, which owns them.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex};

use httpd::apr::Pool;
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use websocket_plugin::abi;

use loaded_plugin::Plugin;

use crate::lock::lock;

/// The plugins of one configuration, by file and init function.
type Loaded = Mutex<BTreeMap<(String, String), Arc<Plugin>>>;
const LOADED: &CStr = c"mod_websocket.plugins";

/// The plugins of a configuration; `pool` is the configuration's.
pub fn all_loaded(pool: Pool<'_>) -> Vec<Arc<Plugin>> {
    let Some(loaded) = pool.find::<Loaded>(LOADED) else {
        return Vec::new();
    };
    let loaded = lock(loaded);
    loaded.values().map(Arc::clone).collect()
}

/// Loads a plugin, once for each file and init function in a configuration; `pool` is the configuration's.
/// The error says what is wrong with it.
pub fn load_once(pool: Pool<'_>, file: &str, init: &str) -> Result<Arc<Plugin>, String> {
    let loaded: &Loaded = pool.kept(LOADED, Loaded::default);
    let mut loaded = lock(loaded);
    let key = (file.to_owned(), init.to_owned());
    if let Some(plugin) = loaded.get(&key) {
        return Ok(Arc::clone(plugin));
    }
    let plugin = Arc::new(load(file, init)?);
    loaded.insert(key, Arc::clone(&plugin));
    Ok(plugin)
}

fn load(file: &str, init: &str) -> Result<Plugin, String> {
    // As the C module loaded plugins: whole at once, and visible to libraries that a plugin loads in turn.
    // SAFETY: a plugin's initialisers run; that they may is what WebSocketHandler says.
    let library = unsafe { Library::open(Some(file), RTLD_NOW | RTLD_GLOBAL) }
        .map_err(|error| format!("cannot load {file}: {error}"))?;
    let symbol = CString::new(init).map_err(|_| "a NUL in the init function's name".to_owned())?;
    // SAFETY: the operator names the init function, whose type is WS_Init.
    let function = unsafe {
        library
            .get::<unsafe extern "C" fn() -> *mut abi::WebSocketPlugin>(symbol.as_bytes_with_nul())
    }
    .map_err(|_| format!("{file} has no function '{init}'"))?;
    // SAFETY: as above; it takes nothing.
    let table = unsafe { function() };
    let table = NonNull::new(table).ok_or_else(|| format!("{init} of {file} returned NULL"))?;
    let name = Path::new(file).file_stem().unwrap_or_default();
    let name = name.to_string_lossy().into_owned();
    // SAFETY: the table begins with size and version, whatever it is; the rest is read only if it is there.
    unsafe { Plugin::new(table, name, library) }
        .map_err(|defect| format!("{init} of {file}: {defect}"))
}
