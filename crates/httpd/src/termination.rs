//! SIGTERM in a child that finishes what is under way. The handler that an MPM with threads has for it does nothing: its
//! main thread waits for the others, and nobody hears that the parent cannot wait.

use std::ffi::{c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

use crate::socket::Waker;

/// Where the handler writes; none while there is no [`Termination`].
static WAKER: AtomicI32 = AtomicI32::new(NONE);
const NONE: c_int = -1;
/// The process that listens: one that it forks has the handler, too, until it executes something else.
static PROCESS: AtomicI32 = AtomicI32::new(NONE);

/// While it lives, a SIGTERM from another process uses its waker. One that the process sends to itself does not: with it
/// event and worker wake their main thread, in each child that begins to finish (`close_listeners` of event.c, the end of
/// `listener_thread` in worker.c).
///
/// The process has at most one.
pub struct Termination {
    waker: Waker,
    before: libc::sigaction,
}

impl Termination {
    /// Listens from now on, in the MPM's stead.
    ///
    /// # Errors
    ///
    /// No descriptor is left, or somebody listens already.
    pub fn new() -> io::Result<Self> {
        let waker = Waker::new()?;
        let descriptor = waker.descriptor();
        if WAKER
            .compare_exchange(NONE, descriptor, Ordering::AcqRel, Ordering::Relaxed)
            .is_err()
        {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        // SAFETY: getpid cannot fail.
        PROCESS.store(unsafe { libc::getpid() }, Ordering::Release);
        let mut before = MaybeUninit::uninit();
        // SAFETY: zero is an empty mask and no flag; the handler has the form that SA_SIGINFO asks for, and calls only what a
        // signal handler may. It is in this DSO, which stays until the process has dropped this. No SA_RESTART: the MPM wants
        // its main thread's read interrupted.
        let status = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handle as extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void)
                as libc::sighandler_t;
            action.sa_flags = libc::SA_SIGINFO;
            libc::sigaction(libc::SIGTERM, &action, before.as_mut_ptr())
        };
        if status != 0 {
            WAKER.store(NONE, Ordering::Release);
            return Err(io::Error::last_os_error());
        }
        Ok(Termination {
            waker,
            // SAFETY: sigaction has succeeded, and filled it in.
            before: unsafe { before.assume_init() },
        })
    }

    /// Used when the signal has come. Whoever waits for it may use it, too.
    pub fn waker(&self) -> &Waker {
        &self.waker
    }
}

impl Drop for Termination {
    fn drop(&mut self) {
        // SAFETY: it is what sigaction has said of this signal.
        unsafe { libc::sigaction(libc::SIGTERM, &self.before, ptr::null_mut()) };
        // Behind it, and before the descriptor goes. The thread that handles the signal is the main one, which drops this.
        WAKER.store(NONE, Ordering::Release);
    }
}

extern "C" fn handle(signal: c_int, info: *mut libc::siginfo_t, _context: *mut c_void) {
    const ONE: u64 = 1;
    // SAFETY: with SA_SIGINFO the system gives the signal's details, and who has sent it for those of kill. getpid, signal, raise
    // and write may be called here; a full counter is as good as a written one. The interrupted code keeps its errno.
    unsafe {
        let errno = libc::__errno_location();
        let before = *errno;
        let this = libc::getpid();
        if this != PROCESS.load(Ordering::Acquire) {
            // What it shares with the process that listens is not its to use, and the signal is its own: raised again, it ends
            // the process when this returns.
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        } else if (*info).si_pid() != this {
            libc::write(
                WAKER.load(Ordering::Acquire),
                ptr::from_ref(&ONE).cast(),
                size_of::<u64>(),
            );
        }
        *errno = before;
    }
}
