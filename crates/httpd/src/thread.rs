//! A thread that leaves nothing behind in the thread that has made it, where `std::thread` registers a destructor that
//! would keep the module from being unloaded.

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::{io, ptr};

use crate::guard::guard;

/// A running thread, in which no signal is handled that is not a fault of its own.
pub struct Thread(libc::pthread_t);

type Body = Box<dyn FnOnce() + Send>;

impl Thread {
    /// Starts a thread.
    pub fn spawn(name: &std::ffi::CStr, body: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let body: Body = Box::new(body);
        let body = Box::into_raw(Box::new(body));
        let mut thread = MaybeUninit::uninit();
        // SAFETY: the new thread takes the body over, or the box is ours again; the name is copied and may be too long,
        // which changes nothing.
        unsafe {
            let before = block_signals();
            let status = libc::pthread_create(
                thread.as_mut_ptr(),
                ptr::null(),
                enter,
                body.cast::<c_void>(),
            );
            libc::pthread_sigmask(libc::SIG_SETMASK, &before, ptr::null_mut());
            if status != 0 {
                drop(Box::from_raw(body));
                return Err(io::Error::from_raw_os_error(status));
            }
            let thread = thread.assume_init();
            libc::pthread_setname_np(thread, name.as_ptr());
            Ok(Thread(thread))
        }
    }

    /// Waits for its end. Not to be called on the thread itself.
    pub fn join(self) {
        // SAFETY: the thread was made by `spawn`, and is joined once.
        unsafe { libc::pthread_join(self.0, ptr::null_mut()) };
    }
}

extern "C" fn enter(body: *mut c_void) -> *mut c_void {
    // SAFETY: `Thread::spawn` has given this box away for this one call.
    let body = unsafe { Box::from_raw(body.cast::<Body>()) };
    guard((), body);
    ptr::null_mut()
}

/// Blocks all signals in this thread but those of faults, and says what was blocked before.
pub(crate) fn block_signals() -> libc::sigset_t {
    const FAULTS: [c_int; 7] = [
        libc::SIGABRT,
        libc::SIGBUS,
        libc::SIGFPE,
        libc::SIGILL,
        libc::SIGSEGV,
        libc::SIGSYS,
        libc::SIGTRAP,
    ];
    let (mut block, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    // SAFETY: the first set is initialised before it is read, the second by pthread_sigmask, which cannot fail.
    unsafe {
        libc::sigfillset(block.as_mut_ptr());
        for signal in FAULTS {
            libc::sigdelset(block.as_mut_ptr(), signal);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, block.as_ptr(), before.as_mut_ptr());
        before.assume_init()
    }
}
