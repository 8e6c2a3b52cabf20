//! httpd's own expressions (ap_expr.h) that give a text: `/room/%{env:MATCH_ROOM}`.

use std::ffi::{CStr, CString};
use std::ptr::{self, NonNull};

use httpd_sys as sys;

use crate::config::Directive;
use crate::request::Request;

/// An expression of the configuration, parsed. It lives in the configuration's pool, as whatever names it does.
#[derive(Clone, Copy)]
pub struct Expression(NonNull<sys::ap_expr_info_t>);

// SAFETY: nobody writes a parsed expression; what evaluating it needs is made in the request's pool.
unsafe impl Send for Expression {}
// SAFETY: as above.
unsafe impl Sync for Expression {}

impl Expression {
    /// Parses the argument of a directive; the error says what is wrong with it.
    pub fn parse(directive: &Directive<'_>, text: &str) -> Result<Self, String> {
        let text = CString::new(text).map_err(|_| "a NUL in the expression".to_owned())?;
        let mut error = ptr::null();
        // SAFETY: httpd copies what it needs of the text; the error is NULL or a string of its pool.
        unsafe {
            let parsed = sys::ap_expr_parse_cmd_mi(
                directive.as_raw(),
                text.as_ptr(),
                sys::AP_EXPR_FLAG_STRING_RESULT,
                &mut error,
                None,
                sys::APLOG_NO_MODULE,
            );
            match (NonNull::new(parsed), error.is_null()) {
                (Some(parsed), true) => Ok(Expression(parsed)),
                (_, true) => Err("httpd does not understand it".to_owned()),
                (_, false) => Err(CStr::from_ptr(error).to_string_lossy().into_owned()),
            }
        }
    }

    /// What it comes to for a request; the error is httpd's.
    pub fn evaluate<'r>(&self, request: &Request<'r>) -> Result<&'r CStr, String> {
        let mut error = ptr::null();
        // SAFETY: the expression lives as long as the configuration, which a request outlives never; this thread is the
        // request's only user, in whose pool the result is.
        unsafe {
            let text = sys::ap_expr_str_exec(request.as_raw(), self.0.as_ptr(), &mut error);
            match (text.is_null(), error.is_null()) {
                (false, true) => Ok(CStr::from_ptr(text)),
                (_, true) => Err("it comes to nothing".to_owned()),
                (_, false) => Err(CStr::from_ptr(error).to_string_lossy().into_owned()),
            }
        }
    }
}
