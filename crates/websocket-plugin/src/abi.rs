//! The plugin ABI as `include/websocket_plugin.h` declares it.
//!
//! That header is the truth, and it says for each member who owns what, which thread may call
//! and what the results mean; this is its mirror. `tests/layout.rs` compiles the header and
//! compares sizes, offsets and constants.
//!
//! Both tables may be longer or shorter than the structs here: they carry their `size`. Never
//! make a reference to a table that somebody else filled in; read its members through the pointer,
//! and those after [`WebSocketServer::close`] only if [`WebSocketServer::has`] says so.

use core::ffi::{c_char, c_int, c_long, c_uchar, c_uint, c_ulong, c_void};
use core::mem::offset_of;
use core::ptr;

/// No message type; `send` takes it for a close.
pub const MESSAGE_TYPE_INVALID: c_int = -1;
/// A text message.
pub const MESSAGE_TYPE_TEXT: c_int = 0;
/// A binary message.
pub const MESSAGE_TYPE_BINARY: c_int = 128;
/// A Close frame; only for `send`.
pub const MESSAGE_TYPE_CLOSE: c_int = 255;
/// A Ping frame; only for `send`.
pub const MESSAGE_TYPE_PING: c_int = 256;
/// A Pong frame; only for `send`.
pub const MESSAGE_TYPE_PONG: c_int = 257;

/// A flag beside [`MESSAGE_TYPE_TEXT`] and [`MESSAGE_TYPE_BINARY`] in `send`: do not compress this message.
/// Only for a server that has `close_with`; others take it for a close.
pub const MESSAGE_TYPE_UNCOMPRESSED: c_int = 0x10000;

/// Result of `try_send` and `send_fragment`: accepted.
pub const WEBSOCKET_SEND_ACCEPTED: c_int = 1;
/// Result of `try_send`: no room now.
pub const WEBSOCKET_SEND_WOULD_BLOCK: c_int = 0;
/// Result of `try_send` and `send_fragment`: the connection has ended or closes.
pub const WEBSOCKET_SEND_CLOSED: c_int = -1;
/// Result of `try_send` and `send_fragment`: such a message must not be sent.
pub const WEBSOCKET_SEND_INVALID: c_int = -2;

/// Level of `log`: the plugin failed at something.
pub const WEBSOCKET_LOG_ERROR: c_int = 3;
/// Level of `log`: something is odd.
pub const WEBSOCKET_LOG_WARNING: c_int = 4;
/// Level of `log`: normal, and worth a line.
pub const WEBSOCKET_LOG_NOTICE: c_int = 5;
/// Level of `log`: what happens.
pub const WEBSOCKET_LOG_INFO: c_int = 6;
/// Level of `log`: for the plugin's author.
pub const WEBSOCKET_LOG_DEBUG: c_int = 7;
/// Level of `log`: everything.
pub const WEBSOCKET_LOG_TRACE: c_int = 8;

/// Result of the functions of topics: done.
pub const WEBSOCKET_TOPIC_DONE: c_int = 1;
/// Result of `subscribe`: subscribed, but not from `since` on.
pub const WEBSOCKET_TOPIC_LOST: c_int = 2;
/// Result of `unsubscribe`: it was not subscribed.
pub const WEBSOCKET_TOPIC_NOT_SO: c_int = 0;
/// Result of the functions of topics: the connection has ended, or is none.
pub const WEBSOCKET_TOPIC_CLOSED: c_int = -1;
/// Result of the functions of topics: an argument is bad.
pub const WEBSOCKET_TOPIC_INVALID: c_int = -2;
/// Result of the functions of topics: there are no topics here, or not now.
pub const WEBSOCKET_TOPIC_UNAVAILABLE: c_int = -3;
/// Result of the functions of topics: a limit is reached.
pub const WEBSOCKET_TOPIC_FULL: c_int = -4;
/// Result of `subscribe`: another member is called so.
pub const WEBSOCKET_TOPIC_TAKEN: c_int = -5;
/// Result of `publish`: a message that topics do not take.
pub const WEBSOCKET_TOPIC_TOO_LARGE: c_int = -6;

/// The most bytes of a topic's name.
pub const WEBSOCKET_TOPIC_NAME_MOST: usize = 255;
/// The most bytes of a member's text.
pub const WEBSOCKET_TOPIC_MEMBER_MOST: usize = 128;
/// The most topics of one WebSocket.
pub const WEBSOCKET_TOPICS_MOST: usize = 128;
/// Bytes of an id with its NUL, at most.
pub const WEBSOCKET_TOPIC_ID_SIZE: usize = 40;

