//! The system calls that std does not wrap, and the only unsafe code of this crate.
//!
//! Threads are made with `pthread_create` and not with `std::thread`: std's spawn registers a
//! thread-local destructor on the *calling* thread, which would pin the shared object this crate is
//! linked into, and it sets a stack size of its own, where callbacks into foreign code want the
//! system's.

use std::any::Any;
use std::ffi::{CString, c_int, c_void};
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;
use std::{io, mem, ptr};

pub(crate) use libc::{EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP};

/// An epoll instance.
pub(crate) struct Epoll(OwnedFd);

impl Epoll {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: takes no pointer; the result is checked before use.
        let fd = cvt(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: `fd` was just opened and has no other owner.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Watches `fd` for `events`, which will be reported with `data`.
    pub(crate) fn add(&self, fd: RawFd, events: c_int, data: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, events, data)
    }

    /// Replaces what `fd` is watched for.
    pub(crate) fn modify(&self, fd: RawFd, events: c_int, data: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, events, data)
    }

    /// Stops watching `fd`.
    pub(crate) fn delete(&self, fd: RawFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd, 0, 0)
    }

    /// Waits up to `timeout` milliseconds (-1: for ever) and calls `event(events, data)` for each
    /// event that was reported; returns their number.
    pub(crate) fn wait(
        &self,
        buffer: &mut EventBuffer,
        timeout: c_int,
        mut event: impl FnMut(c_int, u64),
    ) -> io::Result<usize> {
        let room = c_int::try_from(buffer.0.len()).unwrap_or(c_int::MAX);
        // SAFETY: the pointer and `room` describe `buffer`, which is borrowed for the whole call.
        let n = cvt(unsafe {
            libc::epoll_wait(self.0.as_raw_fd(), buffer.0.as_mut_ptr(), room, timeout)
        })?;
        let n = usize::try_from(n).unwrap_or(0);
        for e in &buffer.0[..n] {
            // The kernel's bits fit: EPOLLET, bit 31, is never reported.
            event(e.events as c_int, e.u64);
        }
        Ok(n)
    }

    fn control(&self, op: c_int, fd: RawFd, events: c_int, data: u64) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: events as u32,
            u64: data,
        };
        // SAFETY: `event` outlives the call, and the kernel keeps no pointer to it. A bad `fd` is an
        // error, not undefined behaviour.
        cvt(unsafe { libc::epoll_ctl(self.0.as_raw_fd(), op, fd, &mut event) })?;
        Ok(())
    }
}

/// Where [`Epoll::wait`] has the kernel put its events.
pub(crate) struct EventBuffer(Box<[libc::epoll_event]>);

impl EventBuffer {
    pub(crate) fn new(room: usize) -> Self {
        Self(vec![libc::epoll_event { events: 0, u64: 0 }; room].into())
    }
}

/// A non-blocking eventfd with count 0.
pub(crate) fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: takes no pointer; the result is checked before use.
    let fd = cvt(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
    // SAFETY: `fd` was just opened and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Blocks until `descriptor` takes output, is hung up or in error, until `waker` can be read, a signal is handled, or the
/// time is over (`None`: for ever).
pub(crate) fn poll_for_room(
    descriptor: RawFd,
    waker: Option<RawFd>,
    timeout: Option<Duration>,
) -> io::Result<()> {
    let watched = |fd, events| libc::pollfd {
        fd,
        events,
        revents: 0,
    };
    // A negative descriptor is left out.
    let mut watched = [
        watched(descriptor, libc::POLLOUT),
        watched(waker.unwrap_or(-1), libc::POLLIN),
    ];
    let timeout = timeout.map(|timeout| libc::timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the pointers describe what outlives the call; a descriptor that is none is an answer, not undefined.
    cvt(unsafe { libc::ppoll(watched.as_mut_ptr(), 2, timeout, ptr::null()) })?;
    Ok(())
}

/// The clock that timers live by.
#[derive(Clone, Copy)]
pub(crate) enum ClockKind {
    /// Exact.
    Precise,
    /// Behind by up to [`coarse_resolution`], and several times cheaper to read.
    Coarse,
}

/// Time since an arbitrary point in the past; never goes back.
pub(crate) fn monotonic(kind: ClockKind) -> Duration {
    let clock = match kind {
        ClockKind::Precise => libc::CLOCK_MONOTONIC,
        ClockKind::Coarse => libc::CLOCK_MONOTONIC_COARSE,
    };
    let mut time = ZERO_TIME;
    // SAFETY: `time` is valid for writing; both clocks exist since Linux 2.6.32.
    unsafe { libc::clock_gettime(clock, &mut time) };
    duration(time)
}

/// How far [`ClockKind::Coarse`] may lag behind [`ClockKind::Precise`].
pub(crate) fn coarse_resolution() -> Duration {
    let mut time = ZERO_TIME;
    // SAFETY: `time` is valid for writing.
    unsafe { libc::clock_getres(libc::CLOCK_MONOTONIC_COARSE, &mut time) };
    duration(time)
}

/// The kernel's number of the calling thread, as under `/proc/self/task`.
pub(crate) fn thread_id() -> u32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::gettid() }.unsigned_abs()
}

/// A thread that can be joined. Dropping it without [`Thread::join`] leaks the thread's stack.
#[derive(Debug)]
pub(crate) struct Thread(usize);

