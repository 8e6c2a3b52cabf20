//! A child process, as a plugin sees it.

use core::ffi::{CStr, c_int};
use core::fmt;
use core::time::Duration;
use std::ffi::CString;
use std::io;
use std::sync::Arc;

use crate::clock::Clock;
use crate::gate::Gated;
use crate::host::Host;
use crate::topics::Topics;

/// The child process that [`Plugin::child_start`](crate::Plugin::child_start) has begun.
///
/// One, however many names httpd has loaded the plugin under. Cheap to clone, and usable from any thread. It may outlive
/// [`Plugin::child_stop`](crate::Plugin::child_stop); after that there are no options.
#[derive(Clone)]
pub struct Process {
    gated: Arc<Gated>,
    clock: Arc<Clock>,
}

impl Process {
    /// The value that `WebSocketProcessOption` gives this option for the plugin's init function, or else
    /// `WebSocketPluginOption` in the server config, that is outside of virtual hosts and locations. `None` when it is
    /// not set there, and after `child_stop`.
    pub fn option(&self, name: &str) -> Option<String> {
        let name = CString::new(name).ok()?;
        self.gated.call(|host| {
            // SAFETY: the gate is open, so the table is alive, and the value with it.
            let value = unsafe { host.option_get(&name) }?;
            value.to_str().ok().map(str::to_owned)
        })?
    }

    /// # Safety
    /// The table of `host` is alive until [`end`](Self::end) has returned.
    pub(crate) unsafe fn new(host: Host) -> Self {
        // SAFETY: as the caller says.
        let gated = Arc::new(unsafe { Gated::new(host) });
        let clock = Arc::default();
        Self { gated, clock }
    }

    /// Has `job` called once, after this time or somewhat later, on a thread that this process's timers share. An error
    /// says that there is no thread, or that the process ends; a time that no clock can show is
    /// [`InvalidInput`](io::ErrorKind::InvalidInput).
    ///
    /// From then until [`Plugin::child_stop`](crate::Plugin::child_stop), which waits for a job that runs, and before which
    /// all others are dropped. A job that takes long delays the next ones. A panic is logged.
    ///
    /// ```
    /// use std::time::Duration;
    /// use websocket_plugin::{Message, Process, Room};
    ///
    /// fn child_start(room: &Room, process: &Process) -> std::io::Result<()> {
    ///     let room = room.clone();
    ///     process.every(Duration::from_secs(1), move || {
    ///         room.send(Message::Text("tick"));
    ///     })
    /// }
    /// ```
    pub fn after(&self, time: Duration, job: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let mut job = Some(job);
        let job = move || {
            if let Some(job) = job.take() {
                job();
            }
        };
        self.clock.add(time, None, Box::new(job))
    }

    /// [`after`](Self::after), over and over with this time in between. One that panics is not called again.
    pub fn every(&self, period: Duration, job: impl FnMut() + Send + 'static) -> io::Result<()> {
        let period = period.max(Duration::from_millis(1));
        self.clock.add(period, Some(period), Box::new(job))
    }

    /// The topics of the server, to publish to them and to see who is there.
    pub fn topics(&self) -> Topics<'_> {
        Topics::new(&self.gated)
    }

    /// Ends the timers.
    pub(crate) fn stop_timers(&self) {
        self.clock.stop();
    }

    pub(crate) fn end(&self) {
        self.gated.shut();
    }

    /// Goes on with another one's table, which is alive, when it has ended.
    pub(crate) fn hand_over(&self, other: &Self) {
        self.gated.hand_over(Arc::clone(&other.gated));
    }

    /// Writes a line; `false` when there is no log any more.
    pub(crate) fn log(&self, level: c_int, line: &CStr) -> bool {
        let written = self.gated.call(|host| {
            // SAFETY: the gate is open, so the table is alive.
            unsafe { host.log(level, line) }
        });
        written.is_some()
    }

    /// The table, for a running callback.
    pub(crate) fn host(&self) -> Host {
        self.gated.host()
    }

    /// Whether both stand for the same `child_start`.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.gated, &other.gated)
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").finish_non_exhaustive()
    }
}