/// Flag of `subscribe`: `on_topic` is called.
pub const WEBSOCKET_SUBSCRIBE_ON_TOPIC: c_uint = 1;
/// Flag of `subscribe`: messages of the subprotocol `topics.json`.
pub const WEBSOCKET_SUBSCRIBE_JSON: c_uint = 2;
/// Flag of `subscribe`: told of members that join and leave.
pub const WEBSOCKET_SUBSCRIBE_PRESENCE: c_uint = 4;
/// Flag of `subscribe`: no other member is called so.
pub const WEBSOCKET_SUBSCRIBE_UNIQUE: c_uint = 8;

/// Flag of `publish`: not to the WebSocket that publishes.
pub const WEBSOCKET_PUBLISH_EXCLUDE_SELF: c_uint = 1;
/// Flag of `publish`: not kept.
pub const WEBSOCKET_PUBLISH_VOLATILE: c_uint = 2;
/// Flag of `publish`: newcomers get it first.
pub const WEBSOCKET_PUBLISH_RETAIN: c_uint = 4;
/// Flag of `publish`: uncompressed.
pub const WEBSOCKET_PUBLISH_UNCOMPRESSED: c_uint = 8;

/// Scope of `topic_count`: this child.
pub const WEBSOCKET_TOPIC_CHILD: c_int = 0;
/// Scope of `topic_count`: all children.
pub const WEBSOCKET_TOPIC_HOST: c_int = 1;

/// [`WebSocketTopicEvent::kind`]: something was published.
pub const WEBSOCKET_TOPIC_MESSAGE: c_uint = 0;
/// [`WebSocketTopicEvent::kind`]: a member has joined.
pub const WEBSOCKET_TOPIC_JOINED: c_uint = 1;
/// [`WebSocketTopicEvent::kind`]: a member has left.
pub const WEBSOCKET_TOPIC_LEFT: c_uint = 2;
/// [`WebSocketTopicEvent::kind`]: joins and leaves have gone by untold.
pub const WEBSOCKET_TOPIC_MEMBERS: c_uint = 3;
/// [`WebSocketTopicEvent::kind`]: messages were dropped.
pub const WEBSOCKET_TOPIC_DROPPED: c_uint = 4;
/// [`WebSocketTopicEvent::kind`]: messages are missing.
pub const WEBSOCKET_TOPIC_GAP: c_uint = 5;

/// Result of `on_topic`: the message does not go to the client.
pub const WEBSOCKET_TOPIC_SKIP: c_int = 0;
/// Result of `on_topic`: the message goes to the client.
pub const WEBSOCKET_TOPIC_PASS: c_int = 1;

/// [`WebSocketServer::version`].
pub const WEBSOCKET_SERVER_VERSION_1: c_uint = 1;
/// [`WebSocketPlugin::version`] of a plugin with nothing after `on_disconnect`.
pub const WEBSOCKET_PLUGIN_VERSION_0: c_uint = 0;
/// [`WebSocketPlugin::version`] of a plugin whose members after `on_disconnect` count.
pub const WEBSOCKET_PLUGIN_VERSION_1: c_uint = 1;

/// [`WebSocketServer::size`] of a server with no appended member (the C module).
pub const WEBSOCKET_SERVER_SIZE_C_MODULE: usize = offset_of!(WebSocketServer, close_with);
/// [`WebSocketServer::size`] that a server which loads plugins of version 1 has at least.
pub const WEBSOCKET_SERVER_SIZE_VERSION_1: usize = offset_of!(WebSocketServer, reject_with);
/// [`WebSocketPlugin::size`] that version 0 has at least.
pub const WEBSOCKET_PLUGIN_SIZE_VERSION_0: usize = offset_of!(WebSocketPlugin, configure);

/// What `on_pong` gets when no ping is known that the pong answers.
pub const WEBSOCKET_ROUND_TRIP_UNKNOWN: c_ulong = c_ulong::MAX;

/// Result of `on_connect` that refuses with 500 Internal Server Error; only for a server that has
/// `close_with`.
pub const WEBSOCKET_CONNECT_ERROR: *mut c_void = ptr::without_provenance_mut(usize::MAX);

/// httpd's `request_rec`, known here by address only.
#[repr(C)]
pub struct RequestRec {
    _private: [u8; 0],
}

