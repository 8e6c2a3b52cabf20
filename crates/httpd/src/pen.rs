//! Lines of the error log that are written later, or by another thread than the one that has something to say.
//!
//! httpd's loggers want the request, whose memory may be gone by then or in another thread's hands. A [`Line`] keeps what
//! the log shows of it, and a [`Pen`] writes it with a request and a connection that exist for that only. They have all that the
//! items of `ErrorLogFormat` and other modules' hooks (`error_log`) look at without asking whether it is there; header fields,
//! notes and variables are none.

use std::ffi::{CStr, CString, c_char, c_int};
use std::mem::MaybeUninit;
use std::ptr;

use httpd_sys as sys;

use crate::apr::Status;
use crate::log::{FILE, Level, Subject, is_logged};
use crate::module::Module;
use crate::request::c_text;

/// One line, complete.
pub struct Line {
    /// Lives as long as the process' configuration, and so longer than any line.
    server: *mut sys::server_rec,
    client: Option<Client>,
    module: c_int,
    level: c_int,
    status: c_int,
    text: CString,
}

// SAFETY: the server of a child's configuration is only read, and outlives the child's threads; the rest is owned.
unsafe impl Send for Line {}

/// What the log shows of a request.
struct Client {
    address: CString,
    port: sys::apr_port_t,
    local_address: CString,
    local_port: sys::apr_port_t,
    /// What the local address is called, where somebody has asked for that.
    local_name: Option<CString>,
    /// The host that the client has asked for.
    host: Option<CString>,
    uri: CString,
    connection_id: CString,
    request_id: CString,
}

impl Line {
    /// A line under `module`, if LogLevel lets it through. `text` is only made then.
    pub fn new(
        module: &Module,
        subject: &Subject<'_>,
        level: Level,
        status: Status,
        text: impl FnOnce() -> String,
    ) -> Option<Self> {
        if !is_logged(module, subject, level) {
            return None;
        }
        // SAFETY: the subject is live, and its strings are NULL or terminated.
        let (server, client) = unsafe {
            match subject {
                Subject::Request(request) => of_request(request.as_raw()),
                Subject::Upgraded(upgraded) => of_request(upgraded.request_raw()),
                Subject::Server(server) => (server.as_raw(), None),
                Subject::Process => (ptr::null_mut(), None),
            }
        };
        Some(Line {
            server,
            client,
            module: module.index(),
            level: level as c_int,
            status: status.as_raw(),
            // A NUL would end the line for C; nobody else's text may do that.
            text: CString::new(text().replace('\0', "\u{fffd}")).unwrap_or_default(),
        })
    }
}

/// # Safety
/// `r` is a live request, of which this thread may read what does not change after its headers were read.
unsafe fn of_request(r: *mut sys::request_rec) -> (*mut sys::server_rec, Option<Client>) {
    // SAFETY: the caller's promise; ids are made before another thread has the connection (`Upgraded::new`).
    unsafe {
        let (r, c) = (&*r, &*(*r).connection);
        let any = |text: *const c_char| c_text(text).map(CStr::to_owned);
        let owned = |text: *const c_char| any(text).unwrap_or_default();
        let client = Client {
            address: owned(r.useragent_ip),
            port: r.useragent_addr.as_ref().map_or(0, |address| address.port),
            local_address: owned(c.local_ip),
            local_port: c.local_addr.as_ref().map_or(0, |address| address.port),
            local_name: any(c.local_host),
            host: any(r.hostname),
            uri: owned(r.uri),
            connection_id: owned(c.log_id),
            request_id: owned(r.log_id),
        };
        (r.server, Some(client))
    }
}

/// What writes lines, one after the other. It belongs to one thread.
pub struct Pen {
    pool: *mut sys::apr_pool_t,
    /// Every table of the request that it writes with: none of them has anything in it.
    table: *mut sys::apr_table_t,
    /// httpd writes `[client …]` for a connection that has one, and `[remote …]` else.
    score: *mut sys::ap_sb_handle_t,
    /// What modules keep of a request and of a connection: none keeps anything of these.
    request_config: *mut sys::ap_conf_vector_t,
    connection_config: *mut sys::ap_conf_vector_t,
}

