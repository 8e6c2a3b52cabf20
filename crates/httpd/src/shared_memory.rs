//! Memory that the parent and all its children share, through every reload of the configuration.

use std::ffi::{CStr, c_void};
use std::io;
use std::ptr;
use std::sync::atomic::AtomicU64;

use httpd_sys as sys;

use crate::server::Server;

/// What the pool of the process keeps: no pointer into the module, which a reload takes out of memory.
#[repr(C)]
struct Mapping {
    start: *const AtomicU64,
    words: usize,
}

/// The shared words of this name, if [`make`] has made any in this process or in its parent.
pub fn find(server: Server<'_>, name: &CStr) -> Option<&'static [AtomicU64]> {
    let mut found: *mut c_void = ptr::null_mut();
    // SAFETY: the pool of the process lives as long as it; what it has under this name is what `make` has left, and the
    // mapping is never taken back.
    unsafe {
        sys::apr_pool_userdata_get(&mut found, name.as_ptr(), process_pool(server));
        let mapping = found.cast::<Mapping>().as_ref()?;
        Some(std::slice::from_raw_parts(mapping.start, mapping.words))
    }
}

/// Makes so many shared words, zero all of them, in place of those of the same name; called in the parent, before it
/// makes the children that are to share them. They take memory when they are touched, a page at a time, and stay
/// until the last process that has them is gone.
pub fn make(server: Server<'_>, name: &CStr, words: usize) -> io::Result<&'static [AtomicU64]> {
    let size = words
        .checked_mul(size_of::<AtomicU64>())
        .ok_or(io::ErrorKind::OutOfMemory)?;
    // SAFETY: a new mapping of no file takes nothing away; it is zero, which is a good AtomicU64, aligned to a page, and
    // stays. The pool is live, and copies the name.
    unsafe {
        let start = libc::mmap(
            ptr::null_mut(),
            size,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        );
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = start.cast::<AtomicU64>().cast_const();
        let pool = process_pool(server);
        let mapping = sys::apr_palloc(pool, size_of::<Mapping>()).cast::<Mapping>();
        mapping.write(Mapping { start, words });
        sys::apr_pool_userdata_set(mapping.cast(), name.as_ptr(), None, pool);
        Ok(std::slice::from_raw_parts(start, words))
    }
}

fn process_pool(server: Server<'_>) -> *mut sys::apr_pool_t {
    // SAFETY: the process record and its pool outlive every server.
    unsafe { (*(*server.as_raw()).process).pool }
}
