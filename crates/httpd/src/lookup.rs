//! What httpd would do with another request of the same client.

use std::ffi::CString;

use httpd_sys as sys;

use crate::request::{Request, c_text};

/// What httpd says to a path.
pub enum Lookup<T> {
    /// It lets the client have it: what the caller has found out about that request.
    Allowed(T),
    /// It refuses, with this HTTP status.
    Refused(u16),
    /// No request can be for that path: httpd makes another of it.
    NoPath,
}

/// A request that httpd has prepared for another one, and that nobody runs.
struct SubRequest(*mut sys::request_rec);

impl Drop for SubRequest {
    fn drop(&mut self) {
        // SAFETY: the pointer is what ap_sub_req_method_uri gave, and nothing borrows from it any more.
        unsafe { sys::ap_destroy_sub_req(self.0) }
    }
}

/// The per-directory configuration of a request, while httpd is to see another.
struct Lent {
    request: *mut sys::request_rec,
    own: *mut sys::ap_conf_vector_t,
}

impl Drop for Lent {
    fn drop(&mut self) {
        // SAFETY: the request outlives this value, and this thread is its only user.
        unsafe { (*self.request).per_dir_config = self.own }
    }
}

impl Request<'_> {
    /// Asks httpd whether the client may have `path` (not escaped) of the same virtual host, with the same method and the
    /// same header fields, without a query. `found` is called with the request that httpd would answer.
    ///
    /// Its modules check who the client is and what it may, as for a request of its own; no handler is run. What they do
    /// when a request's header has been read they do not do again: variables of `SetEnvIf` are those of this request.
    /// When the client is to log in, the response gets the challenge.
    pub fn look_up<T>(&self, path: &str, found: impl FnOnce(&Request<'_>) -> T) -> Lookup<T> {
        let Ok(path) = CString::new(path) else {
            return Lookup::NoPath;
        };
        let r = self.as_raw();
        let other = {
            // httpd asks nobody again where the configuration is the same (ap_process_request_internal in
            // server/request.c), and there may be a `Require expr` that looks at the path.
            let _lent = Lent {
                request: r,
                own: self.rec().per_dir_config,
            };
            // SAFETY: this thread is the live request's only user; the method lives as long as it, the escaped path is of
            // its pool; the server's own vector is a whole one, and the request has its own again before anybody goes on.
            // Without a filter, nothing is read of the client or written to it.
            unsafe {
                (*r).per_dir_config = (*(*r).server).lookup_defaults;
                let escaped = sys::ap_os_escape_path((*r).pool, path.as_ptr(), 1);
                let null = std::ptr::null_mut();
                SubRequest(sys::ap_sub_req_method_uri((*r).method, escaped, r, null))
            }
        };
        // SAFETY: httpd gives a request, never NULL, which lives until `other` is dropped; this thread is its only user.
        let request = unsafe { Request::from_raw(other.0) };
        let status = u16::try_from(request.rec().status).unwrap_or_default();
        if u32::from(status) != sys::HTTP_OK {
            let challenge = request.err_headers_out().get(c"WWW-Authenticate");
            if let Some(challenge) = challenge {
                let own = self.err_headers_out();
                own.set_text(c"WWW-Authenticate", &challenge.to_string_lossy());
            }
            return Lookup::Refused(status);
        }
        if c_text(request.rec().uri) != Some(path.as_c_str()) {
            return Lookup::NoPath;
        }
        Lookup::Allowed(found(&request))
    }

    /// Whether an `.htaccess` file has been read for it.
    pub fn has_htaccess(&self) -> bool {
        // SAFETY: the list is of a live request, and its entries stay as they are; where there was no file, an entry has
        // no configuration (ap_parse_htaccess in server/config.c).
        let mut entry = unsafe { self.rec().htaccess.as_ref() };
        while let Some(read) = entry {
            if !read.htaccess.is_null() {
                return true;
            }
            // SAFETY: as above.
            entry = unsafe { read.next.as_ref() };
        }
        false
    }
}