impl Thread {
    /// Stands for a thread of a model, which the model makes and joins itself; not to be joined here.
    #[cfg(all(test, loom))]
    pub(crate) const OF_MODEL: Self = Self(0);

    /// Starts a thread with the asynchronous signals blocked.
    ///
    /// `name` is cut to the 15 bytes that Linux keeps. `stack_size` is in bytes, 0 for the system's
    /// default. A panic out of `body` ends the thread and nothing else.
    pub(crate) fn spawn(
        name: &str,
        stack_size: usize,
        body: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let name: Vec<u8> = name.bytes().filter(|&b| b != 0).take(15).collect();
        let start = Box::new(Start {
            name: CString::new(name).unwrap_or_default(),
            body: Box::new(body),
        });

        let attributes = Attributes::new(stack_size)?;
        let mut thread = mem::MaybeUninit::<libc::pthread_t>::uninit();
        let argument = Box::into_raw(start);
        let result = {
            let _mask = SignalMask::block();
            // SAFETY: `thread` and the attributes are valid for the call; `argument` is a leaked box
            // that the new thread takes over, so it lives until then.
            unsafe {
                libc::pthread_create(
                    thread.as_mut_ptr(),
                    &attributes.0,
                    enter,
                    argument.cast::<c_void>(),
                )
            }
        };
        if result != 0 {
            // SAFETY: no thread was made, so the box is still ours alone.
            drop(unsafe { Box::from_raw(argument) });
            return Err(io::Error::from_raw_os_error(result));
        }
        // SAFETY: `pthread_create` succeeded and has written it.
        Ok(Self(unsafe { thread.assume_init() } as usize))
    }

    /// Waits for the thread's end. Must not be called on the thread itself.
    pub(crate) fn join(self) {
        // SAFETY: the handle came from `pthread_create`, is joined only here, and `self` is consumed.
        unsafe { libc::pthread_join(self.0 as libc::pthread_t, ptr::null_mut()) };
    }
}

struct Start {
    name: CString,
    body: Box<dyn FnOnce() + Send>,
}

extern "C" fn enter(argument: *mut c_void) -> *mut c_void {
    // SAFETY: `Thread::spawn` leaked this very box for this one call.
    let start = unsafe { Box::from_raw(argument.cast::<Start>()) };
    let Start { name, body } = *start;
    // SAFETY: the thread is the running one and `name` is a C string of at most 15 bytes.
    unsafe { libc::pthread_setname_np(libc::pthread_self(), name.as_ptr()) };
    if let Err(payload) = catch_unwind(AssertUnwindSafe(body)) {
        // Dropping it could panic again, here where nothing may unwind.
        mem::forget::<Box<dyn Any + Send>>(payload);
    }
    ptr::null_mut()
}

struct Attributes(libc::pthread_attr_t);

impl Attributes {
    fn new(stack_size: usize) -> io::Result<Self> {
        let mut raw = mem::MaybeUninit::uninit();
        // SAFETY: `raw` is valid for writing.
        check(unsafe { libc::pthread_attr_init(raw.as_mut_ptr()) })?;
        // SAFETY: `pthread_attr_init` succeeded.
        let mut attributes = Self(unsafe { raw.assume_init() });
        if stack_size != 0 {
            // SAFETY: the attributes are initialised.
            check(unsafe { libc::pthread_attr_setstacksize(&mut attributes.0, stack_size) })?;
        }
        Ok(attributes)
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, destroyed only here.
        unsafe { libc::pthread_attr_destroy(&mut self.0) };
    }
}

/// Blocks the calling thread's asynchronous signals until dropped; a thread made meanwhile inherits
/// the mask.
pub struct SignalMask {
    before: libc::sigset_t,
    /// It stays with its thread.
    _thread: PhantomData<*const ()>,
}

impl SignalMask {
    /// Blocks those of this thread.
    pub fn block() -> Self {
        // What a fault of the thread itself raises stays open: blocked, the kernel would kill the
        // process without running the handler that a server has for it.
        const FAULTS: [c_int; 7] = [
            libc::SIGABRT,
            libc::SIGBUS,
            libc::SIGFPE,
            libc::SIGILL,
            libc::SIGSEGV,
            libc::SIGSYS,
            libc::SIGTRAP,
        ];
        let mut block = mem::MaybeUninit::uninit();
        let mut old = mem::MaybeUninit::uninit();
        // SAFETY: `sigfillset` initialises `block` before it is read, `pthread_sigmask` initialises
        // `old`; with a valid `how` neither can fail.
        unsafe {
            libc::sigfillset(block.as_mut_ptr());
            for signal in FAULTS {
                libc::sigdelset(block.as_mut_ptr(), signal);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, block.as_ptr(), old.as_mut_ptr());
            Self {
                before: old.assume_init(),
                _thread: PhantomData,
            }
        }
    }
}

impl Drop for SignalMask {
    fn drop(&mut self) {
        // SAFETY: the mask is the one that `block` read from this thread.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, ptr::null_mut()) };
    }
}

const ZERO_TIME: libc::timespec = libc::timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

fn duration(time: libc::timespec) -> Duration {
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

fn cvt(result: c_int) -> io::Result<c_int> {
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

fn check(result: c_int) -> io::Result<()> {
    if result != 0 {
        return Err(io::Error::from_raw_os_error(result));
    }
    Ok(())
}
