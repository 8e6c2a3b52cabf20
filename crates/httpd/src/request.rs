//! `request_rec`, while a handler runs.

use std::ffi::{CStr, CString, c_char, c_int};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::Arc;

use httpd_sys as sys;
use sys::port::http_version;

use crate::apr::{Pool, Table};
use crate::config::DirConfig;
use crate::module::Module;
use crate::suspension::Suspension;

/// What a handler answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HandlerResult {
    /// Not this handler's request (`DECLINED`).
    Declined,
    /// Answered (`OK`).
    Done,
    /// httpd makes an error response with this HTTP status.
    HttpStatus(u16),
    /// The connection goes on without a worker thread (`SUSPENDED`).
    Suspended,
}

impl HandlerResult {
    pub(crate) fn as_raw(self) -> c_int {
        match self {
            HandlerResult::Declined => sys::DECLINED,
            HandlerResult::Done => sys::OK as c_int,
            HandlerResult::HttpStatus(status) => c_int::from(status),
            HandlerResult::Suspended => sys::SUSPENDED,
        }
    }
}

/// A request, borrowed from httpd for as long as the call that it made with it.
pub struct Request<'r> {
    raw: NonNull<sys::request_rec>,
    _call: PhantomData<&'r sys::request_rec>,
}

impl<'r> Request<'r> {
    /// Wraps a raw request.
    ///
    /// # Safety
    /// `raw` is live for `'r` and used by this thread alone.
    pub unsafe fn from_raw(raw: *mut sys::request_rec) -> Self {
        // SAFETY: the caller's promise.
        let raw = unsafe { NonNull::new_unchecked(raw) };
        Request {
            raw,
            _call: PhantomData,
        }
    }

    /// The raw request, as a plugin gets it.
    pub fn as_raw(&self) -> *mut sys::request_rec {
        self.raw.as_ptr()
    }

