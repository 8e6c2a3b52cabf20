//! `module_rec`: the one symbol that httpd looks up in a module's DSO.

use std::cell::UnsafeCell;
use std::ffi::{CStr, c_char, c_int, c_ulong};
use std::ptr;

use httpd_sys as sys;

use crate::apr::Pool;
use crate::config::{Command, DirConfig, create_dir_config, merge_dir_config};
use crate::guard::guard;
use crate::server::Server;

/// A `module_rec` to be exported as a static. httpd writes its index and its neighbours into it when the module
/// is loaded, before any of the module's code runs; from then on it is only read.
#[repr(transparent)]
pub struct Module(UnsafeCell<sys::module>);

// SAFETY: httpd writes the record only while it reads its configuration, on one thread (mod_so's LoadModule).
unsafe impl Sync for Module {}

impl Module {
    /// A module with per-directory configuration `C`, the directives `commands` (that end with
    /// [`Command::END`]) and hooks that `register` adds.
    pub const fn new<C: DirConfig, R: RegisterHooks>(
        name: &'static CStr,
        commands: &'static [Command],
    ) -> Self {
        Module(UnsafeCell::new(sys::module {
            version: sys::MODULE_MAGIC_NUMBER_MAJOR as c_int,
            minor_version: sys::MODULE_MAGIC_NUMBER_MINOR as c_int,
            module_index: -1,
            name: name.as_ptr().cast::<c_char>(),
            dynamic_load_handle: ptr::null_mut(),
            next: ptr::null_mut(),
            magic: sys::MODULE_MAGIC_COOKIE as c_ulong,
            rewrite_args: None,
            create_dir_config: Some(create_dir_config::<C>),
            merge_dir_config: Some(merge_dir_config::<C>),
            create_server_config: None,
            merge_server_config: None,
            cmds: commands.as_ptr().cast::<sys::command_rec>(),
            register_hooks: Some(register_hooks::<R>),
            flags: 0,
        }))
    }

    /// The index that httpd gave the module; -1 before it is loaded.
    pub fn index(&self) -> c_int {
        // SAFETY: written once, before the module's code runs (see `Sync` above).
        unsafe { (*self.0.get()).module_index }
    }

    pub(crate) fn as_raw(&self) -> *mut sys::module {
        self.0.get()
    }

    /// The module's configuration in a configuration vector.
    ///
    /// # Safety
    /// `vector` is a live per-directory vector, in which httpd keeps what [`create_dir_config`] or
    /// [`merge_dir_config`] made for this module, for `'v`.
    pub(crate) unsafe fn config<'v, C: DirConfig>(
        &self,
        vector: *mut sys::ap_conf_vector_t,
    ) -> Option<&'v C> {
        // SAFETY: the caller's promise.
        unsafe {
            sys::ap_get_module_config(vector, self.0.get())
                .cast::<C>()
                .as_ref()
        }
    }
}

impl<'s> Server<'s> {
    /// The module's configuration at this server's scope, outside every `<Location>` and its like.
    pub fn config<C: DirConfig>(self, module: &Module) -> Option<&'s C> {
        // SAFETY: a server's default per-directory vector lives as long as it, and holds what the module's functions
        // made.
        unsafe { module.config((*self.as_raw()).lookup_defaults.cast()) }
    }
}

/// What a module does to add its hooks.
pub trait RegisterHooks {
    /// Called once each time that the module is loaded. `pool` is the configuration's.
    fn register(pool: Pool<'_>);
}

unsafe extern "C" fn register_hooks<R: RegisterHooks>(pool: *mut sys::apr_pool_t) {
    // SAFETY: httpd passes the configuration's pool, live for the call.
    let pool = unsafe { Pool::from_raw(pool) };
    guard((), || R::register(pool));
}
