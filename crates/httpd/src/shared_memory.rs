//! Memory that the parent and all its children share, through every reload of the configuration: the one place where such
//! memory is made, for whatever is kept in it.
//!
//! | what it is | because |
//! |---|---|
//! | anonymous, `MAP_SHARED` | it has no name in the system that could be left behind, and children have it by being forked |
//! | made in the parent, in post_config, and found there by its name after a reload | a child of an old generation and one of a new one see the same |
//! | `MAP_NORESERVE`: addresses first, memory when a page is touched | it may be as large as it could ever have to be |
//! | `MADV_DONTDUMP` | a core dump would touch all of its pages, and they would stay |
//! | words that are zero in the beginning, changed with atomic operations only | no writer may die with a lock |
//!
//! A reload may bring another build of the module. Two things are therefore the same in every build, for ever: what the
//! pool of the process keeps (`Mapping`), and that **the first word says what form the rest has**, with a number that no
//! other form has. Who finds a form that it does not know [replaces](make) it: the parent gives the old memory back, and
//! children that still have it keep it to themselves.

use std::ffi::{CStr, c_void};
use std::io;
use std::ptr;
use std::sync::atomic::AtomicU64;

use httpd_sys as sys;

use crate::server::Server;

/// What the pool of the process keeps: no pointer into the module, which a reload takes out of memory.
#[repr(C)]
#[derive(Clone, Copy)]
struct Mapping {
    start: *const AtomicU64,
    words: usize,
}

/// The shared words of this name, if [`make`] has made any in this process or in its parent.
pub fn find(server: Server<'_>, name: &CStr) -> Option<&'static [AtomicU64]> {
    let mapping = mapping(server, name)?;
    // SAFETY: `make` has mapped so many words there, and whoever calls it to replace them promises that nobody uses what
    // was found before.
    Some(unsafe { std::slice::from_raw_parts(mapping.start, mapping.words) })
}

fn mapping(server: Server<'_>, name: &CStr) -> Option<Mapping> {
    let mut found: *mut c_void = ptr::null_mut();
    // SAFETY: the pool of the process lives as long as it; what it has under this name is what `make` has left.
    unsafe {
        sys::apr_pool_userdata_get(&mut found, name.as_ptr(), process_pool(server));
        found.cast::<Mapping>().as_ref().copied()
    }
}

/// Makes so many shared words, zero all of them, in place of those of the same name, which this process gives back. They
/// take memory when they are touched, a page at a time, and stay until the last process that has them is gone.
///
/// # Errors
///
/// What the system says when there are not so many addresses. Those of the same name stay then.
///
/// # Safety
///
/// Called in the parent, before it makes the children that are to share the words. Nothing in this process uses what
/// [`find`] or `make` has given for this name before.
pub unsafe fn make(
    server: Server<'_>,
    name: &CStr,
    words: usize,
) -> io::Result<&'static [AtomicU64]> {
    let size = words
        .checked_mul(size_of::<AtomicU64>())
        .ok_or(io::ErrorKind::OutOfMemory)?;
    let before = mapping(server, name);
    // SAFETY: a new mapping of no file takes nothing away; it is zero, which is a good AtomicU64, aligned to a page, and
    // stays until it is replaced. Advice changes nothing of it, and without it all goes on. The pool is live, and copies
    // the name. The old mapping is as large as `make` has made it, and nobody uses it, as the caller says.
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
        libc::madvise(start, size, libc::MADV_DONTDUMP);
        let start = start.cast::<AtomicU64>().cast_const();
        let pool = process_pool(server);
        let mapping = sys::apr_palloc(pool, size_of::<Mapping>()).cast::<Mapping>();
        mapping.write(Mapping { start, words });
        sys::apr_pool_userdata_set(mapping.cast(), name.as_ptr(), None, pool);
        if let Some(before) = before {
            let size = before.words * size_of::<AtomicU64>();
            libc::munmap(before.start.cast_mut().cast(), size);
        }
        Ok(std::slice::from_raw_parts(start, words))
    }
}

fn process_pool(server: Server<'_>) -> *mut sys::apr_pool_t {
    // SAFETY: the process record and its pool outlive every server.
    unsafe { (*(*server.as_raw()).process).pool }
}
