//! The hooks that a module registers. Each takes a trait's function, so that the entry from C is written once,
//! guarded, here.

use std::ffi::c_int;

use httpd_sys as sys;

use crate::apr::Pool;
use crate::guard::guard;
use crate::request::{HandlerResult, Request};
use crate::server::Server;

/// A content handler.
pub trait Handler {
    /// Answers a request. A panic becomes HTTP 500.
    fn handle(request: Request<'_>) -> HandlerResult;
}

/// Registers a content handler, before all ordinary ones.
pub fn handler<H: Handler>() {
    // SAFETY: registering is what a register_hooks function may do; the function stays while the DSO is loaded.
    unsafe {
        sys::ap_hook_handler(
            Some(handler_entry::<H>),
            std::ptr::null(),
            std::ptr::null(),
            (sys::APR_HOOK_FIRST as c_int) - 1,
        );
    }
}

unsafe extern "C" fn handler_entry<H: Handler>(r: *mut sys::request_rec) -> c_int {
    guard(sys::HTTP_INTERNAL_SERVER_ERROR as c_int, || {
        // SAFETY: httpd runs the handler hook with a live request, on one thread.
        H::handle(unsafe { Request::from_raw(r) }).as_raw()
    })
}

/// What a module does when a child starts.
pub trait ChildInit {
    /// `pool` goes when the child ends.
    fn child_init(pool: Pool<'static>, server: Server<'static>);
}

/// Registers a function for the start of each child.
pub fn child_init<C: ChildInit>() {
    // SAFETY: as in `handler`.
    unsafe {
        sys::ap_hook_child_init(
            Some(child_init_entry::<C>),
            std::ptr::null(),
            std::ptr::null(),
            sys::APR_HOOK_MIDDLE as c_int,
        );
    }
}

unsafe extern "C" fn child_init_entry<C: ChildInit>(
    pool: *mut sys::apr_pool_t,
    server: *mut sys::server_rec,
) {
    guard((), || {
        // SAFETY: httpd passes the child's pool and the main server, which both live as long as the child.
        unsafe { C::child_init(Pool::from_raw(pool), Server::from_raw(server)) }
    });
}

/// What a module checks when the configuration has been read, also for `httpd -t`.
pub trait CheckConfig {
    /// `false` is a configuration error; what is wrong has been logged.
    fn check_config(pool: Pool<'_>, server: Server<'_>) -> bool;
}

/// Registers a function that checks the configuration.
pub fn check_config<C: CheckConfig>() {
    // SAFETY: as in `handler`.
    unsafe {
        sys::ap_hook_check_config(
            Some(check_config_entry::<C>),
            std::ptr::null(),
            std::ptr::null(),
            sys::APR_HOOK_MIDDLE as c_int,
        );
    }
}

unsafe extern "C" fn check_config_entry<C: CheckConfig>(
    pool: *mut sys::apr_pool_t,
    _log: *mut sys::apr_pool_t,
    _temporary: *mut sys::apr_pool_t,
    server: *mut sys::server_rec,
) -> c_int {
    guard(sys::HTTP_INTERNAL_SERVER_ERROR as c_int, || {
        // SAFETY: httpd passes the configuration's pool and the main server.
        let is_good = unsafe { C::check_config(Pool::from_raw(pool), Server::from_raw(server)) };
        match is_good {
            true => sys::OK as c_int,
            false => sys::HTTP_INTERNAL_SERVER_ERROR as c_int,
        }
    })
}

/// What a module does at the end of a start that has succeeded so far, not for `httpd -t`.
pub trait PostConfig {
    /// `false` ends the start-up.
    fn post_config(pool: Pool<'_>, server: Server<'_>) -> bool;
}

/// Registers a function for the end of reading the configuration.
pub fn post_config<C: PostConfig>() {
    // SAFETY: as in `handler`.
    unsafe {
        sys::ap_hook_post_config(
            Some(post_config_entry::<C>),
            std::ptr::null(),
            std::ptr::null(),
            sys::APR_HOOK_MIDDLE as c_int,
        );
    }
}

unsafe extern "C" fn post_config_entry<C: PostConfig>(
    pool: *mut sys::apr_pool_t,
    _log: *mut sys::apr_pool_t,
    _temporary: *mut sys::apr_pool_t,
    server: *mut sys::server_rec,
) -> c_int {
    guard(sys::HTTP_INTERNAL_SERVER_ERROR as c_int, || {
        // SAFETY: httpd passes the configuration's pool and the main server.
        let go_on = unsafe { C::post_config(Pool::from_raw(pool), Server::from_raw(server)) };
        if go_on {
            sys::OK as c_int
        } else {
            sys::HTTP_INTERNAL_SERVER_ERROR as c_int
        }
    })
}

/// What a module does in the parent when a child has ended.
pub trait ChildEnded {
    /// `pid`: its process id, which no other process has yet.
    fn child_ended(server: Server<'_>, pid: u32);
}

/// Registers a function for the end of each child, however it comes. The parent calls it when it has noticed, which
/// takes the MPMs up to a second.
pub fn child_ended<C: ChildEnded>() {
    // SAFETY: as in `handler`.
    unsafe {
        sys::ap_hook_child_status(
            Some(child_status_entry::<C>),
            std::ptr::null(),
            std::ptr::null(),
            sys::APR_HOOK_MIDDLE as c_int,
        );
    }
}

unsafe extern "C" fn child_status_entry<C: ChildEnded>(
    server: *mut sys::server_rec,
    pid: sys::pid_t,
    _generation: sys::ap_generation_t,
    _slot: c_int,
    status: sys::mpm_child_status,
) {
    guard((), || {
        let pid = u32::try_from(pid).ok();
        if let Some(pid) = pid.filter(|_| status == sys::mpm_child_status_MPM_CHILD_EXITED) {
            // SAFETY: httpd passes the main server.
            C::child_ended(unsafe { Server::from_raw(server) }, pid);
        }
    });
}

/// What a module does when a child is told to stop.
pub trait ChildStopping {
    /// `is_graceful`: requests under way are to be finished.
    fn child_stopping(is_graceful: bool);
}

/// Registers a function for the beginning of a child's end. An httpd before 2.4.49 never calls it.
pub fn child_stopping<C: ChildStopping>() {
    #[cfg(has_child_stopping)]
    // SAFETY: as in `handler`.
    unsafe {
        sys::ap_hook_child_stopping(
            Some(child_stopping_entry::<C>),
            std::ptr::null(),
            std::ptr::null(),
            sys::APR_HOOK_MIDDLE as c_int,
        );
    }
}

#[cfg(has_child_stopping)]
unsafe extern "C" fn child_stopping_entry<C: ChildStopping>(
    _pool: *mut sys::apr_pool_t,
    graceful: c_int,
) {
    guard((), || C::child_stopping(graceful != 0));
}
