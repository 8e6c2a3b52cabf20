//! `apr_pool_t`: memory that goes when its owner goes.

use std::any::Any;
use std::ffi::{CStr, CString, c_void};
use std::marker::PhantomData;
use std::ptr::NonNull;

use httpd_sys as sys;

use crate::guard::guard;

/// A pool, borrowed for `'p` from what owns it. Neither `Send` nor `Sync`: a pool belongs to one thread at a time.
#[derive(Clone, Copy)]
pub struct Pool<'p> {
    raw: NonNull<sys::apr_pool_t>,
    _owner: PhantomData<&'p sys::apr_pool_t>,
}

impl<'p> Pool<'p> {
    /// Wraps a raw pool.
    ///
    /// # Safety
    /// `raw` is not NULL and lives for `'p`; nobody else uses it meanwhile.
    pub unsafe fn from_raw(raw: *mut sys::apr_pool_t) -> Self {
        // SAFETY: the caller's promise.
        let raw = unsafe { NonNull::new_unchecked(raw) };
        Pool {
            raw,
            _owner: PhantomData,
        }
    }

    /// The raw pool.
    pub fn as_raw(self) -> *mut sys::apr_pool_t {
        self.raw.as_ptr()
    }

    /// Copies a string into the pool. A NUL inside ends it there, as in every C API.
    pub fn strdup(self, text: &str) -> &'p CStr {
        let until_nul = text.split('\0').next().unwrap_or_default();
        let text = CString::new(until_nul).unwrap_or_default();
        // SAFETY: the pool is live; apr_pstrdup copies the terminated string and aborts rather than return NULL.
        unsafe { CStr::from_ptr(sys::apr_pstrdup(self.as_raw(), text.as_ptr())) }
    }

    /// Gives `value` to the pool, which drops it when it is cleared or destroyed.
    pub fn own<T>(self, value: T) -> NonNull<T> {
        let value = Box::into_raw(Box::new(value));
        // SAFETY: the cleanup gets back exactly the pointer that Box::into_raw gave, once; a forked child's
        // copy of the pool runs no cleanup (apr_pool_cleanup_null).
        unsafe {
            sys::apr_pool_cleanup_register(
                self.as_raw(),
                value.cast::<c_void>(),
                Some(drop_value::<T>),
                Some(sys::apr_pool_cleanup_null),
            );
            NonNull::new_unchecked(value)
        }
    }

    /// The value that the pool keeps under `key`, made by `init` at the first call.
    ///
    /// One key always goes with one type.
    pub fn kept<T: Any>(self, key: &'static CStr, init: impl FnOnce() -> T) -> &'p T {
        self.find(key).unwrap_or_else(|| {
            let kept: NonNull<Box<dyn Any>> = self.own(Box::new(init()));
            // SAFETY: the pool is live and owns the value; the key is static.
            unsafe {
                sys::apr_pool_userdata_setn(
                    kept.as_ptr().cast(),
                    key.as_ptr(),
                    None,
                    self.as_raw(),
                );
            }
            self.find(key).expect("it has just been set")
        })
    }

    /// What [`Pool::kept`] keeps under `key`, if anything.
    pub fn find<T: Any>(self, key: &'static CStr) -> Option<&'p T> {
        let mut found: *mut c_void = std::ptr::null_mut();
        // SAFETY: the pool is live, the key is static; what is found is the Box<dyn Any> that `kept` stored, owned by
        // the pool.
        unsafe {
            sys::apr_pool_userdata_get(&mut found, key.as_ptr(), self.as_raw());
            found.cast::<Box<dyn Any>>().as_ref()?.downcast_ref()
        }
    }

    /// Runs `job` when the pool is cleared or destroyed, before its sub-pools go.
    pub fn before_cleanup<F: FnOnce() + 'static>(self, job: F) {
        let job = Box::into_raw(Box::new(Some(job)));
        // SAFETY: as in `own`; pre-cleanups run once, before the pool's children are destroyed.
        unsafe {
            sys::apr_pool_pre_cleanup_register(self.as_raw(), job.cast(), Some(run_job::<F>));
        }
    }
}

unsafe extern "C" fn drop_value<T>(value: *mut c_void) -> sys::apr_status_t {
    // SAFETY: `value` came from Box::into_raw in `Pool::own`, and APR runs a cleanup once.
    guard((), || drop(unsafe { Box::from_raw(value.cast::<T>()) }));
    0
}

unsafe extern "C" fn run_job<F: FnOnce()>(job: *mut c_void) -> sys::apr_status_t {
    // SAFETY: `job` came from Box::into_raw in `Pool::before_cleanup`, and APR runs a cleanup once.
    let job = unsafe { Box::from_raw(job.cast::<Option<F>>()) };
    guard((), || {
        if let Some(job) = *job {
            job();
        }
    });
    0
}
