//! The robust lock that processes share, and the futex that they wait at: the only unsafe code of this crate.

use std::io;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::bell::Bell;
use crate::error::LockError;

/// The words that a lock takes; on no Linux has a mutex more than 48 bytes.
pub(crate) const LOCK: usize = 8;

const _: () = assert!(size_of::<libc::pthread_mutex_t>() <= LOCK * 8);
const _: () = assert!(align_of::<libc::pthread_mutex_t>() <= align_of::<AtomicU64>());

/// How often to look again before going to sleep: a record of a few KiB is copied in less.
const LOOKS: usize = 200;

/// A lock in shared memory, which the system takes back from a thread that ends with it, in whatever process.
#[derive(Clone, Copy)]
pub(crate) struct RobustLock<'m>(&'m [AtomicU64; LOCK]);

/// How the lock was got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Acquired {
    /// From nobody, or from a thread that let go of it.
    Clean,
    /// From a thread that has ended with it.
    OwnerDied,
}

impl<'m> RobustLock<'m> {
    /// Makes a lock of words that nobody uses yet.
    pub(crate) fn make(words: &'m [AtomicU64; LOCK]) -> io::Result<Self> {
        let lock = RobustLock(words);
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: the attributes are initialised before they are used, and destroyed once. The mutex is within words
        // that live as long as the lock, are aligned for it, may be written through a shared reference, and are used as
        // a mutex only from here on.
        unsafe {
            check(libc::pthread_mutexattr_init(attributes.as_mut_ptr()))?;
            let attributes = attributes.assume_init_mut();
            let made = check(libc::pthread_mutexattr_setpshared(
                attributes,
                libc::PTHREAD_PROCESS_SHARED,
            ))
            .and_then(|()| {
                check(libc::pthread_mutexattr_setrobust(
                    attributes,
                    libc::PTHREAD_MUTEX_ROBUST,
                ))
            })
            .and_then(|()| {
                check(libc::pthread_mutexattr_settype(
                    attributes,
                    libc::PTHREAD_MUTEX_ERRORCHECK,
                ))
            })
            .and_then(|()| check(libc::pthread_mutex_init(lock.mutex(), attributes)));
            libc::pthread_mutexattr_destroy(attributes);
            made?;
        }
        Ok(lock)
    }

    /// The lock that [`RobustLock::make`] has made of these words, in this process or in one that shares them.
    pub(crate) fn find(words: &'m [AtomicU64; LOCK]) -> Self {
        RobustLock(words)
    }

    /// Takes the lock, waiting for it at most so long (roughly: when the system's time is set, that counts).
    pub(crate) fn lock(self, patience: Duration) -> Result<Acquired, LockError> {
        let mut result = libc::EBUSY;
        for _ in 0..LOOKS {
            // SAFETY: the words hold a mutex that `make` has initialised, and stay mapped while `self` is there.
            result = unsafe { libc::pthread_mutex_trylock(self.mutex()) };
            match result {
                libc::EBUSY => std::hint::spin_loop(),
                _ => break,
            }
        }
        if result == libc::EBUSY {
            let until = deadline(patience);
            // SAFETY: as above; `until` outlives the call.
            result = unsafe { libc::pthread_mutex_timedlock(self.mutex(), &until) };
        }
        match result {
            0 => Ok(Acquired::Clean),
            libc::EOWNERDEAD => {
                // What its owner left behind is told by the words that it protects, however often somebody dies over
                // mending them; so the lock itself is in order at once.
                // SAFETY: this thread has got the mutex, with EOWNERDEAD.
                unsafe { libc::pthread_mutex_consistent(self.mutex()) };
                Ok(Acquired::OwnerDied)
            }
            libc::ETIMEDOUT => Err(LockError::Busy),
            libc::EDEADLK => Err(LockError::Held),
            error => Err(LockError::System(error)),
        }
    }

    /// Lets go of it. Called by the thread that has it; from any other one it does nothing.
    pub(crate) fn unlock(self) {
        // SAFETY: as in `lock`; an error-checking mutex refuses a thread that does not have it.
        unsafe { libc::pthread_mutex_unlock(self.mutex()) };
    }