impl Pen {
    /// A pen with memory of its own.
    pub fn new() -> Self {
        // SAFETY: an unmanaged pool has no parent and no lock, and belongs to this value; a score handle of no child
        // and no thread is one that nothing is counted under.
        unsafe {
            let mut pool = ptr::null_mut();
            sys::apr_pool_create_unmanaged_ex(&mut pool, None, ptr::null_mut());
            let mut score = ptr::null_mut();
            sys::ap_create_sb_handle(&mut score, pool, -1, -1);
            Pen {
                pool,
                table: sys::apr_table_make(pool, 1),
                score,
                request_config: sys::ap_create_request_config(pool),
                connection_config: sys::ap_create_conn_config(pool),
            }
        }
    }

    /// Writes a line. Blocks when the log does.
    pub fn write(&mut self, line: &Line) {
        let (file, format) = (FILE.as_ptr(), c"%s".as_ptr());
        // SAFETY: the format takes exactly the one string that follows it; the records are complete as far as httpd's
        // loggers look at them, and nobody keeps them.
        unsafe {
            let Some(client) = &line.client else {
                sys::ap_log_error_(
                    file,
                    0,
                    line.module,
                    line.level,
                    line.status,
                    line.server,
                    format,
                    line.text.as_ptr(),
                );
                return;
            };
            let mut pool = ptr::null_mut();
            sys::apr_pool_create_ex(&mut pool, self.pool, None, ptr::null_mut());
            let mut address: sys::apr_sockaddr_t = MaybeUninit::zeroed().assume_init();
            address.port = client.port;
            address.pool = pool;
            let mut local_address = address;
            local_address.port = client.local_port;
            let server = &*line.server;
            // The name would be looked up if there were none (UseCanonicalName DNS).
            let local_name = match &client.local_name {
                Some(name) => name.as_ptr(),
                None => c_text(server.server_hostname).unwrap_or(c"").as_ptr(),
            };
            // LogLevel has let it through already.
            let log = sys::ap_logconf {
                module_levels: ptr::null_mut(),
                level: line.level,
            };
            let mut c: sys::conn_rec = MaybeUninit::zeroed().assume_init();
            c.pool = pool;
            c.base_server = line.server;
            c.client_ip = client.address.as_ptr().cast_mut();
            c.client_addr = &raw mut address;
            c.local_ip = client.local_address.as_ptr().cast_mut();
            c.local_addr = &raw mut local_address;
            c.local_host = local_name.cast_mut();
            c.conn_config = self.connection_config;
            c.log_id = client.connection_id.as_ptr();
            c.log = &raw const log;
            c.sbh = self.score.cast();
            c.notes = self.table;
            let mut r: sys::request_rec = MaybeUninit::zeroed().assume_init();
            r.pool = pool;
            r.connection = &raw mut c;
            r.server = line.server;
            // Not the request's own, which is in its memory.
            r.per_dir_config = server.lookup_defaults;
            r.request_config = self.request_config;
            r.hostname = client
                .host
                .as_ref()
                .map_or(ptr::null(), |host| host.as_ptr());
            r.uri = client.uri.as_ptr().cast_mut();
            r.unparsed_uri = r.uri;
            r.method = c"GET".as_ptr();
            r.protocol = c"HTTP/1.1".as_ptr().cast_mut();
            r.the_request = c"".as_ptr().cast_mut();
            r.useragent_ip = client.address.as_ptr().cast_mut();
            r.useragent_addr = &raw mut address;
            r.log_id = client.request_id.as_ptr();
            r.log = &raw const log;
            for table in [
                &mut r.headers_in,
                &mut r.headers_out,
                &mut r.err_headers_out,
                &mut r.subprocess_env,
                &mut r.notes,
            ] {
                *table = self.table;
            }
            sys::ap_log_rerror_(
                file,
                0,
                line.module,
                line.level,
                line.status,
                &raw const r,
                format,
                line.text.as_ptr(),
            );
            sys::apr_pool_destroy(pool);
        }
    }
}

impl Default for Pen {
    fn default() -> Self {
        Pen::new()
    }
}

impl Drop for Pen {
    fn drop(&mut self) {
        // SAFETY: the pool is this value's own.
        unsafe { sys::apr_pool_destroy(self.pool) }
    }
}
