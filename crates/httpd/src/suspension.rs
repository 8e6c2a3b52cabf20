//! The suspend_connection hook, and what a handler leaves on a connection for it.

use std::ffi::c_int;
use std::sync::Arc;

use httpd_sys as sys;

use crate::guard::guard;
use crate::module::Module;

/// What a module's handler lays on a connection that it wants suspended ([`Request::suspend`](crate::request::Request::suspend)). Each is answered
/// once, by one of its two functions.
pub trait Suspension: Send + Sync + 'static {
    /// The module that it is of.
    fn module() -> &'static Module;

    /// The MPM has given the connection up; it belongs to this now. Runs on the thread that served the request.
    fn suspended(self: Arc<Self>);

    /// The MPM keeps the connection, and the request is about to end. Runs on the thread that has the connection.
    fn swallowed(self: Arc<Self>);
}

/// Registers a function for suspended connections. It is the last of its hook: only the MPM's own two stores
/// into the connection come after it ([`crate::upgraded::Remains::destroy`] has more).
pub fn suspend_connection<C: Suspension>() {
    // SAFETY: registering is what a register_hooks function may do; the function stays while the DSO is loaded.
    unsafe {
        sys::ap_hook_suspend_connection(
            Some(suspend_entry::<C>),
            std::ptr::null(),
            std::ptr::null(),
            sys::APR_HOOK_REALLY_LAST as c_int,
        );
    }
}

unsafe extern "C" fn suspend_entry<C: Suspension>(
    c: *mut sys::conn_rec,
    _r: *mut sys::request_rec,
) {
    guard((), || {
        // SAFETY: httpd passes a live connection; what the module keeps on it is what `Request::suspend` left, of
        // the one type that it has.
        let (suspension, is_suspended) = unsafe {
            let suspension = C::module().take_connection_value::<C>(c);
            // The hook runs for every connection that a worker thread lets go, also for one that waits for its next
            // request or lingers.
            let state = (*c).cs.as_ref().map(|cs| cs.state);
            let is_suspended = state == Some(sys::conn_state_e_CONN_STATE_SUSPENDED);
            (suspension, is_suspended)
        };
        match suspension {
            Some(suspension) if is_suspended => suspension.suspended(),
            Some(suspension) => suspension.swallowed(),
            None => {}
        }
    });
}
