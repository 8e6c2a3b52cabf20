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
    pub on_pong: abi::WsOnPong,
    pub on_topic: abi::WsOnTopic,
}

impl Callbacks {
    /// Where each of them lies, with its name.
    pub fn addresses(&self) -> impl Iterator<Item = (&'static str, *const c_void)> {
        macro_rules! address {
            ($name:ident) => {
                (stringify!($name), self.$name.map(|f| f as *const c_void))
            };
        }
        [
            address!(destroy),
            address!(on_connect),
            ("on_message", Some(self.on_message as *const c_void)),
            address!(on_disconnect),
            address!(configure),
            address!(child_start),
            address!(child_stop),
            address!(on_open),
            address!(on_timer),
            address!(on_writable),
            address!(on_close),
            address!(on_pong),
            address!(on_topic),
        ]
        .into_iter()
        .filter_map(|(name, address)| Some((name, address?)))
    }
}

/// Checks a table as the ABI wants it; the error is what is wrong with it. The name is that of the first member that
/// is set and ignored, because the version says so.
///
/// # Safety
/// `table` points to a live table that has `size` and `version`, and as many bytes as `size` says.
pub unsafe fn check(
    table: NonNull<abi::WebSocketPlugin>,
) -> Result<(Callbacks, Option<&'static str>), String> {
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
    macro_rules! is_ignored {
        ($name:ident) => {{
            let end = offset_of!(abi::WebSocketPlugin, $name) + size_of::<usize>();
            // SAFETY: as above, for the size that the table says it has.
            (known < end && end <= size && unsafe { (*table).$name.is_some() })
                .then_some(stringify!($name))
        }};
    }
    let ignored = None
        .or(is_ignored!(configure))
        .or(is_ignored!(child_start))
        .or(is_ignored!(child_stop))
        .or(is_ignored!(on_open))
        .or(is_ignored!(on_timer))
        .or(is_ignored!(on_writable))
        .or(is_ignored!(on_close))
        .or(is_ignored!(on_pong))
        .or(is_ignored!(on_topic));
    let callbacks = Callbacks {
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
        on_pong: member!(on_pong),
        on_topic: member!(on_topic),
    };
    Ok((callbacks, ignored))
}
