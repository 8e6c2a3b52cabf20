//! The callbacks that a plugin's table holds, and the plugin behind them.

use core::ffi::{c_int, c_uchar, c_uint, c_void};
use core::{ptr, slice, str};
use std::sync::{Arc, PoisonError, RwLock};

use crate::abi::{
    MESSAGE_TYPE_BINARY, MESSAGE_TYPE_TEXT, WEBSOCKET_CONNECT_ERROR, WEBSOCKET_PLUGIN_VERSION_0,
    WebSocketPlugin, WebSocketServer,
};
use crate::handshake::Handshake;
use crate::host::Host;
use crate::panic::{guard, note};
use crate::plugin::{AnyConnection, AnyPlugin, Message, Plugin};
use crate::sender::Sender;

/// The place of one exported plugin.
///
/// `on_connect` is given no pointer to the plugin's table, so the plugin has to stand in a static.
/// It does so from the init function to the last `destroy`; nothing else outlives a configuration.
pub struct Export {
    init: &'static str,
    current: RwLock<Current>,
}

struct Current {
    plugin: Option<Arc<dyn AnyPlugin>>,
    /// Handed out by the init function and not destroyed yet.
    tables: usize,
}

impl Export {
    /// The place of the plugin whose init function has this name.
    pub const fn new(init: &'static str) -> Self {
        Self {
            init,
            current: RwLock::new(Current {
                plugin: None,
                tables: 0,
            }),
        }
    }

    fn plugin(&self) -> Option<Arc<dyn AnyPlugin>> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .plugin
            .clone()
    }

    /// Adds a table. The first one makes the plugin; `false` when that panicked.
    fn hold<P: Plugin>(&self, make: impl FnOnce() -> P) -> bool {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.plugin.is_none() {
            let made = guard(self.init, "init", || Arc::new(make()));
            let Some(plugin) = made else {
                return false;
            };
            current.plugin = Some(plugin);
        }
        current.tables += 1;
        true
    }

    /// Takes a table away, and the plugin with the last one.
    fn release(&self) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        current.tables = current.tables.saturating_sub(1);
        let last = if current.tables == 0 {
            current.plugin.take()
        } else {
            None
        };
        drop(current);
        guard(self.init, "destroy", || drop(last));
    }
}

/// A type for each [`Export`], by which its callbacks find it.
pub trait Exported: 'static {
    /// The place of the plugin.
    fn export() -> &'static Export;
}

/// The body of an init function: NULL when `make` panics.
pub fn init<E: Exported, P: Plugin>(make: impl FnOnce() -> P) -> *mut WebSocketPlugin {
    if !E::export().hold(make) {
        return ptr::null_mut();
    }
    Box::into_raw(Box::new(WebSocketPlugin {
        size: size_of::<WebSocketPlugin>() as c_uint,
        version: WEBSOCKET_PLUGIN_VERSION_0,
        destroy: Some(destroy::<E>),
        on_connect: Some(on_connect::<E>),
        on_message: Some(on_message::<E>),
        on_disconnect: Some(on_disconnect::<E>),
    }))
}

/// `plugin_private` of an accepted connection.
struct Live {
    connection: Box<dyn AnyConnection>,
    sender: Sender,
    /// It panicked; its state may be broken, and is only dropped.
    failed: bool,
}

/// # Safety
/// As `WS_Destroy`: `plugin` is what `init` returned, and is not used afterwards.
unsafe extern "C" fn destroy<E: Exported>(plugin: *mut WebSocketPlugin) {
    if plugin.is_null() {
        return;
    }
    // SAFETY: `init` made it from a box, and the server gives it back once.
    drop(unsafe { Box::from_raw(plugin) });
    E::export().release();
}

