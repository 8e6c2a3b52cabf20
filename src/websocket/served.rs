//! What a connection does for its plugin, when the plugin's calls have been checked.

use std::ffi::{CStr, CString};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Weak};

use httpd::request::Request;
use server_functions::{Level, Pings, Served, Topics};
use session::{Receiver, Session};
use subscribers::{Attendance, Outlet, Terms};
use websocket_plugin::abi::RequestRec;

use crate::log::{self, Tag};
use crate::websocket::connection::Connection;
use crate::websocket::outside::Outside;

impl Connection {
    /// Its request, for as long as a server function runs.
    ///
    /// # Safety
    /// As [`Served::header`].
    unsafe fn plugins_request(&self) -> Request<'_> {
        // SAFETY: the request lives until on_disconnect has returned, and the caller is the plugin before that.
        unsafe { self.request().get() }
    }
}

impl Served for Connection {
    type Environment = Outside;

    fn session(&self) -> &Session<Outside> {
        Connection::session(self)
    }

    fn fetch(memory: Range<usize>) {
        httpd::cache::fetch(memory);
    }

    fn request(&self) -> *mut RequestRec {
        Connection::request(self).as_raw().cast()
    }

    unsafe fn header(&self, name: &CStr) -> Option<&CStr> {
        // SAFETY: the caller's promise.
        unsafe { self.plugins_request().headers_in().get(name) }
    }

    unsafe fn set_header(&self, name: &CStr, value: &CStr) {
        // SAFETY: the caller's promise.
        unsafe { self.plugins_request().headers_out().set(name, value) };
        self.header_set(name);
    }

    fn subprotocols(&self) -> &[CString] {
        Connection::subprotocols(self)
    }

    unsafe fn set_subprotocol(&self, name: &CStr) {
        // SAFETY: the caller's promise.
        let request = unsafe { self.plugins_request() };
        request.headers_out().set(c"Sec-WebSocket-Protocol", name);
    }

    fn option(&self, name: &CStr) -> Option<&CStr> {
        self.options().get(name)
    }

    unsafe fn variable(&self, name: &CStr) -> Option<&CStr> {
        if name == c"WEBSOCKET_ID" {
            // SAFETY: the caller's promise.
            return unsafe { self.plugins_request().notes().get(log::NUMBER) };
        }
        // SAFETY: the caller's promise.
        let look_up = || unsafe { self.plugins_request().variable(name) };
        // Some are TLS's, whose state another thread's `send` changes; some are made in the connection's pool.
        Connection::session(self)
            .with_transport(|_| look_up())
            .unwrap_or_else(look_up)
    }

    fn set_refusal(&self, status: u16, body: Option<(&CStr, &[u8])>) {
        Connection::set_refusal(self, status, body);
    }

    fn receiver(&self) -> Option<Arc<dyn Receiver>> {
        let connection = self.outside().connection.upgrade()?;
        Some(connection.receiver())
    }

    fn has_on_timer(&self) -> bool {
        let plugin = self.outside().purpose.plugin();
        plugin.is_some_and(|plugin| plugin.has_on_timer())
    }

    fn topics(&self) -> &dyn Topics {
        self.exchange()
    }

    fn attendance(&self) -> &Attendance {
        Connection::attendance(self)
    }

    fn outlet(&self) -> Weak<dyn Outlet> {
        self.as_outlet()
    }

    fn topic_terms(&self) -> Terms {
        Connection::topic_terms(self)
    }

    fn has_on_topic(&self) -> bool {
        let plugin = self.outside().purpose.plugin();
        plugin.is_some_and(|plugin| plugin.has_on_topic())
    }

    fn pings(&self) -> Option<&Pings> {
        self.outside().pings()
    }

    fn log(&self, level: Level, line: &CStr) {
        Connection::log(self, log::of_plugin(level), Tag::PluginSays, || {
            line.to_string_lossy().into_owned()
        });
    }

    fn log_misuse(&self, reason: &dyn fmt::Display) {
        Connection::log_misuse(self, reason);
    }
}
