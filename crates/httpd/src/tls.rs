//! TLS as mod_ssl has it: how to say goodbye before mod_ssl does.
//!
//! mod_ssl sends close_notify at a connection's end, and there frees the `SSL` that a request's `SSL_*` variables and the
//! access log's `%{…}x` are read from. Who wants the peer to see the end while these are still needed has to say it himself:
//! on the object that mod_ssl's pre_handshake hook has shown, with the functions of the very OpenSSL that mod_ssl was
//! linked to, which this module is not.

use std::ffi::{CStr, c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::OnceLock;

use httpd_sys as sys;

use crate::guard::guard;
use crate::linked;
use crate::module::Module;
use crate::suspension::Suspension;

/// Has the module of `C` told which `SSL` a connection gets. Without mod_ssl it never is.
pub fn remember_connections<C: Suspension>() {
    type Hook = unsafe extern "C" fn(*mut sys::conn_rec, *mut c_void, c_int) -> c_int;
    let entry: Hook = pre_handshake::<C>;
    // SAFETY: `APR_OPTIONAL_HOOK(ssl, pre_handshake, …)` by hand: the function has the type that mod_ssl_openssl.h
    // declares for this name, but for what `SSL *` points to, and is called with that type again. It stays while the
    // DSO is loaded.
    unsafe {
        let entry = std::mem::transmute::<Hook, unsafe extern "C" fn()>(entry);
        sys::apr_optional_hook_add(
            c"pre_handshake".as_ptr(),
            Some(entry),
            ptr::null(),
            ptr::null(),
            sys::APR_HOOK_MIDDLE as c_int,
        );
    }
}

unsafe extern "C" fn pre_handshake<C: Suspension>(
    c: *mut sys::conn_rec,
    ssl: *mut c_void,
    is_proxy: c_int,
) -> c_int {
    guard((), || {
        if is_proxy == 0 {
            // SAFETY: mod_ssl runs the hook for a live connection, on the thread that uses it.
            unsafe { C::module().remember_tls(c, ssl) };
        }
    });
    sys::DECLINED
}

/// Finds the functions that a connection's [`Tls`] takes, if it has one. The dynamic linker has a lock, which a thread of ours
/// need not wait for when it comes to the end.
///
/// # Safety
/// `c` is a live connection that this thread uses.
pub(crate) unsafe fn prepare(c: *mut sys::conn_rec, module: &Module) {
    // SAFETY: the caller's promise.
    if unsafe { module.remembered_tls(c) }.is_some() {
        OPENSSL.get_or_init(OpenSsl::of_mod_ssl);
    }
}

/// The TLS of a connection, which lives.
pub(crate) struct Tls {
    ssl: NonNull<c_void>,
    openssl: &'static OpenSsl,
}

impl Tls {
    /// The TLS of a connection that it was prepared for; `None` when it is not mod_ssl's, or is gone.
    ///
    /// # Safety
    /// `c` is a live connection that this thread uses. It is not in a call of one of its filters, and none is called
    /// before this value has been used.
    pub(crate) unsafe fn of(c: *mut sys::conn_rec, module: &Module) -> Option<Self> {
        // SAFETY: the caller's promise.
        unsafe {
            let ssl = module.remembered_tls(c)?;
            if (*c).aborted != 0 || !is_tls(c) {
                return None;
            }
            let openssl = OPENSSL.get()?.as_ref()?;
            Some(Tls { ssl, openssl })
        }
    }

    /// Whether it has read bytes that it has not given yet, whole records or parts; `None` where OpenSSL cannot tell.
    pub(crate) fn has_pending(&self) -> Option<bool> {
        // SAFETY: as in `say_goodbye`; it only looks.
        self.openssl
            .has_pending
            .map(|has_pending| unsafe { has_pending(self.ssl.as_ptr()) } != 0)
    }

    /// Passes a close_notify down the filters, and has mod_ssl send none. Never reads. Says whether that was done.
    pub(crate) fn say_goodbye(self) -> bool {
        // SAFETY: mod_ssl, whose object it is, says that it lives (see `of`), and the functions are those that mod_ssl
        // itself uses it with. The first call of SSL_shutdown sends; only a second one would read.
        unsafe {
            if (self.openssl.shutdown)(self.ssl.as_ptr()) < 0 {
                // In the middle of a handshake, or broken. mod_ssl looks at the queue of errors of this thread.
                (self.openssl.clear_errors)();
                return false;
            }
        }
        self.keep_quiet();
        true
    }

    /// Has mod_ssl send no close_notify. That one has been sent would not keep it from that: it makes OpenSSL forget it
    /// (SSL_set_shutdown).
    pub(crate) fn keep_quiet(self) {
        // SAFETY: as in `say_goodbye`.
        unsafe { (self.openssl.set_quiet_shutdown)(self.ssl.as_ptr(), 1) };
    }
}

/// Whether a connection's TLS lives. mod_ssl's answer is whether it has an `SSL` for the connection, and it gets none
/// without running its hook: then it is the one that the hook has shown last.
///
/// # Safety
/// `c` is a live connection that this thread uses.
#[cfg(has_ssl_var_lookup)]
unsafe fn is_tls(c: *mut sys::conn_rec) -> bool {
    // SAFETY: the caller's promise. A connection with a master would be answered for that.
    unsafe { (*c).master.is_null() && sys::ap_ssl_conn_is_ssl(c) != 0 }
}

#[cfg(not(has_ssl_var_lookup))]
unsafe fn is_tls(_: *mut sys::conn_rec) -> bool {
    false
}

/// Functions of the OpenSSL that mod_ssl uses.
struct OpenSsl {
    shutdown: unsafe extern "C" fn(*mut c_void) -> c_int,
    set_quiet_shutdown: unsafe extern "C" fn(*mut c_void, c_int),
    clear_errors: unsafe extern "C" fn(),
    /// From OpenSSL 1.1.0 on.
    has_pending: Option<unsafe extern "C" fn(*const c_void) -> c_int>,
}

/// Looked up once in a child, which unloads nothing.
static OPENSSL: OnceLock<Option<OpenSsl>> = OnceLock::new();

impl OpenSsl {
    /// `None` where mod_ssl is not there, or where there is doubt which OpenSSL it uses: a process may have several.
    fn of_mod_ssl() -> Option<Self> {
        // SAFETY: the functions have the types that OpenSSL's ssl.h and err.h declare, in all of its versions and in
        // those of its descendants. They stay, since mod_ssl does, which needs them.
        unsafe {
            let module = NonNull::new(sys::ap_find_linked_module(c"mod_ssl.c".as_ptr()))?;
            let object = Object::of(module.as_ptr().cast())?;
            let shutdown = object.symbol(c"SSL_shutdown")?;
            let set_quiet_shutdown = object.symbol(c"SSL_set_quiet_shutdown")?;
            let clear_errors = object.symbol(c"ERR_clear_error")?;
            let has_pending =
                object.symbol(c"SSL_has_pending").map(|function| {
                    std::mem::transmute::<
                        NonNull<c_void>,
                        unsafe extern "C" fn(*const c_void) -> c_int,
                    >(function)
                });
            Some(OpenSsl {
                has_pending,
                shutdown: std::mem::transmute::<
                    NonNull<c_void>,
                    unsafe extern "C" fn(*mut c_void) -> c_int,
                >(shutdown),
                set_quiet_shutdown: std::mem::transmute::<
                    NonNull<c_void>,
                    unsafe extern "C" fn(*mut c_void, c_int),
                >(set_quiet_shutdown),
                clear_errors: std::mem::transmute::<NonNull<c_void>, unsafe extern "C" fn()>(
                    clear_errors,
                ),
            })
        }
    }
}

/// An open handle of a shared object that the process has loaded, or of its program.
struct Object(NonNull<c_void>);

impl Object {
    /// The one that has the static at `address`.
    fn of(address: *const c_void) -> Option<Self> {
        let info = linked::info_of(address)?;
        let name = match linked::is_in_program(address) {
            true => ptr::null(),
            false => info.dli_fname,
        };
        // SAFETY: the name is the dynamic linker's own, and terminated; nothing is loaded that was not.
        NonNull::new(unsafe { libc::dlopen(name, libc::RTLD_LAZY | libc::RTLD_NOLOAD) }).map(Object)
    }

    /// A symbol of the object or of what it needs, if that is also the first of its name in the process. The dynamic
    /// linker binds to the first whose version fits, and does not tell which that was: where the two differ, nobody knows.
    fn symbol(&self, name: &CStr) -> Option<NonNull<c_void>> {
        // SAFETY: the handle is open, the name terminated.
        let (own, first) = unsafe {
            (
                libc::dlsym(self.0.as_ptr(), name.as_ptr()),
                libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()),
            )
        };
        NonNull::new(own).filter(|_| own == first)
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        // SAFETY: open, and closed once; whoever has loaded the object keeps it.
        unsafe { libc::dlclose(self.0.as_ptr()) };
    }
}