/// `struct _WebSocketState`: the server's own, known here by address only.
#[repr(C)]
pub struct WebSocketState {
    _private: [u8; 0],
}

/// `WS_Request`
pub type WsRequest =
    Option<unsafe extern "C" fn(server: *const WebSocketServer) -> *mut RequestRec>;
/// `WS_Header_Get`
pub type WsHeaderGet = Option<
    unsafe extern "C" fn(server: *const WebSocketServer, key: *const c_char) -> *const c_char,
>;
/// `WS_Header_Set`
pub type WsHeaderSet = Option<
    unsafe extern "C" fn(server: *const WebSocketServer, key: *const c_char, value: *const c_char),
>;
/// `WS_Protocol_Count`
pub type WsProtocolCount = Option<unsafe extern "C" fn(server: *const WebSocketServer) -> usize>;
/// `WS_Protocol_Index`
pub type WsProtocolIndex =
    Option<unsafe extern "C" fn(server: *const WebSocketServer, index: usize) -> *const c_char>;
/// `WS_Protocol_Set`
pub type WsProtocolSet =
    Option<unsafe extern "C" fn(server: *const WebSocketServer, protocol: *const c_char)>;
/// `WS_Send`
pub type WsSend = Option<
    unsafe extern "C" fn(
        server: *const WebSocketServer,
        message_type: c_int,
        buffer: *const c_uchar,
        buffer_size: usize,
    ) -> usize,
>;
/// `WS_Close`
pub type WsClose = Option<unsafe extern "C" fn(server: *const WebSocketServer)>;
/// `WS_Close_With`
pub type WsCloseWith = Option<
    unsafe extern "C" fn(
        server: *const WebSocketServer,
        code: c_uint,
        reason: *const c_char,
        reason_size: usize,
    ) -> c_int,
>;
/// `WS_Try_Send`
pub type WsTrySend = Option<
    unsafe extern "C" fn(
        server: *const WebSocketServer,
        message_type: c_int,
        buffer: *const c_uchar,
        buffer_size: usize,
    ) -> c_int,
>;
/// `WS_Send_Fragment`
pub type WsSendFragment = Option<
    unsafe extern "C" fn(
        server: *const WebSocketServer,
        message_type: c_int,
        buffer: *const c_uchar,
        buffer_size: usize,
        is_final: c_int,
    ) -> c_int,
>;
/// `WS_Buffered_Amount`
pub type WsBufferedAmount = Option<unsafe extern "C" fn(server: *const WebSocketServer) -> usize>;
/// `WS_Option_Get`
pub type WsOptionGet = Option<
    unsafe extern "C" fn(server: *const WebSocketServer, name: *const c_char) -> *const c_char,
>;
/// `WS_Variable_Get`
pub type WsVariableGet = Option<
    unsafe extern "C" fn(server: *const WebSocketServer, name: *const c_char) -> *const c_char,
>;
/// `WS_Reject`
pub type WsReject =
    Option<unsafe extern "C" fn(server: *const WebSocketServer, http_status: c_uint) -> c_int>;
/// `WS_Reject_With`
pub type WsRejectWith = Option<
    unsafe extern "C" fn(
        server: *const WebSocketServer,
        http_status: c_uint,
        content_type: *const c_char,
        body: *const c_char,
        body_size: usize,
    ) -> c_int,
>;
/// `WS_Send_Many`
pub type WsSendMany = Option<
    unsafe extern "C" fn(
        server: *const WebSocketServer,
        receivers: *const *const WebSocketServer,
        count: usize,
        message_type: c_int,
        buffer: *const c_uchar,
        buffer_size: usize,
        results: *mut c_int,
    ) -> usize,
>;
/// `WS_Set_Timer`
pub type WsSetTimer =
    Option<unsafe extern "C" fn(server: *const WebSocketServer, milliseconds: c_uint) -> c_int>;
/// `WS_Log`
pub type WsLog =
    Option<unsafe extern "C" fn(server: *const WebSocketServer, level: c_int, text: *const c_char)>;
/// `WS_Subscribe`
pub type WsSubscribe = Option<
    unsafe extern "C" fn(
        server: *const WebSocketServer,
        topic: *const c_char,
        since: *const c_char,
        member: *const c_char,
        flags: c_uint,
    ) -> c_int,
>;
/// `WS_Unsubscribe`
pub type WsUnsubscribe =
    Option<unsafe extern "C" fn(server: *const WebSocketServer, topic: *const c_char) -> c_int>;
