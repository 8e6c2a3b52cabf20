//! What the running MPM is and allows (`ap_mpm_query`), and how it is told otherwise.

use std::ffi::{CStr, c_int};

use httpd_sys as sys;

use crate::server::Server;

/// Whether the MPM is asynchronous: a suspended connection holds no worker thread (`AP_MPMQ_IS_ASYNC`).
pub fn is_async() -> bool {
    query(sys::AP_MPMQ_IS_ASYNC) == Some(1)
}

/// Whether a child has more than one thread (`AP_MPMQ_IS_THREADED`).
pub fn is_threaded() -> bool {
    query(sys::AP_MPMQ_IS_THREADED).is_some_and(|kind| kind != sys::AP_MPMQ_NOT_SUPPORTED as c_int)
}

/// ThreadsPerChild (`AP_MPMQ_MAX_THREADS`); 1 or 0 for prefork.
pub fn max_threads() -> Option<usize> {
    query(sys::AP_MPMQ_MAX_THREADS).and_then(|threads| usize::try_from(threads).ok())
}

/// ThreadLimit: what ThreadsPerChild can be at most until httpd is started anew (`AP_MPMQ_HARD_LIMIT_THREADS`).
pub fn thread_limit() -> Option<usize> {
    query(sys::AP_MPMQ_HARD_LIMIT_THREADS).and_then(|threads| usize::try_from(threads).ok())
}

/// The most children that there can be (`AP_MPMQ_MAX_DAEMONS`).
pub fn max_daemons() -> Option<usize> {
    query(sys::AP_MPMQ_MAX_DAEMONS).and_then(|daemons| usize::try_from(daemons).ok())
}

/// ServerLimit: what that can be at most until httpd is started anew (`AP_MPMQ_HARD_LIMIT_DAEMONS`).
pub fn server_limit() -> Option<usize> {
    query(sys::AP_MPMQ_HARD_LIMIT_DAEMONS).and_then(|daemons| usize::try_from(daemons).ok())
}

/// How often the configuration has been read anew (`AP_MPMQ_GENERATION`).
pub fn generation() -> u64 {
    query(sys::AP_MPMQ_GENERATION).map_or(0, |generation| generation.unsigned_abs().into())
}

/// Whether the server, or this child, is on its way out (`AP_MPMQ_MPM_STATE`).
pub fn is_stopping() -> bool {
    query(sys::AP_MPMQ_MPM_STATE) == Some(sys::AP_MPMQ_STOPPING as c_int)
}

/// Whether the server has begun a generation after this child's. A child of prefork is told so by a signal, which code
/// in it may have taken for itself; the scoreboard says so, too.
pub fn is_of_old() -> bool {
    // SAFETY: the scoreboard is mapped as long as the child lives; another process stores the number, so that it is read
    // as it is in memory.
    let running = unsafe {
        let global = sys::ap_get_scoreboard_global();
        if global.is_null() {
            return false;
        }
        std::ptr::addr_of!((*global).running_generation).read_volatile()
    };
    query(sys::AP_MPMQ_GENERATION).is_some_and(|own| own != running)
}

/// Whether this thread runs httpd's handler of a signal that ends the process at once, as prefork's children do all
/// that they do at such an end: a handler's own signal is blocked while it runs.
pub fn is_ending_at_once() -> bool {
    let mut blocked = std::mem::MaybeUninit::uninit();
    // SAFETY: with no new mask, the call only fills in the running one; it is read when it succeeded.
    unsafe {
        libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), blocked.as_mut_ptr()) == 0
            && [libc::SIGTERM, libc::SIGHUP]
                .iter()
                .any(|&signal| libc::sigismember(blocked.as_ptr(), signal) == 1)
    }
}

/// Whether the configuration is being read for the first of two times at start-up, when messages would appear
/// twice (`AP_SQ_MS_CREATE_PRE_CONFIG`).
pub fn is_first_reading() -> bool {
    // SAFETY: ap_state_query reads a variable of httpd's.
    let state = unsafe { sys::ap_state_query(sys::AP_SQ_MAIN_STATE as c_int) };
    state == sys::AP_SQ_MS_CREATE_PRE_CONFIG as c_int
}

/// Whether httpd only looks at its configuration (`httpd -t`).
pub fn is_config_test() -> bool {
    // SAFETY: ap_state_query reads a variable of httpd's.
    let mode = unsafe { sys::ap_state_query(sys::AP_SQ_RUN_MODE as c_int) };
    mode == sys::AP_SQ_RM_CONFIG_TEST as c_int
}

/// The MPM's name, as in `event`.
pub fn name() -> String {
    // SAFETY: ap_show_mpm returns a static string.
    unsafe { CStr::from_ptr(sys::ap_show_mpm()) }
        .to_string_lossy()
        .into_owned()
}

/// Has the MPM take a directive of one argument as if it stood in the configuration, at its outermost level. For
/// post_config, when the configuration has been read and no child has been made.
///
/// # Errors
///
/// What httpd would say of it, or that no module has such a directive.
pub fn configure(server: Server<'_>, name: &CStr, value: &str) -> Result<(), String> {
    let pool = server.config_pool();
    let value = pool.strdup(value);
    // SAFETY: the list of modules is httpd's and does not change after the configuration has been read. A command that
    // takes one argument has this function, which gets what httpd would give it: a cmd_parms whose fields may be NULL,
    // where nothing of a file is told, with pools and a server that live. Its answer is NULL or a terminated string.
    unsafe {
        let mut module = sys::ap_top_module;
        let command = sys::ap_find_command_in_modules(name.as_ptr(), &mut module);
        let take1 = command
            .as_ref()
            .filter(|command| command.args_how == sys::cmd_how_TAKE1)
            .and_then(|command| command.func.take1)
            .ok_or_else(|| "no module has such a directive".to_owned())?;
        let mut directive: sys::ap_directive_t = std::mem::zeroed();
        directive.directive = name.as_ptr();
        directive.args = value.as_ptr();
        directive.filename = c"mod_websocket".as_ptr();
        let mut parms: sys::cmd_parms = std::mem::zeroed();
        parms.override_ = sys::RSRC_CONF as c_int;
        // No <Limit>.
        parms.limited = !0;
        parms.directive = &mut directive;
        parms.pool = pool.as_raw();
        parms.temp_pool = pool.as_raw();
        parms.server = server.as_raw();
        parms.cmd = command;
        let refused = take1(&mut parms, std::ptr::null_mut(), value.as_ptr());
        match refused.is_null() {
            true => Ok(()),
            false => Err(CStr::from_ptr(refused).to_string_lossy().into_owned()),
        }
    }
}

fn query(code: u32) -> Option<c_int> {
    let mut answer: c_int = 0;
    // SAFETY: ap_mpm_query writes one int.
    let status = unsafe { sys::ap_mpm_query(code as c_int, &mut answer) };
    (status == 0).then_some(answer)
}
