//! Loads plugins: once for each file and init function of a configuration, which owns them.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_void};
use std::fs;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex};

use httpd::apr::Pool;
use libloading::os::unix::Library;
use loaded_plugin::{Plugin, table};
use websocket_plugin::abi;

use super::image::Image;
use super::mapped::{self, Binding, MappedFile};
use super::version;
use crate::lock::lock;
use crate::log::Tag;

/// The plugins of one configuration, by file and init function. The file is the one that links lead to: under another name,
/// the loader would give the same table once more.
type Loaded = Mutex<BTreeMap<(PathBuf, String), Arc<Plugin>>>;
const LOADED: &CStr = c"mod_websocket.plugins";

/// The plugins of a configuration; `pool` is the configuration's.
pub fn all_loaded(pool: Pool<'_>) -> Vec<Arc<Plugin>> {
    let Some(loaded) = pool.find::<Loaded>(LOADED) else {
        return Vec::new();
    };
    let loaded = lock(loaded);
    loaded.values().map(Arc::clone).collect()
}

/// Tells the content of the file that an address is of from that of another: of the module itself, for one.
pub fn digest_of(address: *const c_void) -> Option<u64> {
    let place = MappedFile::of(address)?;
    Image::read(&place.file).map(|image| image.digest)
}

/// Loads a plugin, once for each file and init function in a configuration; `pool` is the configuration's. The name under
/// which a file is loaded first is what it is called.
/// The error says what is wrong with it; `remarks` gets what should be known of it.
pub fn load_once(
    pool: Pool<'_>,
    file: &str,
    init: &str,
    remarks: &mut Vec<(Tag, String)>,
) -> Result<Arc<Plugin>, String> {
    let loaded: &Loaded = pool.kept(LOADED, Loaded::default);
    let mut loaded = lock(loaded);
    // One that is not there is the loader's to complain of.
    let place = fs::canonicalize(file).unwrap_or_else(|_| file.into());
    let key = (place, init.to_owned());
    if let Some(plugin) = loaded.get(&key) {
        return Ok(Arc::clone(plugin));
    }
    let plugin = Arc::new(load(file, init, remarks)?);
    // In figures and lines, each file has a name of its own.
    for other in loaded.values() {
        plugin.tell_apart(other);
    }
    loaded.insert(key, Arc::clone(&plugin));
    Ok(plugin)
}

fn load(file: &str, init: &str, remarks: &mut Vec<(Tag, String)>) -> Result<Plugin, String> {
    let path = Path::new(file);
    let image = Image::read(path);
    let (library, stays) = version::load(path, image.as_ref(), binding(image.as_ref()))
        .map_err(|error| format!("cannot load {file}: {error}"))?;
    remarks.extend(stays.map(|text| (Tag::OldVersion, text)));
    let (library, place) = MappedFile::of_library(library);
    let place = place.ok_or_else(|| format!("cannot tell where {file} is mapped"))?;
    // An interpreter's extension modules expect its symbols to be seen by all, as they are in its own program.
    let needed = image.iter().flat_map(|image| &image.needed);
    let promoted = needed.filter_map(|name| mapped::promote(name)).collect();

    let function = init_function(&library, &place, image.as_ref(), init)
        .map_err(|defect| format!("{file} {defect}"))?;
    // SAFETY: the operator names the init function, whose type is WS_Init; it is code of this file, and takes nothing.
    let table = unsafe { function() };
    let table = NonNull::new(table).ok_or_else(|| format!("{init} of {file} returned NULL"))?;
    let in_table = |defect| format!("{init} of {file}: {defect}");
    require_own(&place, table.as_ptr().cast(), "its table").map_err(in_table)?;
    // SAFETY: the table begins with size and version, whatever it is; the rest is read only if it is there.
    let (callbacks, ignored) = unsafe { table::check(table) }.map_err(in_table)?;
    if let Some(member) = ignored {
        let text = format!(
            "{init} of {file}: the table's version is 0, so that {member} and what follows it are ignored; set \
             version to WEBSOCKET_PLUGIN_VERSION_1"
        );
        remarks.push((Tag::IgnoredMembers, text));
    }
    for (name, address) in callbacks.addresses() {
        require_code(&place, image.as_ref(), address, name).map_err(in_table)?;
    }
    let names = (file.to_owned(), init.to_owned());
    // SAFETY: the callbacks have just been read of this table, and the ABI has it live until `destroy`.
    Ok(unsafe { Plugin::new(table, callbacks, names, promoted, library) })
}

