//! A child that takes its time to end, and is told that there is none: a stop, or a restart without grace, comes while
//! it drains. httpd's parent sends SIGTERM, to which the MPM does not listen any more, and kills it some nine seconds later.

use std::ffi::CStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use httpd::socket::{self, Interest};
use httpd::termination::Termination;
use httpd::thread::Thread;

/// How long the clients may take to answer the Close. httpd's parent begins to complain of a child after 3 s.
const MOMENT: Duration = Duration::from_secs(1);
/// How often it is looked whether they have.
const LOOK: Duration = Duration::from_millis(20);
const NAME: &CStr = c"websocket-haste";

/// Waits beside a drain for the signal that cuts it short.
pub struct Haste {
    shared: Arc<Shared>,
    thread: Thread,
}

struct Shared {
    termination: Termination,
    is_over: AtomicBool,
}

/// What is to end sooner.
pub trait Hasty: Send + 'static {
    /// Has everybody told at once.
    fn tell_all(&self);

    /// Whether nobody is left.
    fn is_done(&self) -> bool;

    /// Ends those who are left.
    fn end_all(&self);
}

impl Haste {
    /// Begins to wait. `None` when the system has no thread or no descriptor for it: the drain is not cut short then.
    pub fn start(hasty: impl Hasty) -> Option<Self> {
        let shared = Arc::new(Shared {
            termination: Termination::new().ok()?,
            is_over: AtomicBool::new(false),
        });
        let its = Arc::clone(&shared);
        let thread = Thread::spawn(NAME, move || its.run(&hasty));
        Some(Haste {
            shared,
            thread: thread.ok()?,
        })
    }

    /// The end has come.
    pub fn end(self) {
        self.shared.is_over.store(true, Ordering::Release);
        self.shared.termination.waker().wake();
        self.thread.join();
    }
}

impl Shared {
    fn run(&self, hasty: &impl Hasty) {
        self.wait(None);
        if self.is_over() {
            return;
        }
        hasty.tell_all();
        let deadline = Instant::now() + MOMENT;
        while !hasty.is_done() && !self.is_over() && Instant::now() < deadline {
            self.termination.waker().clear();
            self.wait(Some(LOOK));
        }
        if !self.is_over() {
            hasty.end_all();
        }
    }

    fn wait(&self, timeout: Option<Duration>) {
        let waker = self.termination.waker().descriptor();
        // Signals are held in this thread: only the waker and the time end this.
        let nothing = Interest {
            read: false,
            write: false,
            end: false,
        };
        let _ = socket::wait(None, NOBODY, waker, nothing, timeout);
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }
}

/// No socket is waited for.
const NOBODY: i32 = -1;
