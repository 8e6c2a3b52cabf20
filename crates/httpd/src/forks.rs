//! Processes that a child of prefork forks for its connections, as mpm-itk does for each: httpd knows the child only, and tells it
//! by a signal to finish what is under way. What it forks hears of that through memory that both have.

use std::ffi::c_int;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

use httpd_sys as sys;

use crate::apr::Pool;

/// Whether the child is to finish: in memory that its forks share. NULL where nobody forks.
static FINISHES: AtomicPtr<AtomicBool> = AtomicPtr::new(ptr::null_mut());
/// The MPM's own handler.
static BEFORE: AtomicUsize = AtomicUsize::new(libc::SIG_DFL);

/// Has what this child forks know of a graceful stop; for child_init under prefork, whose signal handlers are there by then.
/// Nothing happens unless mpm-itk is loaded. It lasts as long as `pool`, the child's.
pub fn share_graceful_end(pool: Pool<'_>) {
    // SAFETY: the list of modules is httpd's, and does not change in a child. A new page of memory is nobody else's, zeroed, and
    // stays as long as the process, since a signal may come at any time; a zero is `false`. The handler is in this DSO, which
    // stays until the pool's cleanup has put the old one back, whose flags and mask it keeps.
    unsafe {
        if sys::ap_find_linked_module(c"mpm_itk.c".as_ptr()).is_null() {
            return;
        }
        let page = libc::mmap(
            ptr::null_mut(),
            size_of::<AtomicBool>(),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        let mut action: libc::sigaction = std::mem::zeroed();
        let has_handler = libc::sigaction(SIGNAL, ptr::null(), &mut action) == 0
            && action.sa_flags & libc::SA_SIGINFO == 0
            && ![libc::SIG_DFL, libc::SIG_IGN].contains(&action.sa_sigaction);
        if page == libc::MAP_FAILED || !has_handler {
            return;
        }
        FINISHES.store(page.cast(), Ordering::Release);
        BEFORE.store(action.sa_sigaction, Ordering::Release);
        action.sa_sigaction = handle as extern "C" fn(c_int) as libc::sighandler_t;
        libc::sigaction(SIGNAL, &action, ptr::null_mut());
    }
    pool.before_cleanup(|| {
        // SAFETY: as above; the handler is the MPM's own again.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            if libc::sigaction(SIGNAL, ptr::null(), &mut action) == 0 {
                action.sa_sigaction = BEFORE.load(Ordering::Acquire);
                libc::sigaction(SIGNAL, &action, ptr::null_mut());
            }
        }
    });
}

/// Whether the child that this process is, or that has forked it, has been told to finish.
pub fn is_finishing() -> bool {
    // SAFETY: the page is mapped for ever, in the child and in what it has forked.
    let finishes = unsafe { FINISHES.load(Ordering::Acquire).as_ref() };
    finishes.is_some_and(|finishes| finishes.load(Ordering::Relaxed))
}

const SIGNAL: c_int = sys::AP_SIG_GRACEFUL as c_int;

extern "C" fn handle(signal: c_int) {
    // SAFETY: the page is mapped for ever; a store is allowed in a signal handler, and the MPM's own is a function of this form.
    unsafe {
        if let Some(finishes) = FINISHES.load(Ordering::Acquire).as_ref() {
            finishes.store(true, Ordering::Relaxed);
        }
        let before = BEFORE.load(Ordering::Acquire);
        std::mem::transmute::<usize, extern "C" fn(c_int)>(before)(signal);
    }
}
