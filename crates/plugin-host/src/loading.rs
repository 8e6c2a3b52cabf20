//! Opens a plugin's file.

use std::ffi::CString;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::{env, fs, io};

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use loaded_plugin::Plugin;
use websocket_plugin::abi;

/// A copy of a plugin's file, alone in a folder that nobody else may look into; both go when it is dropped. What is mapped
/// is not what somebody writes over, and the loader, which goes by names, takes no old version for the new one.
pub struct PrivateCopy {
    folder: PathBuf,
    file: PathBuf,
}

/// Loads the file, or a copy of it, and calls its init function.
pub fn load(
    file: &Path,
    init: &str,
    is_copied: bool,
) -> Result<(Plugin, Option<PrivateCopy>), String> {
    let (library, copy) = if is_copied {
        let (library, copy) = open_copy(file)?;
        (library, Some(copy))
    } else {
        // The file itself: a debugger and valgrind know it by its name.
        let library = open(file, file)?;
        // It stays mapped to the end of the process, so that what reports leaks then can name its functions.
        std::mem::forget(open(file, file)?);
        (library, None)
    };
    begin(library, file, init).map(|plugin| (plugin, copy))
}

/// Not each folder for temporary files may hold programs (`noexec`), or has room. That of the plugin does.
fn open_copy(file: &Path) -> Result<(Library, PrivateCopy), String> {
    let beside = match file.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let in_place = |place: &Path| {
        let copy = PrivateCopy::make(file, place)
            .map_err(|error| format!("cannot copy {}: {error}", file.display()))?;
        Ok((open(&copy.file, file)?, copy))
    };
    in_place(&env::temp_dir()).or_else(|error: String| in_place(&beside).map_err(|_| error))
}

/// `named` is what the file is called in an error.
fn open(path: &Path, named: &Path) -> Result<Library, String> {
    let named = named.display();
    // With a slash in it: else the loader looks where it looks for libraries.
    let path = fs::canonicalize(path).map_err(|error| format!("{named}: {error}"))?;
    // SAFETY: the plugin's initialisers run; that they may is what the command line says.
    unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_LOCAL) }
        .map_err(|error| format!("cannot load {named}: {error}"))
}

fn begin(library: Library, file: &Path, init: &str) -> Result<Plugin, String> {
    let named = file.display();
    let symbol = CString::new(init).map_err(|_| "a NUL in the init function's name")?;
    // SAFETY: the command line names the init function, whose type is WS_Init.
    let function = unsafe {
        library
            .get::<unsafe extern "C" fn() -> *mut abi::WebSocketPlugin>(symbol.as_bytes_with_nul())
    }
    .map_err(|_| {
        format!("{named} has no function '{init}' (in C++ it is declared extern \"C\")")
    })?;
    // SAFETY: as above; it takes nothing.
    let table = unsafe { function() };
    let table = NonNull::new(table).ok_or_else(|| format!("{init} of {named} returned NULL"))?;
    // SAFETY: the table begins with size and version, whatever it is; the rest is read only if it is there.
    let (callbacks, ignored) = unsafe { loaded_plugin::table::check(table) }
        .map_err(|defect| format!("{init} of {named}: {defect}"))?;
    if let Some(member) = ignored {
        // With the tag that it has under httpd.
        eprintln!(
            "plugin-host: WS0111: {init} of {named}: the table's version is 0, so that {member} and what follows it are \
             ignored; set version to WEBSOCKET_PLUGIN_VERSION_1"
        );
    }
    let names = (named.to_string(), init.to_owned());
    // SAFETY: the callbacks have just been read of this table, and the ABI has it live until `destroy`.
    Ok(unsafe { Plugin::new(table, callbacks, names, Vec::new(), library) })
}

impl PrivateCopy {
    /// Copies `file` into a new folder in `place`, under a name that no load has had. The folder is made, never taken over:
    /// what somebody has put there before, a link included, is not written to.
    fn make(file: &Path, place: &Path) -> io::Result<Self> {
        let folder = loop {
            let folder = place.join(format!("plugin-host-{:016x}", fastrand::u64(..)));
            match fs::DirBuilder::new().mode(0o700).create(&folder) {
                Ok(()) => break folder,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        };
        let copy = PrivateCopy {
            file: folder.join(file.file_name().unwrap_or_default()),
            folder,
        };
        fs::copy(file, &copy.file)?;
        Ok(copy)
    }
}

impl Drop for PrivateCopy {
    fn drop(&mut self) {
        // Somebody who cleans up may have been here before.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
