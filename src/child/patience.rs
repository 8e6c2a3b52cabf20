//! Who holds up the end of a process: a plugin's callback that does not return is named before httpd kills the child.

use std::ffi::CStr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use httpd::log::Subject;
use httpd::server::Server;
use httpd::thread::Thread;

use crate::lock::lock;
use crate::log::{self, Level, Tag};

/// How long callbacks may take to return when the process is to end at once. httpd kills it after about 10 s.
const PATIENCE: Duration = Duration::from_secs(3);
const NAME: &CStr = c"websocket-end";

/// Waits beside the end of a process, and says what it waits for.
pub struct Patience {
    shared: Arc<Shared>,
    thread: Thread,
}

#[derive(Default)]
struct Shared {
    is_over: Mutex<bool>,
    over: Condvar,
}

impl Patience {
    /// Begins to wait; `running` says which callbacks still run, one line each. `None` when there is no thread to be had.
    pub fn start(running: impl FnOnce() -> Vec<String> + Send + 'static) -> Option<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = Thread::spawn(NAME, move || {
            let is_over = lock(&theirs.is_over);
            let waited = theirs
                .over
                .wait_timeout_while(is_over, PATIENCE, |over| !*over);
            if waited.is_ok_and(|(is_over, _)| !*is_over) {
                say(running());
            }
        });
        Some(Patience {
            shared,
            thread: thread.ok()?,
        })
    }

    /// The end has come.
    pub fn end(self) {
        *lock(&self.shared.is_over) = true;
        self.shared.over.notify_all();
        self.thread.join();
    }
}

fn say(running: Vec<String>) {
    let subject = Server::main().map_or(Subject::Process, Subject::Server);
    for what in running {
        log::log(&subject, Level::Warn, Tag::StillRunning, || {
            format!(
                "{what} has not returned for {} s, and holds up the end of this process, which httpd will kill",
                PATIENCE.as_secs()
            )
        });
    }
}
