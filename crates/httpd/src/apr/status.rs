//! `apr_status_t` as a type.

use std::ffi::{CStr, c_char};
use std::fmt;

use httpd_sys as sys;

/// Where the codes of [`Status::of_error_bucket`] begin: among the 50,000 from APR_OS_START_USERERR on.
const ERROR_BUCKET: sys::apr_status_t = sys::APR_OS_START_USERERR as sys::apr_status_t + 40_000;

/// A status code of APR (`apr_errno.h`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Status(pub(crate) sys::apr_status_t);

impl Status {
    /// `APR_SUCCESS`.
    pub const SUCCESS: Status = Status(0);
    /// `APR_EOF`: the peer has ended its side.
    pub const EOF: Status = Status(sys::APR_EOF as sys::apr_status_t);

    /// What an error bucket means, which holds an HTTP status: no code of APR's, but one of those that it leaves to
    /// programs, so that it goes where errors go.
    pub(crate) fn of_error_bucket(http_status: i32) -> Self {
        Status(ERROR_BUCKET + http_status.clamp(0, 999))
    }

    /// `Ok` for `APR_SUCCESS`.
    pub fn ok(self) -> Result<(), Status> {
        if self == Self::SUCCESS {
            Ok(())
        } else {
            Err(self)
        }
    }

    /// `APR_STATUS_IS_EAGAIN`: nothing at the moment.
    pub fn is_would_block(self) -> bool {
        self.0 == libc::EAGAIN || self.0 == libc::EWOULDBLOCK
    }

    /// `APR_STATUS_IS_EINTR`, `APR_STATUS_IS_INCOMPLETE`: there may be something, but not this time.
    pub(crate) fn is_to_be_repeated(self) -> bool {
        self.0 == libc::EINTR || self.0 == sys::APR_INCOMPLETE as sys::apr_status_t
    }

    /// `APR_STATUS_IS_EOF`.
    pub fn is_eof(self) -> bool {
        self == Self::EOF
    }

    /// The raw code, for httpd's log functions.
    pub fn as_raw(self) -> i32 {
        self.0
    }
}

impl From<std::io::Error> for Status {
    fn from(error: std::io::Error) -> Self {
        Status(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let http_status @ 0..1000 = self.0 - ERROR_BUCKET {
            return write!(f, "a filter's error bucket with HTTP status {http_status}");
        }
        let mut text = [0 as c_char; 128];
        // SAFETY: apr_strerror writes at most the given length, its terminator included.
        let text =
            unsafe { CStr::from_ptr(sys::apr_strerror(self.0, text.as_mut_ptr(), text.len())) };
        f.write_str(&text.to_string_lossy())
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Status({}: {self})", self.0)
    }
}
