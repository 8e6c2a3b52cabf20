//! mod_dbd's connections to databases, given back before a request ends that lasts for days.
//!
//! mod_dbd lends a connection for as long as the request (`ap_dbd_acquire`), to mod_authn_dbd, mod_authz_dbd, mod_session_dbd and
//! others, which find that function by its name in APR's registry of optional functions. For requests that ask for an upgrade this
//! is in its place: it takes a connection with `ap_dbd_open` and returns it with `ap_dbd_close`, both public, at the request's end
//! as mod_dbd would, or [before](give_back). Any other request has mod_dbd's own function.
//!
//! A mod_dbd that is part of httpd's program is left alone: the modules beside it there keep the function that they have found
//! once over all reloads, at which this shared object may go elsewhere.

use std::ffi::{CStr, c_char, c_void};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use httpd_sys as sys;

use crate::guard::guard;
use crate::linked;
use crate::request::Request;

type Acquire = unsafe extern "C" fn(*mut sys::request_rec) -> *mut Connection;
type Open = unsafe extern "C" fn(*mut sys::apr_pool_t, *mut sys::server_rec) -> *mut Connection;
type Close = unsafe extern "C" fn(*mut sys::server_rec, *mut Connection);

/// ```c
/// typedef struct {
///     apr_dbd_t *handle;
///     const apr_dbd_driver_t *driver;
///     apr_hash_t *prepared;
///     apr_pool_t *pool;
/// } ap_dbd_t;
/// ```
#[repr(C)]
struct Connection {
    handle: *mut c_void,
    driver: *const c_void,
    prepared: *mut c_void,
    pool: *mut sys::apr_pool_t,
}

unsafe extern "C" {
    fn apr_dbd_name(driver: *const c_void) -> *const c_char;
}

/// Those of APR's drivers whose results in a request's pool are whole without the connection: nothing (sqlite3), a `PGresult`,
/// or the description of a statement's columns. Others close a cursor when the pool goes, which by then may be another's.
const SEPARABLE: [&CStr; 3] = [c"sqlite3", c"pgsql", c"mysql"];

/// mod_dbd's own, since this reading of the configuration.
static ACQUIRE: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
static OPEN: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
static CLOSE: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// Has it asked for connections before mod_dbd is, where there is a mod_dbd; from the pre_config hook on, when all modules
/// are loaded, and none has read a directive that makes it look for the function.
pub fn stand_before() {
    // SAFETY: registering is what a register_hooks function may do; the hook stays while the DSO is loaded.
    unsafe {
        sys::ap_hook_pre_config(
            Some(pre_config),
            ptr::null(),
            ptr::null(),
            sys::APR_HOOK_REALLY_FIRST,
        );
    }
}

/// Why a connection stays with a request until that ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stays {
    /// With another driver of APR's the request may have something that needs it.
    Driver,
    /// mod_dbd is part of httpd's program.
    Program,
}

/// Whether a connection of APR's driver of this name stays with its request; to be asked from the post_config hook on.
pub fn stays(driver: &str) -> Option<Stays> {
    let is_separable = SEPARABLE
        .iter()
        .any(|name| name.to_bytes() == driver.as_bytes());
    if !is_separable {
        return Some(Stays::Driver);
    }
    let stands_before = !ACQUIRE.load(Ordering::Relaxed).is_null();
    (!stands_before).then_some(Stays::Program)
}

/// Gives back what the request, or the one that was redirected to it, has borrowed, if its driver leaves nothing behind.
/// Whoever asks again gets another.
pub fn give_back(request: &Request<'_>) {
    // SAFETY: the request is live, and the thread is its own. What `acquire` has lent lives as long as its pool.
    unsafe {
        let Some(loan) = loan_of(initial(request.as_raw())).as_mut() else {
            return;
        };
        if !loan.connection.is_null() && is_separable(loan.connection) {
            loan.end();
        }
    }
}

/// A connection that a request has; NULL when it has been given back. Lies in the request's pool.
struct Loan {
    connection: *mut Connection,
    server: *mut sys::server_rec,
}

impl Loan {
    /// # Safety
    /// The connection is lent, and nobody uses it.
    unsafe fn end(&mut self) {
        let connection = std::mem::replace(&mut self.connection, ptr::null_mut());
        let close = CLOSE.load(Ordering::Relaxed);
        if !close.is_null() {
            // SAFETY: the pointer is mod_dbd's function of this type; the connection came from its counterpart.
            unsafe { std::mem::transmute::<*mut c_void, Close>(close)(self.server, connection) };
        }
    }
}

