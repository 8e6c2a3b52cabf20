//! What a content handler reads of a request, and writes.

use std::ffi::{CStr, c_char, c_int};
use std::net::IpAddr;

use httpd_sys as sys;

use crate::request::{Request, c_text};
use crate::server::Server;

/// What became of reading a request's body.
#[derive(PartialEq, Eq, Debug)]
pub enum Body {
    /// All of it.
    Whole(Vec<u8>),
    /// It is longer than it may be.
    TooLong,
    /// The client has not sent what it announced, or not in time.
    Broken,
}

impl<'r> Request<'r> {
    /// The method.
    pub fn method(&self) -> &'r CStr {
        c_text(self.rec().method).unwrap_or_default()
    }

    /// What is left of the path behind the file, or the Location that stands for none.
    pub fn path_info(&self) -> &'r CStr {
        c_text(self.rec().path_info).unwrap_or_default()
    }

    /// What follows the question mark.
    pub fn query(&self) -> Option<&'r CStr> {
        c_text(self.rec().args)
    }

    /// The virtual host that the request is for.
    pub fn server(&self) -> Server<'r> {
        // SAFETY: a request's server outlives it.
        unsafe { Server::from_raw(self.rec().server) }
    }

    /// The client's address, as mod_remoteip and the like have it.
    pub fn client_address(&self) -> Option<IpAddr> {
        let text = c_text(self.rec().useragent_ip)?.to_str().ok()?;
        // A link-local address may have a zone.
        text.split('%').next()?.parse().ok()
    }

    /// Reads the body, as long as it has at most so many bytes. Waits for it as httpd waits for every body: at most
    /// TimeOut, or as mod_reqtimeout has it.
    pub fn read_body(&self, most: usize) -> Body {
        let r = self.as_raw();
        // SAFETY: this thread is the live request's only user; each call writes at most what the buffer has.
        unsafe {
            let status = sys::ap_setup_client_block(r, sys::REQUEST_CHUNKED_DECHUNK as c_int);
            if status != sys::OK as c_int {
                return Body::Broken;
            }
            let mut body = Vec::new();
            if sys::ap_should_client_block(r) == 0 {
                return Body::Whole(body);
            }
            let mut buffer = [0_u8; 1024];
            loop {
                let count = sys::ap_get_client_block(
                    r,
                    buffer.as_mut_ptr().cast::<c_char>(),
                    buffer.len() as sys::apr_size_t,
                );
                match usize::try_from(count) {
                    Ok(0) => return Body::Whole(body),
                    Ok(count) if body.len() + count > most => return Body::TooLong,
                    Ok(count) => body.extend_from_slice(&buffer[..count]),
                    Err(_) => return Body::Broken,
                }
            }
        }
    }

    /// The response's HTTP status.
    pub fn set_status(&self, status: u16) {
        // SAFETY: this thread is the live request's only user.
        unsafe { (*self.as_raw()).status = c_int::from(status) };
    }

    /// The response's media type.
    pub fn set_content_type(&self, media_type: &str) {
        let media_type = self.pool().strdup(media_type);
        // SAFETY: the request is live, and its pool holds the text.
        unsafe { sys::ap_set_content_type(self.as_raw(), media_type.as_ptr()) };
    }

    /// Adds to the response's body.
    pub fn write(&self, text: &str) {
        for part in text.as_bytes().chunks(1 << 30) {
            // SAFETY: the request is live; the bytes are copied, or written before the call returns.
            unsafe { sys::ap_rwrite(part.as_ptr().cast(), part.len() as c_int, self.as_raw()) };
        }
    }
}

/// What httpd calls itself, as far as ServerTokens lets it.
pub fn server_banner() -> String {
    // SAFETY: httpd's own terminated string, which lives as long as the configuration.
    let banner = c_text(unsafe { sys::ap_get_server_banner() });
    banner
        .map(CStr::to_string_lossy)
        .unwrap_or_default()
        .into_owned()
}
