//! Opens a plugin's file.

use std::ffi::CString;
use std::fs;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use loaded_plugin::Plugin;
use websocket_plugin::abi;

/// What is taken from the file system for one load of the plugin.
pub enum Image {
    /// The file itself: a debugger and valgrind know it by its name.
    File,
    /// A copy, which is removed in the end: what is mapped is not what somebody writes over, and the loader takes no old
    /// version for the new one.
    Copy(PathBuf),
}

impl Image {
    /// A copy of `file`, under a name that no load has had.
    pub fn copy(file: &Path, number: u64) -> Result<Self, String> {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let directory = std::env::temp_dir();
        let copy = directory.join(format!(
            "plugin-host-{}-{number}-{name}",
            std::process::id()
        ));
        fs::copy(file, &copy)
            .map_err(|error| format!("cannot copy {}: {error}", file.display()))?;
        Ok(Image::Copy(copy))
    }

    /// Loads it, and calls its init function. `file` is what it is called, and where it lies when it is no copy.
    pub fn load(&self, file: &Path, init: &str) -> Result<Plugin, String> {
        let named = file.display();
        let path = match self {
            // With a slash in it: else the loader looks where it looks for libraries.
            Image::File => fs::canonicalize(file).map_err(|error| format!("{named}: {error}"))?,
            Image::Copy(copy) => copy.clone(),
        };
        // SAFETY: the plugin's initialisers run; that they may is what the command line says.
        let library = unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_LOCAL) }
            .map_err(|error| format!("cannot load {named}: {error}"))?;
        let symbol = CString::new(init).map_err(|_| "a NUL in the init function's name")?;
        // SAFETY: the command line names the init function, whose type is WS_Init.
        let function = unsafe {
            library.get::<unsafe extern "C" fn() -> *mut abi::WebSocketPlugin>(
                symbol.as_bytes_with_nul(),
            )
        }
        .map_err(|_| {
            format!("{named} has no function '{init}' (in C++ it is declared extern \"C\")")
        })?;
        // SAFETY: as above; it takes nothing.
        let table = unsafe { function() };
        let table =
            NonNull::new(table).ok_or_else(|| format!("{init} of {named} returned NULL"))?;
        if let Image::File = self {
            // It stays mapped to the end of the process, so that what reports leaks then can name its functions.
            // SAFETY: as above; it is mapped already.
            std::mem::forget(unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_LOCAL) });
        }
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
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
        let names = (name.into_owned(), init.to_owned());
        // SAFETY: the callbacks have just been read of this table, and the ABI has it live until `destroy`.
        Ok(unsafe { Plugin::new(table, callbacks, names, Vec::new(), library) })
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        if let Image::Copy(copy) = self {
            // Somebody who cleans up may have been here before.
            let _ = fs::remove_file(copy);
        }
    }
}
