//! Threads of plugins.

use core::mem::MaybeUninit;
use core::ptr;
use std::io;
use std::thread::{Builder, JoinHandle};

/// Starts a thread that gets no signals: those of a process are httpd's, and in a child of the
/// prefork MPM a thread that takes one ends the child in the middle of its work.
///
/// Otherwise it is [`std::thread::spawn`] with a name, and like there a panic is what
/// [`JoinHandle::join`] returns.
pub fn spawn<T: Send + 'static>(
    name: &str,
    f: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    // A new thread starts with the mask of the one that starts it. (Miri knows no signal masks.)
    let _blocked = if cfg!(miri) {
        None
    } else {
        Some(SignalsBlocked::new()?)
    };
    Builder::new().name(name.to_owned()).spawn(f)
}

/// Blocks the calling thread's signals until it is dropped.
struct SignalsBlocked {
    before: libc::sigset_t,
}

impl SignalsBlocked {
    fn new() -> io::Result<Self> {
        let mut all = MaybeUninit::uninit();
        let mut before = MaybeUninit::uninit();
        // SAFETY: `all` is filled in before it is read, and `before` by a call that succeeded.
        unsafe {
            libc::sigfillset(all.as_mut_ptr());
            // A fault goes to the thread that made it, and blocked it would not be reported.
            for fault in [
                libc::SIGSEGV,
                libc::SIGBUS,
                libc::SIGFPE,
                libc::SIGILL,
                libc::SIGTRAP,
                libc::SIGSYS,
                libc::SIGABRT,
            ] {
                libc::sigdelset(all.as_mut_ptr(), fault);
            }
            match libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) {
                0 => Ok(Self {
                    before: before.assume_init(),
                }),
                error => Err(io::Error::from_raw_os_error(error)),
            }
        }
    }
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        // SAFETY: `before` is this thread's earlier mask; the type cannot leave its thread, since
        // it never leaves `spawn`.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, ptr::null_mut()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_blocked(signal: i32) -> bool {
        let mut mask = MaybeUninit::uninit();
        // SAFETY: with no new mask the call only fills in the running one.
        unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), mask.as_mut_ptr());
            libc::sigismember(mask.as_ptr(), signal) == 1
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri knows no signal masks")]
    fn a_spawned_thread_gets_no_signals_and_its_parent_keeps_its_own() {
        let inside = spawn("test", || {
            (is_blocked(libc::SIGTERM), is_blocked(libc::SIGSEGV))
        });
        assert_eq!(inside.unwrap().join().unwrap(), (true, false));
        assert!(!is_blocked(libc::SIGTERM));
    }

    #[test]
    fn a_spawned_thread_has_its_name() {
        let name = spawn("counter", || {
            std::thread::current().name().map(str::to_owned)
        });
        assert_eq!(name.unwrap().join().unwrap().as_deref(), Some("counter"));
    }
}
