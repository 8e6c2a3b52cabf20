//! A child process, as a plugin sees it.

use core::ffi::{CStr, c_int};
use core::fmt;
use std::ffi::CString;
use std::sync::Arc;

use crate::gate::Gated;
use crate::host::Host;

/// The child process that [`Plugin::child_start`](crate::Plugin::child_start) has begun.
///
/// Cheap to clone, and usable from any thread. It may outlive
/// [`Plugin::child_stop`](crate::Plugin::child_stop); after that there are no options.
#[derive(Clone)]
pub struct Process {
    gated: Arc<Gated>,
}

impl Process {
    /// The value that `WebSocketPluginOption` gives this option in the server config, that is
    /// outside of virtual hosts and locations. `None` when it is not set there, and after
    /// `child_stop`.
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
        Self { gated }
    }

    pub(crate) fn end(&self) {
        self.gated.shut();
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