/// # Safety
/// As `WS_OnConnect`.
unsafe extern "C" fn on_connect<E: Exported>(server: *const WebSocketServer) -> *mut c_void {
    let init = E::export().init;
    // SAFETY: the server's table is alive until this function refuses or `on_disconnect` returns.
    let host = match unsafe { Host::new(server) } {
        Ok(host) => host,
        Err(defect) => {
            note(init, defect);
            return ptr::null_mut();
        }
    };
    let Some(plugin) = E::export().plugin() else {
        note(init, "a connection after destroy");
        return ptr::null_mut();
    };

    let sender = Sender::new(host);
    let connected = guard(init, "on_connect", || {
        // SAFETY: this is `on_connect`, and the handshake does not leave the closure.
        let handshake = unsafe { Handshake::new(host, &sender) };
        plugin.connect(&handshake)
    });
    if let Some(Some(connection)) = connected {
        return Box::into_raw(Box::new(Live {
            connection,
            sender,
            failed: false,
        }))
        .cast();
    }

    // Refused: there is no `on_disconnect`, and the plugin may have given its sender away.
    sender.end();
    // SAFETY: `on_connect` has not returned.
    if connected.is_none() && unsafe { host.knows_connect_error() } {
        WEBSOCKET_CONNECT_ERROR
    } else {
        ptr::null_mut()
    }
}

/// # Safety
/// As `WS_OnMessage`: `plugin_private` is what `on_connect` returned, no other callback of the
/// connection runs, and `buffer` has `buffer_size` bytes.
unsafe extern "C" fn on_message<E: Exported>(
    plugin_private: *mut c_void,
    _server: *const WebSocketServer,
    message_type: c_int,
    buffer: *mut c_uchar,
    buffer_size: usize,
) -> usize {
    let init = E::export().init;
    // SAFETY: a `Live` of `on_connect`'s, borrowed for this callback, which is the only one.
    let Some(live) = (unsafe { plugin_private.cast::<Live>().as_mut() }) else {
        return buffer_size;
    };
    if live.failed {
        return buffer_size;
    }
    let payload = if buffer.is_null() || buffer_size == 0 {
        &[]
    } else {
        // SAFETY: the buffer is the plugin's until this function returns.
        unsafe { slice::from_raw_parts(buffer.cast_const(), buffer_size) }
    };
    let message = match message_type {
        MESSAGE_TYPE_TEXT => match str::from_utf8(payload) {
            Ok(text) => Message::Text(text),
            Err(_) => {
                // The server has checked it; a `str` must not depend on that.
                note(init, "the server delivered a text that is not UTF-8");
                let _ = live.sender.close_with(INVALID_FRAME_PAYLOAD_DATA, "");
                return buffer_size;
            }
        },
        MESSAGE_TYPE_BINARY => Message::Binary(payload),
        _ => return buffer_size,
    };

    let Live {
        connection, sender, ..
    } = live;
    if guard(init, "on_message", || connection.message(sender, message)).is_none() {
        live.failed = true;
        // The state stays until `on_disconnect`: dropping it may join a thread that is in `send`,
        // and this one may be needed to get that on.
        let _ = live.sender.close_with(INTERNAL_ERROR, "");
    }
    buffer_size
}

/// # Safety
/// As `WS_OnDisconnect`: `plugin_private` is what `on_connect` returned, and is not used afterwards.
unsafe extern "C" fn on_disconnect<E: Exported>(
    plugin_private: *mut c_void,
    _server: *const WebSocketServer,
) {
    if plugin_private.is_null() {
        return;
    }
    // SAFETY: `on_connect` made it from a box, and the server gives it back once.
    let live = unsafe { Box::from_raw(plugin_private.cast::<Live>()) };
    let Live {
        connection,
        sender,
        failed,
    } = *live;
    sender.end();
    guard(E::export().init, "on_disconnect", || {
        if failed {
            drop(connection)
        } else {
            connection.disconnect()
        }
    });
}

// RFC 6455 §7.4.1
const INVALID_FRAME_PAYLOAD_DATA: u16 = 1007;
const INTERNAL_ERROR: u16 = 1011;
