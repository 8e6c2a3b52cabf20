//! What a module keeps on a connection, in its slot of the connection's configuration vector.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use httpd_sys as sys;

use crate::module::Module;

/// In the connection's pool, made when there is something to keep. Used by the thread that has the connection.
struct Kept {
    /// An `Arc` that has been given away, of the one type that the module leaves; or NULL.
    value: Cell<*const c_void>,
    /// The `SSL` of mod_ssl's, as its hook has shown it; or NULL.
    tls: Cell<*mut c_void>,
}

impl Module {
    /// Leaves `value` on a connection, for [`Module::take_connection_value`].
    ///
    /// # Safety
    /// `c` is a live connection that this thread uses; this module leaves values of one type only, one at a time.
    pub(crate) unsafe fn leave_connection_value<T: Send + Sync>(
        &self,
        c: *mut sys::conn_rec,
        value: Arc<T>,
    ) {
        // SAFETY: the caller's promise; the count that into_raw keeps is taken back by `take_connection_value`.
        unsafe { self.keep(c) }
            .value
            .set(Arc::into_raw(value).cast());
    }

    /// Takes what [`Module::leave_connection_value`] has left.
    ///
    /// # Safety
    /// As there, with the same `T`.
    pub(crate) unsafe fn take_connection_value<T: Send + Sync>(
        &self,
        c: *mut sys::conn_rec,
    ) -> Option<Arc<T>> {
        // SAFETY: the caller's promise; the place is emptied, so that the value is taken once.
        unsafe {
            let value = self.kept(c)?.value.replace(ptr::null()).cast::<T>();
            (!value.is_null()).then(|| Arc::from_raw(value))
        }
    }

    /// Remembers which `SSL` a connection has.
    ///
    /// # Safety
    /// `c` is a live connection that this thread uses.
    pub(crate) unsafe fn remember_tls(&self, c: *mut sys::conn_rec, ssl: *mut c_void) {
        // SAFETY: the caller's promise.
        unsafe { self.keep(c) }.tls.set(ssl);
    }

    /// What [`Module::remember_tls`] was told last. Whether it still lives, others must say.
    ///
    /// # Safety
    /// As there.
    pub(crate) unsafe fn remembered_tls(&self, c: *mut sys::conn_rec) -> Option<NonNull<c_void>> {
        // SAFETY: the caller's promise.
        NonNull::new(unsafe { self.kept(c) }?.tls.get())
    }

    /// # Safety
    /// `c` is a live connection that this thread uses, and stays for `'c`.
    unsafe fn kept<'c>(&self, c: *mut sys::conn_rec) -> Option<&'c Kept> {
        // SAFETY: the caller's promise; nothing but `keep` fills the module's slot of a connection's vector.
        unsafe {
            sys::ap_get_module_config((*c).conn_config, self.as_raw())
                .cast::<Kept>()
                .as_ref()
        }
    }

    /// # Safety
    /// As for `kept`.
    unsafe fn keep<'c>(&self, c: *mut sys::conn_rec) -> &'c Kept {
        // SAFETY: the caller's promise; the vector, too, lives as long as the connection's pool.
        unsafe {
            if let Some(kept) = self.kept(c) {
                return kept;
            }
            let kept = sys::apr_palloc((*c).pool, size_of::<Kept>()).cast::<Kept>();
            kept.write(Kept {
                value: Cell::new(ptr::null()),
                tls: Cell::new(ptr::null_mut()),
            });
            sys::ap_set_module_config((*c).conn_config, self.as_raw(), kept.cast());
            &*kept
        }
    }
}