/// `WS_Publish`
pub type WsPublish = Option<
    unsafe extern "C" fn(
        server: *const WebSocketServer,
        topic: *const c_char,
        message_type: c_int,
        buffer: *const c_uchar,
        buffer_size: usize,
        flags: c_uint,
        id: *mut c_char,
    ) -> c_int,
>;
/// `WS_Topic_Count`
pub type WsTopicCount = Option<
    unsafe extern "C" fn(
        server: *const WebSocketServer,
        topic: *const c_char,
        scope: c_int,
    ) -> c_long,
>;
/// `WS_Member`
pub type WsMember =
    Option<unsafe extern "C" fn(data: *mut c_void, member: *const c_char, member_size: usize)>;
/// `WS_Topic_Members`
pub type WsTopicMembers = Option<
    unsafe extern "C" fn(
        server: *const WebSocketServer,
        topic: *const c_char,
        each: WsMember,
        data: *mut c_void,
    ) -> c_long,
>;

/// The server functions of one connection. The server fills it in.
#[repr(C)]
pub struct WebSocketServer {
    /// In bytes; tells which appended members exist.
    pub size: c_uint,
    /// [`WEBSOCKET_SERVER_VERSION_1`].
    pub version: c_uint,
    /// The server's own.
    pub state: *mut WebSocketState,
    /// httpd's request.
    pub request: WsRequest,
    /// Reads a header field of the handshake request.
    pub header_get: WsHeaderGet,
    /// Sets a header field of the handshake response.
    pub header_set: WsHeaderSet,
    /// How many subprotocols the client offers.
    pub protocol_count: WsProtocolCount,
    /// One offered subprotocol.
    pub protocol_index: WsProtocolIndex,
    /// Chooses the subprotocol.
    pub protocol_set: WsProtocolSet,
    /// Sends a message or a control frame.
    pub send: WsSend,
    /// Starts the closing handshake without a status code.
    pub close: WsClose,
    /// Appended. Starts the closing handshake with a status code and a reason.
    pub close_with: WsCloseWith,
    /// Appended. Sends without waiting.
    pub try_send: WsTrySend,
    /// Appended. Sends a part of a message.
    pub send_fragment: WsSendFragment,
    /// Appended. How much waits for the peer.
    pub buffered_amount: WsBufferedAmount,
    /// Appended. An option of the plugin's.
    pub option_get: WsOptionGet,
    /// Appended. A CGI variable of the request.
    pub variable_get: WsVariableGet,
    /// Appended. Chooses the status of a refusal.
    pub reject: WsReject,
    /// Appended. Asks for `on_timer`.
    pub set_timer: WsSetTimer,
    /// Appended. Writes to the ErrorLog.
    pub log: WsLog,
    /// Appended. Chooses the status of a refusal, and its body.
    pub reject_with: WsRejectWith,
    /// Appended. Subscribes to a topic.
    pub subscribe: WsSubscribe,
    /// Appended. Ends a subscription.
    pub unsubscribe: WsUnsubscribe,
    /// Appended. Publishes to a topic.
    pub publish: WsPublish,
    /// Appended. How many subscribers a topic has.
    pub topic_count: WsTopicCount,
    /// Appended. A topic's members.
    pub topic_members: WsTopicMembers,
    /// Appended. Sends one message to many.
    pub send_many: WsSendMany,
}

impl WebSocketServer {
    /// `WEBSOCKET_SERVER_HAS`: whether the table at `server` is long enough for a member that ends
    /// at `end` (its offset plus its size).
    ///
    /// # Safety
    /// `server` points to a live table, which need not be longer than `size` and `version`.
    pub const unsafe fn has(server: *const Self, end: usize) -> bool {
        // SAFETY: the caller says that at least `size` is there. No reference is made.
        unsafe { (*server).size as usize >= end }
    }
}

/// `WS_Init`
pub type WsInit = Option<unsafe extern "C" fn() -> *mut WebSocketPlugin>;
/// `WS_Destroy`
pub type WsDestroy = Option<unsafe extern "C" fn(plugin: *mut WebSocketPlugin)>;
/// `WS_OnConnect`
pub type WsOnConnect = Option<unsafe extern "C" fn(server: *const WebSocketServer) -> *mut c_void>;
/// `WS_OnMessage`
pub type WsOnMessage = Option<
    unsafe extern "C" fn(
        plugin_private: *mut c_void,
        server: *const WebSocketServer,
        message_type: c_int,
        buffer: *mut c_uchar,
        buffer_size: usize,
    ) -> usize,