const KEY: &CStr = c"mod_websocket: connection of mod_dbd";

unsafe extern "C" fn pre_config(
    _pool: *mut sys::apr_pool_t,
    _log: *mut sys::apr_pool_t,
    _temporary: *mut sys::apr_pool_t,
) -> i32 {
    // SAFETY: the registry is there when modules are; what has these names has the types of mod_dbd.h.
    unsafe {
        let found = [c"ap_dbd_acquire", c"ap_dbd_open", c"ap_dbd_close"]
            .map(|name| sys::apr_dynamic_fn_retrieve(name.as_ptr()));
        if let [Some(its_acquire), Some(open), Some(close)] = found
            && !std::ptr::fn_addr_eq(its_acquire, as_any(acquire))
            && !linked::is_in_program(its_acquire as *const c_void)
        {
            ACQUIRE.store(its_acquire as *mut c_void, Ordering::Relaxed);
            OPEN.store(open as *mut c_void, Ordering::Relaxed);
            CLOSE.store(close as *mut c_void, Ordering::Relaxed);
            sys::apr_dynamic_fn_register(c"ap_dbd_acquire".as_ptr(), Some(as_any(acquire)));
        }
    }
    sys::OK as i32
}

/// As the registry keeps it.
fn as_any(function: Acquire) -> unsafe extern "C" fn() {
    // SAFETY: who finds it calls it with its own type.
    unsafe { std::mem::transmute::<Acquire, unsafe extern "C" fn()>(function) }
}

unsafe extern "C" fn acquire(r: *mut sys::request_rec) -> *mut Connection {
    guard(ptr::null_mut(), || {
        // SAFETY: a module asks with a live request, on its thread; the pointers are mod_dbd's functions, stored before any
        // request came.
        unsafe {
            let r = initial(r);
            if sys::apr_table_get((*r).headers_in, c"Upgrade".as_ptr()).is_null() {
                return std::mem::transmute::<*mut c_void, Acquire>(
                    ACQUIRE.load(Ordering::Relaxed),
                )(r);
            }
            let mut loan = loan_of(r);
            if loan.is_null() {
                loan = sys::apr_palloc((*r).pool, size_of::<Loan>()).cast();
                loan.write(Loan {
                    connection: ptr::null_mut(),
                    server: (*r).server,
                });
                sys::apr_pool_userdata_setn(loan.cast(), KEY.as_ptr(), None, (*r).pool);
            }
            if (*loan).connection.is_null() {
                let open = std::mem::transmute::<*mut c_void, Open>(OPEN.load(Ordering::Relaxed));
                let connection = open((*r).pool, (*r).server);
                (*loan).connection = connection;
                // One that is made for the request (DBDPersist Off) lies in a pool below the request's, and goes with it.
                if !connection.is_null()
                    && sys::apr_pool_parent_get((*connection).pool) != (*r).pool
                {
                    sys::apr_pool_cleanup_register(
                        (*r).pool,
                        loan.cast(),
                        Some(ended),
                        Some(sys::apr_pool_cleanup_null),
                    );
                }
            }
            (*loan).connection
        }
    })
}

/// The request's pool goes.
unsafe extern "C" fn ended(loan: *mut c_void) -> sys::apr_status_t {
    // SAFETY: `acquire` has registered it with the loan, which the pool still has.
    unsafe {
        let loan = &mut *loan.cast::<Loan>();
        if !loan.connection.is_null() {
            loan.end();
        }
    }
    sys::APR_SUCCESS as sys::apr_status_t
}

/// The request whose connection it is: the one that the client has sent, as mod_dbd has it.
unsafe fn initial(mut r: *mut sys::request_rec) -> *mut sys::request_rec {
    // SAFETY: a request's chain ends with one that has neither.
    unsafe {
        loop {
            if !(*r).prev.is_null() {
                r = (*r).prev;
            } else if !(*r).main.is_null() {
                r = (*r).main;
            } else {
                return r;
            }
        }
    }
}

unsafe fn loan_of(r: *mut sys::request_rec) -> *mut Loan {
    let mut found = ptr::null_mut();
    // SAFETY: the pool is live; what it has under the key `acquire` has put there.
    unsafe { sys::apr_pool_userdata_get(&mut found, KEY.as_ptr(), (*r).pool) };
    found.cast()
}

unsafe fn is_separable(connection: *const Connection) -> bool {
    // SAFETY: a connection of mod_dbd has a driver, and drivers have names.
    let name = unsafe { CStr::from_ptr(apr_dbd_name((*connection).driver)) };
    SEPARABLE.contains(&name)
}
