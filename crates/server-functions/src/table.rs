//! The table of a connection: every server function.

use std::ffi::c_uint;

use websocket_plugin::abi::{self, WebSocketServer, WebSocketState};

use crate::served::Served;
use crate::{log, many, messages, request, timer, topics};

/// The table that a plugin gets for its connection.
pub struct ServerTable(WebSocketServer);

// SAFETY: nobody writes the table once it is made, and its functions may be called on any thread: a `Served` is `Sync`.
unsafe impl Send for ServerTable {}
// SAFETY: as above.
unsafe impl Sync for ServerTable {}

impl ServerTable {
    /// The table of a connection.
    ///
    /// # Safety
    /// `connection` stays where it is, and lives as long as a plugin may use the table.
    pub unsafe fn new<C: Served>(connection: *const C) -> Self {
        ServerTable(table(connection))
    }

    /// What the plugin sees.
    pub fn as_ptr(&self) -> *const WebSocketServer {
        &raw const self.0
    }
}

/// Every server function, for a connection; for none, when it is NULL.
pub(crate) fn table<C: Served>(connection: *const C) -> WebSocketServer {
    WebSocketServer {
        size: size_of::<WebSocketServer>() as c_uint,
        version: abi::WEBSOCKET_SERVER_VERSION_1,
        state: connection.cast_mut().cast::<WebSocketState>(),
        request: Some(request::request::<C>),
        header_get: Some(request::header_get::<C>),
        header_set: Some(request::header_set::<C>),
        protocol_count: Some(request::protocol_count::<C>),
        protocol_index: Some(request::protocol_index::<C>),
        protocol_set: Some(request::protocol_set::<C>),
        send: Some(messages::send::<C>),
        close: Some(messages::close::<C>),
        close_with: Some(messages::close_with::<C>),
        try_send: Some(messages::try_send::<C>),
        send_fragment: Some(messages::send_fragment::<C>),
        buffered_amount: Some(messages::buffered_amount::<C>),
        option_get: Some(request::option_get::<C>),
        variable_get: Some(request::variable_get::<C>),
        reject: Some(request::reject::<C>),
        set_timer: Some(timer::set_timer::<C>),
        log: Some(log::log::<C>),
        reject_with: Some(request::reject_with::<C>),
        subscribe: Some(topics::subscribe::<C>),
        unsubscribe: Some(topics::unsubscribe::<C>),
        publish: Some(topics::publish::<C>),
        topic_count: Some(topics::topic_count::<C>),
        topic_members: Some(topics::topic_members::<C>),
        send_many: Some(many::send_many::<C>),
    }
}
