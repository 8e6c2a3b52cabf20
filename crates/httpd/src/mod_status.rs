//! A module's part of mod_status' page.

use std::ffi::c_int;

use httpd_sys as sys;

use crate::guard::guard;
use crate::request::Request;

/// How mod_status' page is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// HTML.
    Html,
    /// HTML without tables (`?notable`).
    HtmlWithoutTables,
    /// A name and a value on each line (`?auto`).
    Lines,
}

/// What a module adds to the page.
pub trait StatusPage {
    /// Writes it.
    fn write(request: &Request<'_>, form: Form);
}

/// Registers a function for mod_status' page. Without mod_status it is never called.
pub fn status_page<S: StatusPage>() {
    type Hook = unsafe extern "C" fn(*mut sys::request_rec, c_int) -> c_int;
    let entry: Hook = entry::<S>;
    // SAFETY: `APR_OPTIONAL_HOOK(ap, status_hook, …)` by hand: the function has the type that mod_status.h declares for
    // this name, and is called with that type again. It stays while the DSO is loaded.
    unsafe {
        let entry = std::mem::transmute::<Hook, unsafe extern "C" fn()>(entry);
        sys::apr_optional_hook_add(
            c"status_hook".as_ptr(),
            Some(entry),
            std::ptr::null(),
            std::ptr::null(),
            sys::APR_HOOK_MIDDLE as c_int,
        );
    }
}

unsafe extern "C" fn entry<S: StatusPage>(r: *mut sys::request_rec, flags: c_int) -> c_int {
    guard((), || {
        // SAFETY: mod_status runs the hook with the live request that its handler answers.
        let request = unsafe { Request::from_raw(r) };
        let has = |flag: u32| flags & flag as c_int != 0;
        let form = match (has(sys::AP_STATUS_SHORT), has(sys::AP_STATUS_NOTABLE)) {
            (true, _) => Form::Lines,
            (false, true) => Form::HtmlWithoutTables,
            (false, false) => Form::Html,
        };
        S::write(&request, form);
    });
    // The page goes on, whatever came of ours.
    sys::OK as c_int
}