>;
/// `WS_OnDisconnect`
pub type WsOnDisconnect =
    Option<unsafe extern "C" fn(plugin_private: *mut c_void, server: *const WebSocketServer)>;

/// One `WebSocketPluginOption`.
#[repr(C)]
pub struct WebSocketOption {
    /// Its name.
    pub name: *const c_char,
    /// Its value.
    pub value: *const c_char,
}

/// `WS_Configure`
pub type WsConfigure = Option<
    unsafe extern "C" fn(
        plugin: *mut WebSocketPlugin,
        options: *const WebSocketOption,
        option_count: usize,
    ) -> *const c_char,
>;
/// `WS_Child_Start`
pub type WsChildStart =
    Option<unsafe extern "C" fn(plugin: *mut WebSocketPlugin, server: *const WebSocketServer)>;
/// `WS_Child_Stop`
pub type WsChildStop = Option<unsafe extern "C" fn(plugin: *mut WebSocketPlugin, graceful: c_int)>;
/// `WS_OnOpen`
pub type WsOnOpen =
    Option<unsafe extern "C" fn(plugin_private: *mut c_void, server: *const WebSocketServer)>;
/// `WS_OnTimer`
pub type WsOnTimer =
    Option<unsafe extern "C" fn(plugin_private: *mut c_void, server: *const WebSocketServer)>;
/// `WS_OnWritable`
pub type WsOnWritable =
    Option<unsafe extern "C" fn(plugin_private: *mut c_void, server: *const WebSocketServer)>;
/// `WS_OnClose`
pub type WsOnClose = Option<
    unsafe extern "C" fn(
        plugin_private: *mut c_void,
        server: *const WebSocketServer,
        code: c_uint,
        reason: *const c_char,
        reason_size: usize,
        clean: c_int,
    ),
>;
/// `WS_OnPong`
pub type WsOnPong = Option<
    unsafe extern "C" fn(
        plugin_private: *mut c_void,
        server: *const WebSocketServer,
        payload: *const c_uchar,
        payload_size: usize,
        round_trip: c_ulong,
    ),
>;

/// What has happened to a subscription.
#[repr(C)]
pub struct WebSocketTopicEvent {
    /// In bytes.
    pub size: c_uint,
    /// `WEBSOCKET_TOPIC_MESSAGE` and so on.
    pub kind: c_uint,
    /// The topic's name.
    pub topic: *const c_char,
    /// What a subscription may begin behind.
    pub id: *const c_char,
    /// [`MESSAGE_TYPE_TEXT`] or [`MESSAGE_TYPE_BINARY`].
    pub message_type: c_int,
    /// The message, or the member's text.
    pub buffer: *const c_uchar,
    /// How many bytes that are.
    pub buffer_size: usize,
    /// How many members, or messages that were dropped.
    pub count: c_ulong,
}
/// `WS_OnTopic`
pub type WsOnTopic = Option<
    unsafe extern "C" fn(
        plugin_private: *mut c_void,
        server: *const WebSocketServer,
        event: *const WebSocketTopicEvent,
    ) -> c_int,
>;

/// The callbacks of a plugin. The plugin fills it in.
#[repr(C)]
pub struct WebSocketPlugin {
    /// In bytes.
    pub size: c_uint,
    /// [`WEBSOCKET_PLUGIN_VERSION_0`] or [`WEBSOCKET_PLUGIN_VERSION_1`].
    pub version: c_uint,
    /// The configuration goes away.
    pub destroy: WsDestroy,
    /// A client asks for a WebSocket.
    pub on_connect: WsOnConnect,
    /// A whole message has arrived. Never `None` in a good plugin.
    pub on_message: WsOnMessage,
    /// The connection has ended.
    pub on_disconnect: WsOnDisconnect,
    /// Version 1. Checks options.
    pub configure: WsConfigure,
    /// Version 1. A child process begins.
    pub child_start: WsChildStart,
    /// Version 1. The child process ends.
    pub child_stop: WsChildStop,
    /// Version 1. The 101 is out.
    pub on_open: WsOnOpen,
    /// Version 1. The timer has run out.
    pub on_timer: WsOnTimer,
    /// Version 1. There is room again.
    pub on_writable: WsOnWritable,
    /// Version 1. Why the connection has ended.
    pub on_close: WsOnClose,
    /// Version 1. A Pong has come.
    pub on_pong: WsOnPong,
    /// Version 1. Something has happened to a subscription.
    pub on_topic: WsOnTopic,
}