    pub(crate) fn rec(&self) -> &'r sys::request_rec {
        // SAFETY: live for 'r (from_raw); this thread is its only user and holds no other Rust reference into it
        // while it writes through the pointer.
        unsafe { &*self.raw.as_ptr() }
    }

    fn conn(&self) -> &'r sys::conn_rec {
        // SAFETY: a request's connection outlives it.
        unsafe { &*self.rec().connection }
    }

    /// The request's pool.
    pub fn pool(&self) -> Pool<'r> {
        // SAFETY: a request's pool lives as long as the request.
        unsafe { Pool::from_raw(self.rec().pool) }
    }

    /// The connection's pool, which outlives the request's.
    pub fn connection_pool(&self) -> Pool<'r> {
        // SAFETY: a request's connection outlives it, and this thread is its only user while a handler runs.
        unsafe { Pool::from_raw(self.conn().pool) }
    }

    /// What `SetHandler` says.
    pub fn handler(&self) -> Option<&'r CStr> {
        c_text(self.rec().handler)
    }

    /// The path of the request, for messages: no query string.
    pub fn uri(&self) -> String {
        self.path().to_string_lossy().into_owned()
    }

    /// The same, as its bytes are.
    pub fn path(&self) -> &'r CStr {
        c_text(self.rec().uri).unwrap_or_default()
    }

    /// The file that the path stands for, whether it is there or not; empty for none.
    pub fn filename(&self) -> String {
        let filename = c_text(self.rec().filename).unwrap_or_default();
        filename.to_string_lossy().into_owned()
    }

    /// Who has been authenticated; bytes that are not UTF-8 become U+FFFD.
    pub fn user(&self) -> Option<String> {
        Some(c_text(self.rec().user)?.to_string_lossy().into_owned())
    }

    /// Whether the method is GET; HEAD is not.
    pub fn is_get(&self) -> bool {
        self.rec().method_number == sys::M_GET as c_int && self.rec().header_only == 0
    }

    /// Whether the method is OPTIONS.
    pub fn is_options(&self) -> bool {
        self.rec().method_number == sys::M_OPTIONS as c_int
    }

    /// Whether the request is HTTP/1.1 or later.
    pub fn is_http_1_1_or_later(&self) -> bool {
        self.rec().proto_num >= http_version(1, 1)
    }

    /// Whether the server itself has sent the client's request on to this one: a per-directory RewriteRule, Action, a
    /// CGI program's `Location: /path`, a type map.
    pub fn is_redirected(&self) -> bool {
        !self.rec().prev.is_null()
    }

    /// Whether the server makes this request to answer a failed one (ErrorDocument), perhaps by way of further
    /// redirects. It has not been authorised: httpd asks nobody who has just been refused once more.
    pub fn is_error_document(&self) -> bool {
        self.previous()
            .any(|previous| previous.status != sys::HTTP_OK as c_int)
    }

    /// The requests that led to this one, from the last to the client's own.
    pub(crate) fn previous(&self) -> impl Iterator<Item = &'r sys::request_rec> {
        let next = |rec: &&'r sys::request_rec| {
            // SAFETY: `prev` is NULL or a request of the same pool, which lives as long as this one.
            unsafe { rec.prev.as_ref() }
        };
        std::iter::successors(Some(self.rec()), next).skip(1)
    }

    /// Whether [`HandlerResult::Suspended`] reaches the MPM: an internal redirect keeps it to itself, and ends the
    /// request (`ap_internal_redirect`); a connection whose filters clog its input is served synchronously.
    pub fn may_be_suspended(&self) -> bool {
        !self.is_redirected() && self.conn().clogging_input_filters() == 0
    }

    /// Whether the server made the request itself, to look something up.
    pub fn is_subrequest(&self) -> bool {
        !self.rec().main.is_null()
    }

    /// Whether it came on a stream of another connection (HTTP/2).
    pub fn is_on_secondary_connection(&self) -> bool {
        !self.conn().master.is_null()
    }

    /// Whether something in the file system answers to it.
    pub fn maps_to_file(&self) -> bool {
        self.rec().finfo.filetype != sys::apr_filetype_e_APR_NOFILE
    }

    /// Whether it announces a body.
    pub fn has_body(&self) -> bool {
        let length = self.headers_in().get(c"Content-Length");
        self.headers_in().get(c"Transfer-Encoding").is_some()
            || length.is_some_and(|length| length.to_bytes().iter().any(|&digit| digit != b'0'))
    }

    /// The request's header fields.
    pub fn headers_in(&self) -> Table<'r> {
        // SAFETY: the table lives as long as the request.
        unsafe { Table::from_raw(self.rec().headers_in) }
    }

    /// One of the request's header fields as text; bytes that are not UTF-8 become U+FFFD.
    pub fn header_in(&self, name: &str) -> Option<String> {
        let name = CString::new(name).ok()?;
        Some(self.headers_in().get(&name)?.to_string_lossy().into_owned())
    }

    /// The response's header fields.
    pub fn headers_out(&self) -> Table<'r> {
        // SAFETY: as above.
        unsafe { Table::from_raw(self.rec().headers_out) }
    }

    /// The header fields that go on an error response too.
    pub fn err_headers_out(&self) -> Table<'r> {
        // SAFETY: as above.
        unsafe { Table::from_raw(self.rec().err_headers_out) }
    }

    /// The variables that modules have set for CGI programs and the like.
    pub fn subprocess_env(&self) -> Table<'r> {
        // SAFETY: as above.
        unsafe { Table::from_raw(self.rec().subprocess_env) }
    }

    /// Notes from module to module.
    pub fn notes(&self) -> Table<'r> {
        // SAFETY: as above.
        unsafe { Table::from_raw(self.rec().notes) }
    }

    /// The host that the request was made to, without a port, and an IPv6 address without brackets: what the client
    /// says. `None` when it says nothing.
    pub fn host(&self) -> Option<String> {
        Some(c_text(self.rec().hostname)?.to_string_lossy().into_owned())
    }

    /// The scheme that the request was made with: `http` or `https`, or what ServerName says.
    pub fn scheme(&self) -> String {
        // SAFETY: the function reads the live request; the scheme is a static string, or one of the configuration.
        let scheme = unsafe { CStr::from_ptr(sys::ap_run_http_scheme(self.as_raw())) };
        scheme.to_string_lossy().into_owned()
    }

    /// The port that the request was made to; `None` is the scheme's own.
    ///
    /// That is the one in Host, and not the one that httpd listens on when there is none (RFC 9110 §4.2.1, §7.2): a
    /// port mapping may lie between. With `UseCanonicalName On` it is ServerName's.
    pub fn port(&self) -> Option<u16> {
        let uri = &self.rec().parsed_uri;
        // SAFETY: the per-directory vector of a live request holds the core's configuration; the port is read of the
        // live request.
        unsafe {
            let core = sys::ap_get_core_module_config(self.rec().per_dir_config);
            let core = &*core.cast::<sys::core_dir_config>();
            if core.use_canonical_name() == sys::USE_CANONICAL_NAME_ON {
                return Some(sys::ap_get_server_port(self.as_raw()));
            }
        }
        (!uri.port_str.is_null()).then_some(uri.port)
    }

    /// Scheme, name and port of the server that answers, as its configuration and the connection say, and nothing that the client
    /// does. The port is that of ServerName or `<VirtualHost>`, else that of a scheme in ServerName, else the one that the
    /// client has reached; 0 when there is none, on a Unix socket.
    pub fn server_address(&self) -> (String, String, u16) {
        let scheme = self.scheme();
        // SAFETY: a live request has its server and its connection, whose local address is NULL or as long-lived.
        let port = unsafe {
            let server = &*self.rec().server;
            match server.port {
                0 if server.server_scheme.is_null() => {
                    let local = (*self.rec().connection).local_addr.as_ref();
                    local.map_or(0, |local| local.port)
                }
                0 if scheme == "https" => 443,
                0 => 80,
                port => port,
            }
        };
        (scheme, self.server().name(), port)
    }

    /// Whether `host` is a ServerName or ServerAlias of the virtual host that answers.
    pub fn is_to_server_name(&self, host: &str) -> bool {
        let Ok(host) = CString::new(host) else {
            return false;
        };
        // SAFETY: the function reads the live request's server, whose own port makes every port match.
        unsafe {
            let port = (*self.rec().server).port;
            sys::ap_matches_request_vhost(self.as_raw(), host.as_ptr(), port) != 0
        }
    }

    /// The module's configuration for this request.
    pub fn config<C: DirConfig>(&self, module: &Module) -> Option<&'r C> {
        // SAFETY: a request's per-directory vector lives as long as it, and holds what the module's functions made.
        unsafe { module.config(self.rec().per_dir_config) }
    }

    /// No further request on this connection.
    pub fn close_connection(&self) {
        // SAFETY: this thread is the connection's only user while a handler runs.
        unsafe { (*self.rec().connection).keepalive = sys::ap_conn_keepalive_e_AP_CONN_CLOSE };
    }

    /// Whether the client is known to be gone.
    pub fn is_aborted(&self) -> bool {
        self.conn().aborted != 0
    }

    /// Lays a suspension on the connection, for the handler to return [`HandlerResult::Suspended`] then. The
    /// suspend_connection hook calls [`Suspension::suspended`] when the MPM has suspended the connection. When another module
    /// between the handler and the MPM has swallowed that answer, [`Suspension::swallowed`] is called instead, while the
    /// request still lives: by that hook, or when the request's pool goes.
    ///
    /// # Safety
    /// The handler does return that, and the module has suspensions of one type only.
    pub unsafe fn suspend<C: Suspension>(&self, suspension: Arc<C>) {
        let c = self.rec().connection;
        // SAFETY: the caller's promise; the connection is live, and outlives its request's pool.
        unsafe {
            C::module().leave_connection_value(c, suspension);
            self.pool().before_cleanup(move || {
                if let Some(suspension) = C::module().take_connection_value::<C>(c) {
                    suspension.swallowed();
                }
            });
        }
    }

    /// Whether an ErrorDocument is configured for a status.
    pub fn has_error_document(&self, status: u16) -> bool {
        // SAFETY: the functions read the live request.
        unsafe {
            let index = sys::ap_index_of_response(c_int::from(status));
            !sys::ap_response_code_string(self.as_raw(), index).is_null()
        }
    }

    /// Lets an error response have a status that httpd has no name for, which would become 500.
    pub fn allow_status(&self, status: u16) {
        // SAFETY: this thread is the live request's only user; the line is static, or of the request's pool.
        unsafe {
            (*self.as_raw()).status_line =
                sys::ap_get_status_line_ex(self.rec().pool, c_int::from(status));
        }
    }

    /// Answers with a body of our own.
    pub fn respond(&self, status: u16, content_type: &'static CStr, body: &str) {
        let body = CString::new(body).unwrap_or_default();
        // SAFETY: this thread is the live request's only user; the content type is static, the body is copied.
        unsafe {
            (*self.as_raw()).status = c_int::from(status);
            sys::ap_set_content_type(self.as_raw(), content_type.as_ptr());
            sys::ap_rwrite(
                body.as_ptr().cast(),
                body.as_bytes().len() as c_int,
                self.as_raw(),
            );
        }
    }

    /// Answers with an error and a body of our own; the header fields of error responses go on it.
    pub fn respond_to_refuse(&self, status: u16, content_type: &CStr, body: &[u8]) {
        let r = self.as_raw();
        // SAFETY: this thread is the live request's only user; the content type is copied into its pool, the body by
        // httpd.
        unsafe {
            (*r).status = c_int::from(status);
            // What was meant for the 101 stays away, as it does from httpd's own error responses.
            sys::apr_table_clear((*r).headers_out);
            let content_type = sys::apr_pstrdup((*r).pool, content_type.as_ptr());
            sys::ap_set_content_type(r, content_type);
            sys::ap_set_content_length(r, body.len() as sys::apr_off_t);
            sys::ap_rwrite(
                body.as_ptr().cast(),
                c_int::try_from(body.len()).unwrap_or(c_int::MAX),
                r,
            );
        }
    }

    /// Sends `101 Switching Protocols` with the response's header fields, those for error responses included, and
    /// takes HTTP's own filters off the connection: from here on its bytes are the caller's.
    pub fn switch_protocols(&self) {
        let r = self.as_raw();
        // SAFETY: this thread is the only user of the live request and its connection; the filters are found by
        // name and removed the way httpd does it, and afterwards request and connection have the same chains.
        unsafe {
            let c = (*r).connection;
            sys::ap_remove_input_filter_byhandle((*r).input_filters, c"http_in".as_ptr());
            // It would take the WebSocket for the request's body and cut it when that is late.
            sys::ap_remove_input_filter_byhandle((*r).input_filters, c"reqtimeout".as_ptr());
            (*r).status = sys::HTTP_SWITCHING_PROTOCOLS as c_int;
            (*r).status_line = sys::ap_get_status_line((*r).status);
            // Most often there are none, and a copy of the table would be memory that an idle WebSocket keeps.
            if !self.err_headers_out().is_empty() {
                (*r).headers_out =
                    sys::apr_table_overlay((*r).pool, (*r).err_headers_out, (*r).headers_out);
            }
            sys::ap_send_interim_response(r, 1);

            // HTTP's header filter has seen nothing of the 101 and would write a whole response at the end, for
            // each of the requests that led here.
            let mut r = r;
            while !r.is_null() {
                (*r).input_filters = (*c).input_filters;
                (*r).proto_input_filters = (*c).input_filters;
                (*r).output_filters = (*c).output_filters;
                (*r).proto_output_filters = (*c).output_filters;
                (*r).eos_sent = 1;
                (*r).status = sys::HTTP_SWITCHING_PROTOCOLS as c_int;
                r = (*r).prev;
            }
            (*c).keepalive = sys::ap_conn_keepalive_e_AP_CONN_CLOSE;
            // Whatever other modules' log hooks make of that: they run in a pre-cleanup of this pool.
            self.pool().own(LastRequest(c));
        }
    }
}

