//! A plugin's table, as its init function gives it: checked, and read once.

use std::ffi::{c_int, c_void};
use std::mem::offset_of;
use std::ptr::NonNull;

use websocket_plugin::abi;

/// The table's functions, read once; each as `websocket_plugin.h` has it.
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub struct Callbacks {
    pub destroy: abi::WsDestroy,
    pub on_connect: abi::WsOnConnect,
    pub on_message: unsafe extern "C" fn(
        *mut c_void,
        *const abi::WebSocketServer,
        c_int,
        *mut u8,
        usize,
    ) -> usize,
    pub on_disconnect: abi::WsOnDisconnect,
    pub configure: abi::WsConfigure,
    pub child_start: abi::WsChildStart,
    pub child_stop: abi::WsChildStop,
    pub on_open: abi::WsOnOpen,
    pub on_timer: abi::WsOnTimer,
    pub on_writable: abi::WsOnWritable,
    pub on_close: abi::WsOnClose,
}

/// Checks a table as the ABI wants it; the error is what is wrong with it.
///
/// # Safety
/// `table` points to a live table that has `size` and `version`, and as many bytes as `size` says.
pub unsafe fn check(table: NonNull<abi::WebSocketPlugin>) -> Result<Callbacks, String> {
    let table = table.as_ptr();
    // SAFETY: the caller's promise.
    let (size, version) = unsafe { ((*table).size as usize, (*table).version) };
    if version > abi::WEBSOCKET_PLUGIN_VERSION_1 {
        return Err(format!(
            "plugin version {version} is not supported (0 and 1 are)"
        ));
    }
    if size < abi::WEBSOCKET_PLUGIN_SIZE_VERSION_0 {
        return Err(format!(
            "the plugin's size is {size}, less than the {} of version 0; was it compiled with another header?",
            abi::WEBSOCKET_PLUGIN_SIZE_VERSION_0
        ));
    }
    // What follows version 0 may be anything there, and may be cut off in version 1.
    let known = match version {
        abi::WEBSOCKET_PLUGIN_VERSION_0 => abi::WEBSOCKET_PLUGIN_SIZE_VERSION_0,
        _ => size,
    };
    macro_rules! member {
        ($name:ident) => {
            match offset_of!(abi::WebSocketPlugin, $name) + size_of::<usize>() <= known {
                // SAFETY: the table is long enough to have the member.
                true => unsafe { (*table).$name },
                false => None,
            }
        };
    }
    Ok(Callbacks {
        destroy: member!(destroy),
        on_connect: member!(on_connect),
        on_message: member!(on_message).ok_or("on_message is NULL")?,
        on_disconnect: member!(on_disconnect),
        configure: member!(configure),
        child_start: member!(child_start),
        child_stop: member!(child_stop),
        on_open: member!(on_open),
        on_timer: member!(on_timer),
        on_writable: member!(on_writable),
        on_close: member!(on_close),
    })
}
