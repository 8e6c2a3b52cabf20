//! Memory that a test and the processes it starts share.

use std::io;
use std::os::fd::RawFd;
use std::ptr;
use std::sync::atomic::AtomicU64;

/// Makes so many shared words, all zero, and a descriptor by which processes that are started from now on find them.
pub fn make(words: usize) -> io::Result<(&'static [AtomicU64], RawFd)> {
    // SAFETY: the name is a C string, and the descriptor is checked; it is not closed at an exec.
    let fd = unsafe { libc::memfd_create(c"topics".as_ptr(), 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: takes no pointer.
    if unsafe { libc::ftruncate(fd, (words * 8) as libc::off_t) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((map(fd, words)?, fd))
}

/// Maps the words of a descriptor that [`make`] has made, in this process or in the one that has started it.
pub fn map(fd: RawFd, words: usize) -> io::Result<&'static [AtomicU64]> {
    // SAFETY: a new mapping takes nothing away. It is as long as the file, aligned to a page, and is never taken back;
    // every process uses its words as atomic ones.
    unsafe {
        let start = libc::mmap(
            ptr::null_mut(),
            words * 8,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED,
            fd,
            0,
        );
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(std::slice::from_raw_parts(start.cast(), words))
    }
}
