//! A plugin, and the calls to it.

use std::ffi::{CStr, CString, OsStr, c_int, c_uint, c_ulong, c_void};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use libloading::os::unix::Library;
use subscribers::{Letter, News};
use topics::Kind;
use websocket_plugin::abi;
use websocket_proto::MessageKind;

use crate::table::Callbacks;

/// A loaded plugin. With its last owner it is destroyed and unloaded.
pub struct Plugin {
    table: NonNull<abi::WebSocketPlugin>,
    callbacks: Callbacks,
    name: String,
    file: String,
    /// Another plugin's file has the same name.
    is_name_taken: AtomicBool,
    init: String,
    /// Libraries that it needs, whose symbols everything sees.
    _promoted: Vec<Library>,
    /// Last, so that the code is there while `drop` calls `destroy`.
    _library: Library,
}

// SAFETY: the ABI lets the server call a plugin on any thread (websocket_plugin.h, "Rules that hold everywhere").
unsafe impl Send for Plugin {}
// SAFETY: as above.
unsafe impl Sync for Plugin {}

/// What a plugin's `on_connect` gave, or the NULL of a plugin that has none; handed to its other callbacks.
#[derive(Clone, Copy)]
pub struct PluginPrivate(*mut c_void);

// SAFETY: the pointer is the plugin's own, which accepts it back on any thread.
unsafe impl Send for PluginPrivate {}
// SAFETY: as above.
unsafe impl Sync for PluginPrivate {}

/// What a plugin says to a handshake.
pub enum Verdict {
    /// It takes the connection.
    Accepted(PluginPrivate),
    /// It refuses: 403.
    Refused,
    /// It has failed: 500.
    Failed,
}

impl Plugin {
    /// The plugin whose init function `init`, of `file`, loaded as `library`, has returned `table`, which has been
    /// checked; `promoted` are libraries that stay as long as it does.
    ///
    /// # Safety
    /// `callbacks` are what [`check`](crate::table::check) read of `table`; it and its functions live until `destroy`, as
    /// long as `library` is loaded.
    pub unsafe fn new(
        table: NonNull<abi::WebSocketPlugin>,
        callbacks: Callbacks,
        (file, init): (String, String),
        promoted: Vec<Library>,
        library: Library,
    ) -> Self {
        Plugin {
            table,
            callbacks,
            name: stem_of(&file),
            file,
            is_name_taken: AtomicBool::new(false),
            init,
            _promoted: promoted,
            _library: library,
        }
    }

    /// Its file's name, without the extension; where another plugin's file has the same, the whole path.
    pub fn name(&self) -> &str {
        match self.is_name_taken.load(Ordering::Relaxed) {
            true => &self.file,
            false => &self.name,
        }
    }

    /// The two are loaded beside each other: if their files have the same name, both are called by their paths from now on.
    pub fn tell_apart(&self, other: &Plugin) {
        if self.file != other.file && self.name == other.name {
            self.is_name_taken.store(true, Ordering::Relaxed);
            other.is_name_taken.store(true, Ordering::Relaxed);
        }
    }

    /// The name of its init function.
    pub fn init(&self) -> &str {
        &self.init
    }