    fn mutex(self) -> *mut libc::pthread_mutex_t {
        self.0.as_ptr().cast::<libc::pthread_mutex_t>().cast_mut()
    }
}

/// Has every thread that takes a log's lock handle no signal until it gives it back. For a process that is ended in a signal
/// handler which uses the log itself: one that came between two steps of the lock's would take it for good.
pub fn hold_signals() {
    HOLDS_SIGNALS.store(true, Ordering::Relaxed);
}

static HOLDS_SIGNALS: AtomicBool = AtomicBool::new(false);

/// While it lives, its thread handles no signal, where [`hold_signals`] has asked for that.
pub(crate) struct HeldSignals {
    before: Option<libc::sigset_t>,
    /// They are a thread's.
    _thread: PhantomData<*const ()>,
}

impl HeldSignals {
    pub(crate) fn new() -> Self {
        let before = HOLDS_SIGNALS.load(Ordering::Relaxed).then(|| {
            let (mut all, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
            // SAFETY: both sets outlive the calls, which write them before they are read; a mask's change cannot fail with
            // SIG_SETMASK, and the system leaves out what cannot be held.
            unsafe {
                libc::sigfillset(all.as_mut_ptr());
                // What the thread itself is at fault for cannot wait.
                for fault in [
                    libc::SIGSEGV,
                    libc::SIGBUS,
                    libc::SIGFPE,
                    libc::SIGILL,
                    libc::SIGABRT,
                ] {
                    libc::sigdelset(all.as_mut_ptr(), fault);
                }
                libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
                before.assume_init()
            }
        });
        HeldSignals {
            before,
            _thread: PhantomData,
        }
    }
}

impl Drop for HeldSignals {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // SAFETY: the mask is one that this thread had.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, ptr::null_mut()) };
        }
    }
}

/// Waits with the system's futex(2).
#[derive(Clone, Copy, Debug, Default)]
pub struct Futex;

impl Bell for Futex {
    fn wait(&self, word: &AtomicU64, seen: u64, most: Duration) {
        let most = timespec(most);
        // SAFETY: the kernel reads four aligned bytes of a live word, and `most`, which outlives the call.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                low_half(word),
                libc::FUTEX_WAIT,
                seen as u32,
                &raw const most,
            );
        }
    }

    fn wake(&self, word: &AtomicU64) {
        // SAFETY: the kernel takes the address of a live word as a name, and writes nothing.
        unsafe { libc::syscall(libc::SYS_futex, low_half(word), libc::FUTEX_WAKE, i32::MAX) };
    }
}

/// A futex has 32 bits; the word's low half is the one that changes with each step.
fn low_half(word: &AtomicU64) -> *const u32 {
    let halves = word.as_ptr().cast_const().cast::<u32>();
    match cfg!(target_endian = "little") {
        true => halves,
        // The second of two halves is within the word.
        false => halves.wrapping_add(1),
    }
}

/// Has the processor fetch a word that is going to be read soon.
pub(crate) fn prefetch(word: &AtomicU64) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint, which reads nothing as far as the program can tell; every x86-64 has it.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(word.as_ptr().cast_const().cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = word;
}

fn deadline(patience: Duration) -> libc::timespec {
    let mut now = timespec(Duration::ZERO);
    // SAFETY: `now` is valid for writing; this clock, which a mutex waits by, always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, ptr::from_mut(&mut now)) };
    let nanoseconds = now.tv_nsec as u64 + u64::from(patience.subsec_nanos());
    libc::timespec {
        tv_sec: now.tv_sec + (patience.as_secs() + nanoseconds / 1_000_000_000) as libc::time_t,
        tv_nsec: (nanoseconds % 1_000_000_000) as _,
    }
}

fn timespec(duration: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: libc::time_t::try_from(duration.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: duration.subsec_nanos() as _,
    }
}

fn check(result: i32) -> io::Result<()> {
    match result {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}