/// A plugin binds to its own symbols first, whatever else is loaded; but not where that would part it from what the
/// process has put in the place of a library's own: the allocator, or a variable that the program has copied.
fn binding(image: Option<&Image>) -> Binding {
    let program = || Image::read(Path::new("/proc/self/exe")).unwrap_or_default();
    match image {
        _ if mapped::is_malloc_replaced() => Binding::ProcessFirst,
        Some(image) if image.refers_to_copies_of(&program()) => Binding::ProcessFirst,
        _ => Binding::OwnFirst,
    }
}

/// `WS_Init`.
type Init = unsafe extern "C" fn() -> *mut abi::WebSocketPlugin;

/// The init function, which is code of the file itself. The error goes on after the file's name.
fn init_function(
    library: &Library,
    place: &MappedFile,
    image: Option<&Image>,
    init: &str,
) -> Result<Init, String> {
    let name = CString::new(init).map_err(|_| "cannot have a NUL in its init function's name")?;
    let Some(address) = mapped::symbol(library, &name) else {
        return Err(match image.and_then(|image| image.mangled(init)) {
            Some(mangled) => format!(
                "has no function '{init}', but {mangled}: C++ has given it another name; declare it extern \"C\""
            ),
            None => format!("has no function '{init}'"),
        });
    };
    match MappedFile::of(address) {
        Some(found) if found.base != place.base => Err(format!(
            "has no function '{init}' of its own; what it would call lies in {}",
            found.file.display()
        )),
        _ if place.is_code(address) => {
            // SAFETY: the address is not NULL, and is that of code whose type the operator vouches for.
            Ok(unsafe { std::mem::transmute::<*const c_void, Init>(address) })
        }
        _ => Err(format!("has '{init}', but it is no function")),
    }
}

/// Memory of the plugin's own: its file, or what it has allocated.
fn require_own(place: &MappedFile, address: *const c_void, what: &str) -> Result<(), String> {
    match MappedFile::of(address) {
        Some(found) if found.base != place.base => Err(foreign(what, &found)),
        _ => Ok(()),
    }
}

/// A function of the plugin's own: of its file, or of a library that it needs.
fn require_code(
    place: &MappedFile,
    image: Option<&Image>,
    address: *const c_void,
    name: &str,
) -> Result<(), String> {
    match MappedFile::of(address) {
        Some(found) if found.base == place.base && !place.is_code(address) => {
            Err(format!("{name} is no function"))
        }
        Some(found) if found.base != place.base && !is_needed(image, &found.file) => {
            Err(foreign(name, &found))
        }
        _ => Ok(()),
    }
}

fn foreign(what: &str, found: &MappedFile) -> String {
    format!(
        "{what} lies in {}: a symbol of the same name is taken for it; declare it static",
        found.file.display()
    )
}

/// Whether a plugin needs a library, or one that does.
fn is_needed(image: Option<&Image>, library: &Path) -> bool {
    let Some(image) = image else { return true };
    let mut names: Vec<String> = image.needed.clone();
    let mut next = 0;
    while let Some(name) = names.get(next).cloned() {
        next += 1;
        let Some(place) = mapped::mapped_file_of(&name) else {
            continue;
        };
        if place.file == library {
            return true;
        }
        for needed in Image::read(&place.file).unwrap_or_default().needed {
            if !names.contains(&needed) {
                names.push(needed);
            }
        }
    }
    false
}
