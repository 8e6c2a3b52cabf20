//! The thread that delivers to a child's subscribers what all children publish.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use httpd::guard::guard;
use httpd::host_thread;
use httpd::thread::Thread;
use subscribers::Hub;
use topics::{Batch, Log, Reader};

use super::memory;

/// How late a message may be whose publisher was killed before it could ring, when no other follows.
const LATEST: Duration = Duration::from_secs(1);

/// The running thread.
pub struct Deliverer {
    shared: Arc<Shared>,
    thread: Thread,
}

struct Shared {
    log: Log<'static>,
    hub: Arc<Hub>,
    is_stopping: AtomicBool,
}

impl Deliverer {
    /// Starts it; `reader` begins at the log's end.
    pub fn start(
        log: Log<'static>,
        hub: Arc<Hub>,
        mut reader: Reader<'static>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            log,
            hub,
            is_stopping: AtomicBool::new(false),
        });
        let its = Arc::clone(&shared);
        let thread = Thread::spawn(c"websocket-topic", move || {
            // It writes through other modules' filters.
            host_thread::with_record(&mut || its.run(&mut reader));
        })?;
        Ok(Deliverer { shared, thread })
    }

    /// Ends it, and waits for its end when `join`.
    pub fn stop(self, join: bool) {
        self.shared.is_stopping.store(true, Ordering::Release);
        self.shared.hub.ring();
        if join {
            self.thread.join();
        }
    }
}

impl Shared {
    fn run(&self, reader: &mut Reader<'static>) {
        let mut batch = Batch::new();
        while !self.is_stopping.load(Ordering::Acquire) {
            let has_read = guard(true, || {
                // It is woken when a child has died, and looks once more when that was not possible (`LATEST`).
                memory::settle(&self.log);
                self.hub.pump(reader, &mut batch)
            });
            if !has_read {
                let is_over = || self.is_stopping.load(Ordering::Acquire);
                self.hub.wait(reader, LATEST, is_over);
            }
        }
    }
}