    /// Has the plugin check its options; the error is what is wrong with them.
    ///
    /// # Safety
    /// No other thread calls the plugin: the configuration is being read.
    pub unsafe fn configure<'o>(
        &self,
        options: impl Iterator<Item = (&'o CStr, &'o CStr)>,
    ) -> Result<(), String> {
        let Some(configure) = self.callbacks.configure else {
            return Ok(());
        };
        let list: Vec<_> = options
            .map(|(name, value)| abi::WebSocketOption {
                name: name.as_ptr(),
                value: value.as_ptr(),
            })
            .collect();
        // SAFETY: the caller's promise; the list lives for the call, and the answer until the next one.
        unsafe {
            let defect = configure(self.table.as_ptr(), list.as_ptr(), list.len());
            match defect.is_null() {
                true => Ok(()),
                false => Err(CStr::from_ptr(defect).to_string_lossy().into_owned()),
            }
        }
    }

    /// Whether the plugin wants to know when a child begins or ends.
    pub fn has_child_callbacks(&self) -> bool {
        self.callbacks.child_start.is_some() || self.callbacks.child_stop.is_some()
    }

    /// A child begins.
    ///
    /// # Safety
    /// The child's first call to this plugin; `server` lives until [`Plugin::child_stop`] has returned.
    pub unsafe fn child_start(&self, server: *const abi::WebSocketServer) {
        if let Some(child_start) = self.callbacks.child_start {
            // SAFETY: the caller's promise.
            unsafe { child_start(self.table.as_ptr(), server) }
        }
    }

    /// The child ends.
    ///
    /// # Safety
    /// Once for each [`Plugin::child_start`], after the last on_disconnect in this child.
    pub unsafe fn child_stop(&self, is_graceful: bool) {
        if let Some(child_stop) = self.callbacks.child_stop {
            // SAFETY: the caller's promise.
            unsafe { child_stop(self.table.as_ptr(), c_int::from(is_graceful)) }
        }
    }

    /// Asks whether the plugin takes a connection.
    ///
    /// # Safety
    /// `server` is the table of a live connection whose callbacks this thread may run.
    pub unsafe fn on_connect(&self, server: *const abi::WebSocketServer) -> Verdict {
        let Some(on_connect) = self.callbacks.on_connect else {
            return Verdict::Accepted(PluginPrivate(std::ptr::null_mut()));
        };
        // SAFETY: the caller's promise; the plugin is loaded while `self` lives.
        let private = unsafe { on_connect(server) };
        match private {
            _ if private.is_null() => Verdict::Refused,
            abi::WEBSOCKET_CONNECT_ERROR => Verdict::Failed,
            _ => Verdict::Accepted(PluginPrivate(private)),
        }
    }

    /// Hands a message to the plugin, which may change it in place.
    ///
    /// # Safety
    /// As [`Plugin::on_connect`]; `private` is from this plugin's acceptance of this connection.
    pub unsafe fn on_message(
        &self,
        private: PluginPrivate,
        server: *const abi::WebSocketServer,
        kind: MessageKind,
        payload: &mut [u8],
    ) {
        let message_type = match kind {
            MessageKind::Text => abi::MESSAGE_TYPE_TEXT,
            MessageKind::Binary => abi::MESSAGE_TYPE_BINARY,
        };
        // SAFETY: the caller's promise; the buffer is writable, and not NULL even when it is empty.
        unsafe {
            (self.callbacks.on_message)(
                private.0,
                server,
                message_type,
                payload.as_mut_ptr(),
                payload.len(),
            );
        }
    }

    /// The 101 is out.
    ///
    /// # Safety
    /// As [`Plugin::on_message`].
    pub unsafe fn on_open(&self, private: PluginPrivate, server: *const abi::WebSocketServer) {
        if let Some(on_open) = self.callbacks.on_open {
            // SAFETY: the caller's promise.
            unsafe { on_open(private.0, server) }
        }
    }

    /// Whether the plugin can be called at a time.
    pub fn has_on_timer(&self) -> bool {
        self.callbacks.on_timer.is_some()
    }

    /// The time has come.
    ///
    /// # Safety
    /// As [`Plugin::on_message`].
    pub unsafe fn on_timer(&self, private: PluginPrivate, server: *const abi::WebSocketServer) {
        if let Some(on_timer) = self.callbacks.on_timer {
            // SAFETY: the caller's promise.
            unsafe { on_timer(private.0, server) }
        }
    }

    /// There is room again.
    ///
    /// # Safety
    /// As [`Plugin::on_message`].
    pub unsafe fn on_writable(&self, private: PluginPrivate, server: *const abi::WebSocketServer) {
        if let Some(on_writable) = self.callbacks.on_writable {
            // SAFETY: the caller's promise.
            unsafe { on_writable(private.0, server) }
        }
    }

    /// Whether the plugin wants to know of pongs.
    pub fn has_on_pong(&self) -> bool {
        self.callbacks.on_pong.is_some()
    }

    /// A Pong has come.
    ///
    /// # Safety
    /// As [`Plugin::on_message`].
    pub unsafe fn on_pong(
        &self,
        private: PluginPrivate,
        server: *const abi::WebSocketServer,
        payload: &[u8],
        round_trip: Option<Duration>,
    ) {
        if let Some(on_pong) = self.callbacks.on_pong {
            let microseconds = round_trip.map_or(abi::WEBSOCKET_ROUND_TRIP_UNKNOWN, |time| {
                c_ulong::try_from(time.as_micros()).unwrap_or(abi::WEBSOCKET_ROUND_TRIP_UNKNOWN - 1)
            });
            // SAFETY: the caller's promise; the payload lives for the call.
            unsafe {
                on_pong(
                    private.0,
                    server,
                    payload.as_ptr(),
                    payload.len(),
                    microseconds,
                );
            }
        }
    }

    /// Whether the plugin wants to look at what is published.
    pub fn has_on_topic(&self) -> bool {
        self.callbacks.on_topic.is_some()
    }

    /// Tells the plugin of one of its subscriptions; says whether the message goes to the client.
    ///
    /// # Safety
    /// As [`Plugin::on_message`].
    pub unsafe fn on_topic(
        &self,
        private: PluginPrivate,
        server: *const abi::WebSocketServer,
        letter: &Letter,
    ) -> bool {
        let Some(on_topic) = self.callbacks.on_topic else {
            return false;
        };
        // A name has no control characters, and a token none either.
        let topic = CString::new(&*letter.topic).unwrap_or_default();
        let id = CString::new(letter.id.to_string()).unwrap_or_default();
        let (kind, bytes, count): (_, &[u8], _) = match &letter.news {
            News::Message { payload, .. } => (abi::WEBSOCKET_TOPIC_MESSAGE, payload, 0),
            News::Joined(member, members) => (
                abi::WEBSOCKET_TOPIC_JOINED,
                member.as_bytes(),
                u64::from(*members),
            ),
            News::Left(member, members) => (
                abi::WEBSOCKET_TOPIC_LEFT,
                member.as_bytes(),
                u64::from(*members),
            ),
            News::Members(members) => (abi::WEBSOCKET_TOPIC_MEMBERS, b"", u64::from(*members)),
            News::Dropped(count) => (abi::WEBSOCKET_TOPIC_DROPPED, b"", *count),
            News::Gap => (abi::WEBSOCKET_TOPIC_GAP, b"", 0),
        };
        let message_type = match &letter.news {
            News::Message {
                kind: Kind::Binary, ..
            } => abi::MESSAGE_TYPE_BINARY,
            _ => abi::MESSAGE_TYPE_TEXT,
        };
        let event = abi::WebSocketTopicEvent {
            size: size_of::<abi::WebSocketTopicEvent>() as c_uint,
            kind,
            topic: topic.as_ptr(),
            id: id.as_ptr(),
            message_type,
            buffer: bytes.as_ptr(),
            buffer_size: bytes.len(),
            count: c_ulong::try_from(count).unwrap_or(c_ulong::MAX),
        };
        // SAFETY: the caller's promise; the event and what it points to live for the call.
        let verdict = unsafe { on_topic(private.0, server, &raw const event) };
        verdict != abi::WEBSOCKET_TOPIC_SKIP && kind == abi::WEBSOCKET_TOPIC_MESSAGE
    }

    /// Tells the plugin how the WebSocket has ended.
    ///
    /// # Safety
    /// As [`Plugin::on_message`]; only on_disconnect comes after it.
    pub unsafe fn on_close(
        &self,
        private: PluginPrivate,
        server: *const abi::WebSocketServer,
        code: u16,
        reason: &str,
        is_clean: bool,
    ) {
        if let Some(on_close) = self.callbacks.on_close {
            // SAFETY: the caller's promise; the reason lives for the call.
            unsafe {
                on_close(
                    private.0,
                    server,
                    c_uint::from(code),
                    reason.as_ptr().cast(),
                    reason.len(),
                    c_int::from(is_clean),
                );
            }
        }
    }

    /// Tells the plugin that the connection has ended.
    ///
    /// # Safety
    /// As [`Plugin::on_message`]; the last callback of the connection, made once.
    pub unsafe fn on_disconnect(
        &self,
        private: PluginPrivate,
        server: *const abi::WebSocketServer,
    ) {
        if let Some(on_disconnect) = self.callbacks.on_disconnect {
            // SAFETY: the caller's promise.
            unsafe { on_disconnect(private.0, server) }
        }
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        if let Some(destroy) = self.callbacks.destroy {
            // SAFETY: the table is the plugin's own, loaded until `drop` is over, and given back once.
            unsafe { destroy(self.table.as_ptr()) }
        }
    }
}

fn stem_of(file: &str) -> String {
    let stem = Path::new(file).file_stem().unwrap_or(OsStr::new(file));
    stem.to_string_lossy().into_owned()
}
