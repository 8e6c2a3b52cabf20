//! What the user of a reactor implements.

use std::sync::Arc;

use crate::{Readiness, Scratch};

/// Something with a descriptor, or at least a timer, that wants to be called.
pub trait Source: Send + Sync + 'static {
    /// The descriptor has become ready for something, or [`Registration::notify`](crate::Registration::notify) was called. Runs on a
    /// worker thread, on two of them at once if it so happens; `scratch` is that thread's.
    fn ready(self: Arc<Self>, readiness: Readiness, scratch: &mut Scratch);

    /// The time of [`Registration::set_timer`](crate::Registration::set_timer) has come. Runs on a worker thread, possibly while `ready`
    /// runs on another. The timer is off then; set it anew to be called again.
    fn expired(self: Arc<Self>, scratch: &mut Scratch) {
        let _ = scratch;
    }
}
