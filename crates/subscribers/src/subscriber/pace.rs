//! Whether a subscriber's outlet keeps up, which is more than that it has no room: what it had missed may fill it.

use crate::outlet::Outlet;
use crate::sync::atomic::{AtomicBool, Ordering};

/// Whether an outlet keeps up. Where several subscribers have one, it is theirs together: what one of them had missed fills it
/// for all.
#[derive(Default)]
pub(crate) struct Pace {
    /// There has been ample room since the last of them was behind. Relaxed: a hint, and each of them has its own state.
    is_steady: AtomicBool,
}

impl Pace {
    pub fn is_steady(&self) -> bool {
        self.is_steady.load(Ordering::Relaxed)
    }

    /// What somebody had missed is about to be handed on.
    pub fn falters(&self) {
        self.is_steady.store(false, Ordering::Relaxed);
    }

    /// All of what was missed has been handed on.
    pub fn has_caught_up(&self, outlet: &dyn Outlet) {
        self.is_steady
            .store(outlet.has_ample_room(), Ordering::Relaxed);
    }

    /// A live record has been handed on: what was missed fills the outlet no longer, once there is ample room.
    pub fn has_got(&self, outlet: &dyn Outlet) {
        if !self.is_steady() && outlet.has_ample_room() {
            self.is_steady.store(true, Ordering::Relaxed);
        }
    }
}
