//! What httpd knows about a request, by the names of the CGI (RFC 3875 and httpd's own).
//!
//! httpd itself makes the whole set for a CGI program; here each is looked up when a plugin asks, because a
//! WebSocket would keep them all for as long as it lives.

use std::ffi::{CStr, CString};

use httpd_sys as sys;

use crate::request::{Request, c_text};

impl<'r> Request<'r> {
    /// A variable of the request: what CGI programs get, `HTTPS` and mod_ssl's `SSL_*`, and what SetEnv and the
    /// like have set. It lives as long as the request.
    pub fn variable(&self, name: &CStr) -> Option<&'r CStr> {
        let field = name.to_bytes().strip_prefix(b"HTTP_");
        if let Some(header) = field.and_then(header_name) {
            return self.headers_in().get(&header);
        }
        let known = self.known_variable(name.to_bytes());
        known.or_else(|| self.subprocess_env().get(name))
    }

    fn known_variable(&self, name: &[u8]) -> Option<&'r CStr> {
        let r = self.as_raw();
        let rec = self.rec();
        // SAFETY: request, connection and server are live, and this thread is the request's only user; strings are
        // NULL or terminated, and belong to one of the three.
        unsafe {
            let c = &*rec.connection;
            let server = &*rec.server;
            c_text(match name {
                b"REMOTE_ADDR" => rec.useragent_ip,
                b"REMOTE_HOST" => {
                    sys::ap_get_useragent_host(r, sys::REMOTE_HOST as i32, std::ptr::null_mut())
                }
                b"REMOTE_PORT" => {
                    let address = rec.useragent_addr.as_ref()?;
                    return Some(self.kept_number(name, address.port.into()));
                }
                b"REMOTE_USER" => rec.user,
                b"AUTH_TYPE" => rec.ap_auth_type,
                b"REQUEST_METHOD" => rec.method,
                b"REQUEST_SCHEME" => sys::ap_run_http_scheme(r),
                b"REQUEST_URI" => self.first().unparsed_uri,
                b"QUERY_STRING" if rec.args.is_null() => c"".as_ptr(),
                b"QUERY_STRING" => rec.args,
                b"SCRIPT_NAME" => return Some(self.script_name()),
                b"PATH_INFO" => rec.path_info,
                b"SERVER_NAME" => sys::ap_get_server_name_for_url(r),
                b"SERVER_ADDR" => c.local_ip,
                b"SERVER_PORT" => {
                    return Some(self.kept_number(name, sys::ap_get_server_port(r).into()));
                }
                b"SERVER_PROTOCOL" => rec.protocol,
                b"SERVER_ADMIN" => server.server_admin,
                b"SERVER_SOFTWARE" => sys::ap_get_server_banner(),
                b"DOCUMENT_ROOT" => sys::ap_document_root(r),
                _ if name == b"HTTPS" || name.starts_with(b"SSL_") => {
                    return self.ssl_variable(name);
                }
                _ => std::ptr::null(),
            })
        }
    }

    /// The request that the client has made, before any internal redirect.
    fn first(&self) -> &'r sys::request_rec {
        self.previous().last().unwrap_or(self.rec())
    }

    /// The path without PATH_INFO at its end.
    fn script_name(&self) -> &'r CStr {
        let path = c_text(self.rec().uri).unwrap_or_default();
        let info = c_text(self.rec().path_info).unwrap_or_default();
        match path.to_bytes().strip_suffix(info.to_bytes()) {
            Some(script) if !info.is_empty() => self.keep(c"SCRIPT_NAME", script),
            _ => path,
        }
    }

    /// What mod_ssl says, remembered because it makes a new string each time.
    fn ssl_variable(&self, name: &[u8]) -> Option<&'r CStr> {
        let name = CString::new(name).ok()?;
        if let Some(value) = self.subprocess_env().get(&name) {
            return Some(value);
        }
        let value = self.look_up_ssl(&name)?;
        (!value.is_empty()).then(|| self.keep(&name, value.to_bytes()))
    }

    /// Whether its own connection has TLS.
    pub fn is_tls(&self) -> bool {
        self.look_up_ssl(c"HTTPS") == Some(c"on")
    }

    #[cfg(has_ssl_var_lookup)]
    fn look_up_ssl(&self, name: &CStr) -> Option<&'r CStr> {
        let rec = self.rec();
        // SAFETY: as in `known_variable`; the value lives as long as the request's pool. The name is only read.
        c_text(unsafe {
            sys::ap_ssl_var_lookup(
                rec.pool,
                rec.server,
                rec.connection,
                self.as_raw(),
                name.as_ptr(),
            )
        })
    }

    #[cfg(not(has_ssl_var_lookup))]
    fn look_up_ssl(&self, _: &CStr) -> Option<&'r CStr> {
        None
    }

    fn kept_number(&self, name: &[u8], number: u32) -> &'r CStr {
        let name = CString::new(name).unwrap_or_default();
        self.keep(&name, number.to_string().as_bytes())
    }

    /// Keeps a value that had to be made among the request's variables, unless it is there already.
    fn keep(&self, name: &CStr, value: &[u8]) -> &'r CStr {
        let variables = self.subprocess_env();
        let value = CString::new(value).unwrap_or_default();
        if variables.get(name) != Some(&value) {
            variables.set(name, &value);
        }
        variables.get(name).unwrap_or_default()
    }
}

/// The header field of an `HTTP_*` variable: `ACCEPT_LANGUAGE` is `Accept-Language`, whose letter case does not
/// matter.
fn header_name(variable: &[u8]) -> Option<CString> {
    let name = variable.iter().map(|&byte| match byte {
        b'_' => b'-',
        byte => byte,
    });
    CString::new(name.collect::<Vec<u8>>()).ok()
}
