//! `apr_table_t`: header fields and notes, by case-insensitive name.

use std::borrow::Cow;
use std::ffi::{CStr, CString};
use std::marker::PhantomData;
use std::ptr::NonNull;

use httpd_sys as sys;

/// A table, borrowed from what owns it.
#[derive(Clone, Copy)]
pub struct Table<'t> {
    raw: NonNull<sys::apr_table_t>,
    _owner: PhantomData<&'t sys::apr_table_t>,
}

impl<'t> Table<'t> {
    /// Wraps a raw table.
    ///
    /// # Safety
    /// `raw` is not NULL and lives for `'t`; nobody else uses it meanwhile.
    pub unsafe fn from_raw(raw: *mut sys::apr_table_t) -> Self {
        // SAFETY: the caller's promise.
        let raw = unsafe { NonNull::new_unchecked(raw) };
        Table {
            raw,
            _owner: PhantomData,
        }
    }

    /// The first value under `name`. Lives until the table is changed or its pool goes.
    pub fn get(self, name: &CStr) -> Option<&'t CStr> {
        // SAFETY: table and name are live; the value is a terminated string that the table holds.
        unsafe {
            let value = sys::apr_table_get(self.raw.as_ptr(), name.as_ptr());
            (!value.is_null()).then(|| CStr::from_ptr(value))
        }
    }

    /// The first value under `name` as text; bytes that are not UTF-8 become U+FFFD.
    pub fn get_text(self, name: &CStr) -> Option<Cow<'t, str>> {
        self.get(name).map(CStr::to_string_lossy)
    }

    /// Sets `name` to `value`, in place of every value that it has; both are copied.
    pub fn set(self, name: &CStr, value: &CStr) {
        // SAFETY: table and strings are live; apr_table_set copies both.
        unsafe { sys::apr_table_set(self.raw.as_ptr(), name.as_ptr(), value.as_ptr()) }
    }

    /// [`Table::set`] without a copy.
    pub fn set_uncopied(self, name: &'static CStr, value: &'t CStr) {
        // SAFETY: the table is live; the strings live as long as what owns it.
        unsafe { sys::apr_table_setn(self.raw.as_ptr(), name.as_ptr(), value.as_ptr()) }
    }

    /// Whether nothing is in it.
    pub fn is_empty(self) -> bool {
        // SAFETY: the table is live.
        unsafe { (*sys::apr_table_elts(self.raw.as_ptr())).nelts == 0 }
    }

    /// [`Table::set`] for Rust text without a NUL inside; a NUL ends the value.
    pub fn set_text(self, name: &CStr, value: &str) {
        let until_nul = value.split('\0').next().unwrap_or_default();
        self.set(name, &CString::new(until_nul).unwrap_or_default());
    }
}
