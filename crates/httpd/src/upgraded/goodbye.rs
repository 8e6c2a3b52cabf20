//! How the peer is told that nothing more comes: at the connection's end, or before, while the request still lives.

use std::ffi::CStr;

use httpd_sys as sys;

use super::{Goodbye, Remains, Upgraded, Way};
use crate::apr::Table;
use crate::bypass::{self, Bypass};
use crate::host_thread::Acting;
use crate::socket;
use crate::tls::Tls;

/// How an administrator has mod_ssl send no close_notify (SetEnvIf).
const UNCLEAN: &CStr = c"ssl-unclean-shutdown";

impl Upgraded {
    /// Tells the peer at once that this is the end, where that leaves what the request still needs: on a plain
    /// connection, and under mod_ssl. Elsewhere, and when output waits for the peer, it learns it at the end of the
    /// request. Nothing more is to be written.
    pub fn end_output(&mut self) {
        if self.has_output() {
            return;
        }
        let is_said = match self.way().bypass {
            Bypass::Ready(_) | Bypass::Open(_) => true,
            Bypass::Closed => self.end_tls(),
        };
        if is_said {
            self.way().goodbye = Goodbye::Said;
            if !self.has_output() && self.ask_for_socket() {
                socket::shutdown_write(self.socket);
            }
        }
    }

    /// Says what TLS has to say in the end, unless somebody else has more to say.
    fn end_tls(&mut self) -> bool {
        let is_broken = self.end.is_some_and(|end| !end.is_eof());
        let Some(Way { floor: Some(_), .. }) = self.way else {
            return false;
        };
        let c = self.c.as_ptr();
        // SAFETY: the connection and its request are live and this thread's, and in no call of a filter.
        unsafe {
            if is_broken || !bypass::all_filters((*c).output_filters, is_known) {
                return false;
            }
            let _thread = Acting::on(c);
            let Some(tls) = Tls::of(c, self.module) else {
                return false;
            };
            if self.is_unclean() {
                tls.keep_quiet();
                return true;
            }
            let is_said = tls.say_goodbye();
            // What the socket does not take now, it gets in the end.
            let _ = self.flush();
            is_said
        }
    }

    /// Whether mod_ssl was told not to say goodbye, which it looks for at the request that the client has made.
    fn is_unclean(&self) -> bool {
        // SAFETY: the request is live and this thread's, and so are those that it was redirected from.
        unsafe {
            let mut r = self.r.as_ptr();
            while !(*r).prev.is_null() {
                r = (*r).prev;
            }
            Table::from_raw((*r).subprocess_env).get(UNCLEAN).is_some()
        }
    }

    /// The end of a suspended connection's output.
    pub(super) fn say_goodbye(mut self) -> Remains {
        // SAFETY: the connection is live and this thread's.
        unsafe {
            let c = self.c.as_ptr();
            let _thread = Acting::on(c);
            if (*c).aborted == 0 {
                sys::ap_prep_lingering_close(c);
                sys::ap_shutdown_conn(c, 0);
                // What the socket does not take now, it will not have to.
                let _ = self.flush();
            }
        }
        if self.ask_for_socket() {
            socket::shutdown_write(self.socket);
        }
        Remains { c: self.c }
    }
}

/// Whether an output filter has nothing to say at the end, or what it says is known: httpd's own, and ours.
fn is_known(name: &CStr) -> bool {
    matches!(
        name.to_bytes(),
        b"ssl/tls filter"
            | b"ssl/tls coalescing filter"
            | b"websocket_floor_out"
            | b"log_input_output"
            | b"core"
    )
}
