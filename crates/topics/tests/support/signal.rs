//! A signal, what handles it, and whom it interrupts.

/// Has `handler` called in whatever thread gets the signal.
///
/// # Safety
/// `handler` may be called at any instruction of any thread: it does nothing that these may be in the middle of.
pub unsafe fn handle(handler: extern "C" fn(libc::c_int)) {
    let address = handler as *const () as libc::sighandler_t;
    // SAFETY: the caller's promise.
    unsafe { libc::signal(libc::SIGUSR1, address) };
}

/// A thread that can be interrupted.
#[derive(Clone, Copy)]
pub struct Target(libc::pthread_t);

impl Target {
    /// The calling thread.
    pub fn this() -> Self {
        // SAFETY: it takes nothing.
        Target(unsafe { libc::pthread_self() })
    }

    /// Interrupts it.
    ///
    /// # Safety
    /// The thread has not ended.
    pub unsafe fn interrupt(self) {
        // SAFETY: the caller's promise.
        unsafe { libc::pthread_kill(self.0, libc::SIGUSR1) };
    }
}
