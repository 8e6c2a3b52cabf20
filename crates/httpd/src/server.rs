//! `server_rec`.

use std::ffi::{CStr, c_char};
use std::marker::PhantomData;
use std::ptr::NonNull;

use httpd_sys as sys;

use crate::apr::Pool;

/// Names a server of a configuration, and does not keep it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ServerId(usize);

/// A server or virtual host.
#[derive(Clone, Copy)]
pub struct Server<'s> {
    raw: NonNull<sys::server_rec>,
    _owner: PhantomData<&'s sys::server_rec>,
}

impl<'s> Server<'s> {
    /// Wraps a raw server.
    ///
    /// # Safety
    /// `raw` is not NULL and lives for `'s`.
    pub unsafe fn from_raw(raw: *mut sys::server_rec) -> Self {
        // SAFETY: the caller's promise.
        let raw = unsafe { NonNull::new_unchecked(raw) };
        Server {
            raw,
            _owner: PhantomData,
        }
    }

    /// The main server of this process (`ap_server_conf`), once the configuration has been read.
    pub fn main() -> Option<Server<'static>> {
        // SAFETY: httpd sets ap_server_conf before the first post_config hook and keeps it; in a child it never changes.
        unsafe {
            let raw = sys::ap_server_conf;
            (!raw.is_null()).then(|| Server::from_raw(raw))
        }
    }

    /// The raw server.
    pub fn as_raw(self) -> *mut sys::server_rec {
        self.raw.as_ptr()
    }

    /// This server and those after it: all of them, from the main one.
    pub fn and_virtual_hosts(self) -> impl Iterator<Item = Server<'s>> {
        std::iter::successors(Some(self), |server| {
            // SAFETY: the servers of a configuration are a list that ends with NULL, and live as long as each other.
            let next = unsafe { (*server.as_raw()).next };
            NonNull::new(next).map(|raw| Server {
                raw,
                _owner: PhantomData,
            })
        })
    }

    /// The pool of the configuration that the server belongs to.
    pub fn config_pool(self) -> Pool<'s> {
        // SAFETY: the process record and its pools outlive every server.
        unsafe { Pool::from_raw((*(*self.as_raw()).process).pconf) }
    }

    /// What tells servers of one configuration from each other.
    pub fn id(self) -> ServerId {
        ServerId(self.as_raw() as usize)
    }

    /// File and line of the section that makes it a virtual host; `None` for the main server.
    pub fn defined_at(self) -> Option<(&'s CStr, u32)> {
        // SAFETY: the name is NULL or a terminated string of the configuration.
        unsafe {
            let server = &*self.as_raw();
            let name: *const c_char = server.defn_name;
            let is_virtual = server.is_virtual != 0 && !name.is_null();
            is_virtual.then(|| (CStr::from_ptr(name), server.defn_line_number))
        }
    }

    /// `ServerName`, for messages.
    pub fn name(self) -> String {
        // SAFETY: server_hostname is NULL or a terminated string of the configuration.
        unsafe {
            let name: *const c_char = (*self.as_raw()).server_hostname;
            if name.is_null() {
                String::new()
            } else {
                CStr::from_ptr(name).to_string_lossy().into_owned()
            }
        }
    }
}
