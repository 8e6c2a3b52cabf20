//! The patterns of httpd's configuration.

use std::ffi::CString;
use std::mem::MaybeUninit;

use httpd_sys as sys;

/// Whether an expression is found in a text, as in `<LocationMatch>`; not, when it is no expression.
pub fn is_found(expression: &str, text: &str) -> bool {
    let (Ok(expression), Ok(text)) = (CString::new(expression), CString::new(text)) else {
        return false;
    };
    let mut compiled = MaybeUninit::uninit();
    // SAFETY: both strings are terminated; the first function fills what the others read when it returns 0, and it is freed
    // once, afterwards.
    unsafe {
        if sys::ap_regcomp(compiled.as_mut_ptr(), expression.as_ptr(), 0) != 0 {
            return false;
        }
        let found = sys::ap_regexec(compiled.as_ptr(), text.as_ptr(), 0, std::ptr::null_mut(), 0);
        sys::ap_regfree(compiled.as_mut_ptr());
        found == 0
    }
}

/// Whether a text as a whole is like a pattern with wildcards, as in `<Location "/a*">`. They match no slash.
pub fn is_like(pattern: &str, text: &str) -> bool {
    let (Ok(pattern), Ok(text)) = (CString::new(pattern), CString::new(text)) else {
        return false;
    };
    let flags = sys::APR_FNM_PATHNAME as i32;
    // SAFETY: both strings are terminated, and the function keeps neither.
    unsafe { sys::apr_fnmatch(pattern.as_ptr(), text.as_ptr(), flags) == sys::APR_SUCCESS as i32 }
}
