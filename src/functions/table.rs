//! The table of a connection: every server function.

use std::ffi::c_uint;

use websocket_plugin::abi::{self, WebSocketServer, WebSocketState};

use super::{log, messages, request, timer};
use crate::plugin::ServerTable;
use crate::websocket::connection::Connection;

/// What the plugin of `connection` sees of it; the connection lives as long as the table is used.
pub fn server_table(connection: *const Connection) -> ServerTable {
    // SAFETY: the functions may be called on any thread, and a connection is `Sync`.
    unsafe { ServerTable::new(table(connection)) }
}

/// The table of a connection; of none, when it is NULL.
pub(super) fn table(connection: *const Connection) -> WebSocketServer {
    WebSocketServer {
        size: size_of::<WebSocketServer>() as c_uint,
        version: abi::WEBSOCKET_SERVER_VERSION_1,
        state: connection.cast_mut().cast::<WebSocketState>(),
        request: Some(request::request),
        header_get: Some(request::header_get),
        header_set: Some(request::header_set),
        protocol_count: Some(request::protocol_count),
        protocol_index: Some(request::protocol_index),
        protocol_set: Some(request::protocol_set),
        send: Some(messages::send),
        close: Some(messages::close),
        close_with: Some(messages::close_with),
        try_send: Some(messages::try_send),
        send_fragment: Some(messages::send_fragment),
        buffered_amount: Some(messages::buffered_amount),
        option_get: Some(request::option_get),
        variable_get: Some(request::variable_get),
        reject: Some(request::reject),
        set_timer: Some(timer::set_timer),
        log: Some(log::log),
        reject_with: Some(request::reject_with),
    }
}