/// When dropped, has the MPM read no further request from a connection, whose bytes are none.
struct LastRequest(*mut sys::conn_rec);

impl Drop for LastRequest {
    fn drop(&mut self) {
        // SAFETY: the value is of the request's pool, which goes on the connection's thread and before the connection.
        unsafe { (*self.0).keepalive = sys::ap_conn_keepalive_e_AP_CONN_CLOSE };
    }
}

/// A request that is kept from one call to the next, on whatever thread.
pub struct RequestHandle(NonNull<sys::request_rec>);

// SAFETY: the handle itself is an address; what makes it a request again is an unsafe function.
unsafe impl Send for RequestHandle {}
// SAFETY: as above.
unsafe impl Sync for RequestHandle {}

impl RequestHandle {
    /// Keeps a request.
    pub fn new(request: &Request<'_>) -> Self {
        RequestHandle(request.raw)
    }

    /// The raw request, as a plugin gets it.
    pub fn as_raw(&self) -> *mut sys::request_rec {
        self.0.as_ptr()
    }

    /// The request again.
    ///
    /// # Safety
    /// It still lives, and this thread alone uses what it uses of it.
    pub unsafe fn get(&self) -> Request<'_> {
        Request {
            raw: self.0,
            _call: PhantomData,
        }
    }
}

pub(crate) fn c_text<'t>(text: *const c_char) -> Option<&'t CStr> {
    // SAFETY: a string field of a live httpd record is NULL or terminated, and lives as long as the record.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) })
}
