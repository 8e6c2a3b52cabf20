//! One WebSocket: the only place where protocol state, transport, outbox and plugin meet.

use std::ffi::CString;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError, Weak};
use std::time::{Duration, Instant};

use httpd::apr::Status;
use httpd::log::Subject;
use httpd::request::RequestHandle;
use httpd::upgraded::{Read, Upgraded};
use websocket_plugin::abi;
use websocket_proto::{
    CloseCode, CloseFrame, Event, Payload, ProtocolVersion, Receiver, ReceiverConfig,
    ReservedCloseCodes, Role,
};

use crate::child::Child;
use crate::config::Config;
use crate::driver::{Driver, Wait};
use crate::ending::Ending;
use crate::log::{self, Level, Tag};
use crate::outbox::{Outbox, Outgoing, Refused};
use crate::plugin::{Plugin, PluginPrivate};
use crate::server_api::ServerTable;
use crate::transport::Transport;

/// How long to wait for the peer's Close after ours.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How many reads one turn makes before others get theirs.
const READS_PER_TURN: usize = 64;

/// One WebSocket, from before its `on_connect` until after its `on_disconnect`.
pub struct Connection {
    /// What the plugin sees; its `state` is this connection.
    server: ServerTable,
    plugin: Arc<Plugin>,
    private: OnceLock<PluginPrivate>,
    request: RequestHandle,
    subprotocols: Vec<CString>,
    version: ProtocolVersion,
    reserved_close_codes: ReservedCloseCodes,
    send_timeout: Duration,
    driver: OnceLock<Weak<dyn Driver>>,
    /// The child that it is counted in, and under which number.
    membership: OnceLock<(Weak<Child>, u64)>,
    /// When the child wants it closed.
    drain_at: Mutex<Option<Instant>>,
    outbox: Outbox,
    /// Read and written under one lock: TLS reads while it writes. `None` before the 101.
    transport: Mutex<Option<Transport>>,
    /// The socket is full, or broken: output waits for a turn.
    is_stalled: AtomicBool,
    /// Belongs to the turn: taken out for its length, so that no lock is held while the plugin runs.
    reader: Mutex<Option<Reader>>,
    has_logged_misuse: AtomicBool,
    messages_sent: AtomicU64,
}

/// The receiving half, and how it is coming to its end.
struct Reader {
    receiver: Receiver,
    ending: Option<Ending>,
    /// When the closing handshake has to be over.
    close_deadline: Option<Instant>,
    /// The turn has stopped before the input did.
    has_more: bool,
    opened: Instant,
    messages_received: u64,
}

impl Connection {
    /// A connection whose plugin has not been asked yet.
    pub fn new(
        request: RequestHandle,
        plugin: Arc<Plugin>,
        config: &Config,
        version: ProtocolVersion,
        subprotocols: Vec<CString>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| Connection {
            server: ServerTable::new(this.as_ptr()),
            plugin,
            private: OnceLock::new(),
            request,
            subprotocols,
            version,
            reserved_close_codes: config.reserved_close_codes(),
            send_timeout: config.send_timeout(),
            driver: OnceLock::new(),
            membership: OnceLock::new(),
            drain_at: Mutex::new(None),
            outbox: Outbox::new(config.send_buffer()),
            transport: Mutex::new(None),
            is_stalled: AtomicBool::new(false),
            reader: Mutex::new(Some(Reader {
                receiver: Receiver::new(ReceiverConfig {
                    role: Role::Server,
                    max_message_size: config.max_message_size(),
                    reserved_close_codes: config.reserved_close_codes(),
                }),
                ending: None,
                close_deadline: None,
                has_more: false,
                opened: Instant::now(),
                messages_received: 0,
            })),
            has_logged_misuse: AtomicBool::new(false),
            messages_sent: AtomicU64::new(0),
        })
    }

    /// What the plugin sees of it.
    pub fn server(&self) -> *const abi::WebSocketServer {
        self.server.as_ptr()
    }

    /// The request that opened it. It lives as long as the connection.
    pub fn request(&self) -> &RequestHandle {
        &self.request
    }

    /// The subprotocols that the client offers.
    pub fn subprotocols(&self) -> &[CString] {
        &self.subprotocols
    }

    /// The plugin has accepted the connection.
    pub fn accept(&self, private: PluginPrivate) {
        // Called once, so that it is not set already.
        let _ = self.private.set(private);
    }

    /// Whether the plugin has accepted the connection.
    pub fn is_accepted(&self) -> bool {
        self.private.get().is_some()
    }

    /// The plugin has refused: nobody sends any more.
    pub fn refuse(&self) {
        self.outbox.end();
    }

    /// The plugin has accepted, but there is no connection to open.
    pub fn fail_to_open(&self) {
        self.outbox.end();
        if let Some(reader) = lock(&self.reader).take() {
            self.disconnect(&reader);
        }
    }

    /// The 101 has been sent: from here on the driver takes turns, and what was sent meanwhile goes out.
    pub fn open(
        self: &Arc<Self>,
        upgraded: Upgraded,
        driver: Weak<dyn Driver>,
        child: &Arc<Child>,
    ) {
        let mut transport = Transport::new(upgraded, self.send_timeout);
        log::log(
            &Subject::Upgraded(transport.upgraded()),
            Level::Debug,
            Tag::Opened,
            || format!("WebSocket opened, version {}", self.version),
        );
        // Called once, so that it is not set already.
        let _ = self.driver.set(driver);
        *lock(&self.transport) = Some(transport);
        let _ = self
            .membership
            .set((Arc::downgrade(child), child.add(self)));
    }

    /// Gives the connection below back, after the WebSocket has ended.
    pub fn take_upgraded(&self) -> Option<Upgraded> {
        lock(&self.transport).take().map(Transport::into_upgraded)
    }

    // The child's side.

    /// Has the WebSocket closed with 1001 at `time`, because its child stops.
    pub fn drain_at(&self, time: Instant) {
        *lock(&self.drain_at) = Some(time);
        self.wake();
    }

    /// Whether no turn is under way on the thread that asks, so that nothing is locked or half done there.
    pub fn is_at_rest(&self) -> bool {
        self.driver().is_none_or(|driver| driver.is_at_rest())
    }

    /// Releases every thread that is blocked in `send`.
    pub fn stop_sending(&self) {
        self.outbox.end();
    }

    /// Ends the WebSocket when there will be no more turns.
    pub fn terminate(&self) {
        if let Some(mut reader) = lock(&self.reader).take() {
            reader.ending.get_or_insert(Ending::ChildStopped);
            self.end(&reader);
            if let Some(driver) = self.driver() {
                driver.terminated();
            }
        }
    }

    // What a plugin does, on any thread.

    /// Sends a message or a control frame. Blocks while the outbox is full. Says whether it was accepted.
    pub fn send(&self, outgoing: Outgoing<'_>) -> bool {
        loop {
            match self.outbox.push(outgoing) {
                Ok(()) => {
                    if let Outgoing::Message(..) = outgoing {
                        self.messages_sent.fetch_add(1, Ordering::Relaxed);
                    }
                    self.transmit();
                    return true;
                }
                Err(Refused::Full) if self.is_accepted() => self.wait_for_room(),
                // Nobody takes anything out before the 101.
                Err(Refused::Full) => return false,
                Err(Refused::Ended) => return false,
                Err(Refused::Invalid(reason)) => {
                    self.log_misuse(&reason);
                    return false;
                }
            }
        }
    }

    /// Starts the closing handshake. Says whether it was this call that did.
    pub fn close(&self, frame: Option<&CloseFrame>) -> bool {
        let is_first = self.outbox.push_close(frame).is_ok();
        if is_first {
            self.transmit();
            self.wake();
        }
        is_first
    }

    /// [`Connection::close`] with the payload data of a Close frame.
    pub fn close_with_payload(&self, payload: &[u8]) -> bool {
        match CloseFrame::parse(payload, self.reserved_close_codes) {
            Ok(frame) => self.close(frame.as_ref()),
            Err(reason) => {
                self.log_misuse(&reason);
                false
            }
        }
    }

    fn wait_for_room(&self) {
        let deadline = self
            .with_transport(|transport| transport.send_deadline())
            .flatten();
        let has_waited = self
            .driver()
            .is_some_and(|driver| driver.wait_to_write(deadline));
        if !has_waited {
            self.outbox.wait_for_room();
            return;
        }
        self.resume();
        self.expire(Instant::now());
    }

    /// Gives a peer up that has taken no output in time, and releases the threads in `send`; from any thread,
    /// because the turn's own may be one of them. The turn finds the same afterwards.
    pub fn expire(&self, now: Instant) {
        let is_over = |transport: &Transport| {
            transport.failure().is_some()
                || transport
                    .send_deadline()
                    .is_some_and(|deadline| deadline <= now)
        };
        if self.with_transport(|transport| is_over(transport)) == Some(true) {
            self.outbox.end();
        }
    }

    /// Looks at the transport. Who finds it taken meanwhile leaves its message to this thread.
    fn with_transport<T>(&self, look: impl FnOnce(&mut Transport) -> T) -> Option<T> {
        let seen = lock(&self.transport).as_mut().map(look);
        self.transmit();
        seen
    }

    /// Says once for each connection what a plugin does wrong.
    fn log_misuse(&self, reason: &dyn fmt::Display) {
        if self.has_logged_misuse.swap(true, Ordering::Relaxed) {
            return;
        }
        self.with_transport(|transport| {
            let subject = Subject::Upgraded(transport.upgraded());
            log::log(&subject, Level::Warn, Tag::SendRefused, || {
                format!(
                    "the plugin's message was not sent: {reason} (said once for each connection)"
                )
            });
        });
    }

    // The transport's side, on whatever thread has it.

    /// Writes what the outbox holds and the socket takes, if nobody else is at it. Who holds the transport
    /// writes what others put in meanwhile, so that nothing stays behind.
    fn transmit(&self) {
        while self.outbox.has_output() && !self.is_stalled.load(Ordering::Acquire) {
            let mut transport = match self.transport.try_lock() {
                Ok(transport) => transport,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            let Some(transport) = transport.as_mut() else {
                return;
            };
            if !self.write_out(transport)
                && let Some(driver) = self.driver()
            {
                driver.stalled(transport.send_deadline());
            }
        }
    }

    /// Goes on writing after the socket was full.
    pub fn resume(&self) {
        if self.is_stalled.load(Ordering::Acquire)
            && let Some(transport) = lock(&self.transport).as_mut()
        {
            self.outbox.transmitted(transport.resume());
            self.is_stalled
                .store(!transport.is_idle(), Ordering::Release);
        }
        self.transmit();
    }

    /// Writes frame after frame until the outbox is empty; `false` when the transport takes no more.
    fn write_out(&self, transport: &mut Transport) -> bool {
        while transport.is_idle() {
            let Some(frames) = self.outbox.take() else {
                return true;
            };
            self.outbox.transmitted(transport.write(frames));
        }
        self.is_stalled.store(true, Ordering::Release);
        false
    }

    fn wake(&self) {
        if let Some(driver) = self.driver() {
            driver.wake();
        }
    }

    /// Who waits for the socket, once the connection is open and while it is driven.
    pub fn driver(&self) -> Option<Arc<dyn Driver>> {
        self.driver.get().and_then(Weak::upgrade)
    }

    // The turn's side: one thread at a time.

    /// Does what there is to do: reads, decodes, calls the plugin, writes. The driver takes one turn after the
    /// other, never two at once, until one says [`Wait::Ended`]. `buffer` is where input passes through.
    ///
    /// `is_hung_up`: the poller has seen the peer's end. It says so once, but the core input filter answers a
    /// non-blocking read that meets the end as one that would block, and says EOF at the next.
    pub fn turn(&self, buffer: &mut [u8], is_hung_up: bool) -> Wait {
        let Some(mut reader) = lock(&self.reader).take() else {
            return Wait::Ended;
        };
        let went_well = httpd::guard::guard(false, || {
            self.advance(&mut reader, buffer, is_hung_up);
            true
        });
        if !went_well {
            self.close(Some(&CloseFrame::from(CloseCode::INTERNAL_ERROR)));
            reader.ending = Some(Ending::Internal);
        }
        let wait = self.what_to_wait_for(&mut reader);
        match wait {
            Wait::Ended => self.end(&reader),
            Wait::Again | Wait::For { .. } => *lock(&self.reader) = Some(reader),
        }
        wait
    }

    /// Reads and handles input until there is none, or the output has to go first.
    fn advance(&self, reader: &mut Reader, buffer: &mut [u8], mut is_hung_up: bool) {
        self.resume();
        for _ in 0..READS_PER_TURN {
            if reader.ending.is_some() || !self.outbox.has_room() {
                return;
            }
            match self.read(buffer) {
                Ok(Read::Data(count)) => self.receive(reader, &mut buffer[..count]),
                Ok(Read::LastData(count)) => {
                    self.receive(reader, &mut buffer[..count]);
                    if !is_hung_up {
                        return;
                    }
                }
                Ok(Read::WouldBlock) if is_hung_up => is_hung_up = false,
                Ok(Read::WouldBlock) => return,
                Ok(Read::Eof) => reader.ending = Some(Ending::Eof),
                Err(status) => reader.ending = Some(Ending::Broken(status)),
            }
        }
        reader.has_more = true;
    }

    fn read(&self, buffer: &mut [u8]) -> Result<Read, Status> {
        let read = self.with_transport(|transport| transport.read(buffer));
        read.unwrap_or(Ok(Read::Eof))
    }

    /// Decodes input and handles each event.
    fn receive(&self, reader: &mut Reader, mut input: &mut [u8]) {
        while !input.is_empty() && reader.ending.is_none() {
            let (consumed, event) = reader.receiver.receive(input);
            match event {
                None => {}
                Some(Event::Message { kind, mut payload }) => {
                    // A plugin that has closed gets no more messages.
                    if !self.outbox.is_close_sent() {
                        reader.messages_received += 1;
                        self.on_message(kind, &mut payload);
                    }
                    if let Payload::Owned(buffer) = payload {
                        reader.receiver.recycle(buffer);
                    }
                }
                Some(Event::Ping(payload)) => {
                    self.outbox.push_pong(payload);
                    self.transmit();
                }
                Some(Event::Pong(_)) => {}
                Some(Event::Close(frame)) => {
                    // RFC 6455 §5.5.1: answer with the peer's own code, unless ours came first.
                    let answer = frame.as_ref().map(|frame| CloseFrame::from(frame.code));
                    let is_answer = !self.close(answer.as_ref());
                    reader.ending = Some(Ending::Close { frame, is_answer });
                }
                Some(Event::Failed(error)) => {
                    // RFC 6455 §7.1.7.
                    self.close(Some(&CloseFrame::from(error.close_code(self.version))));
                    reader.ending = Some(Ending::Failed(error));
                }
            }
            input = &mut input[consumed..];
        }
    }

    fn on_message(&self, kind: websocket_proto::MessageKind, payload: &mut [u8]) {
        if let Some(&private) = self.private.get() {
            // SAFETY: the turn's thread runs the callbacks; `private` is from this plugin and this connection, which
            // has not had its on_disconnect, because its turns have not ended.
            unsafe {
                self.plugin
                    .on_message(private, self.server(), kind, payload)
            };
        }
    }

    /// What the driver has to wait for after a turn.
    fn what_to_wait_for(&self, reader: &mut Reader) -> Wait {
        let now = Instant::now();
        let (is_idle, failure, send_deadline) = match lock(&self.transport).as_ref() {
            Some(transport) => (
                transport.is_idle(),
                transport.failure(),
                transport.send_deadline(),
            ),
            None => (true, None, None),
        };
        if let Some(status) = failure {
            reader.ending.get_or_insert(Ending::Broken(status));
            return Wait::Ended;
        }
        if self.outbox.is_close_sent() && reader.close_deadline.is_none() {
            reader.close_deadline = Some(now + CLOSE_TIMEOUT);
        }
        let is_drained = is_idle && !self.outbox.has_output();
        if let Some(ending) = &reader.ending
            && (is_drained || !ending.has_close_to_send())
        {
            return Wait::Ended;
        }
        let drain_at = *lock(&self.drain_at);
        if drain_at.is_some_and(|time| time <= now) && !self.outbox.is_close_sent() {
            self.close(Some(&CloseFrame::from(CloseCode::GOING_AWAY)));
            // What comes of it: is it written, and when must it be answered?
            return Wait::Again;
        }
        if reader
            .close_deadline
            .is_some_and(|deadline| deadline <= now)
        {
            reader.ending.get_or_insert(Ending::CloseTimeout);
            return Wait::Ended;
        }
        if send_deadline.is_some_and(|deadline| deadline <= now) {
            reader.ending = Some(Ending::SendTimeout);
            return Wait::Ended;
        }
        if std::mem::take(&mut reader.has_more) {
            return Wait::Again;
        }
        if is_idle && self.outbox.has_output() {
            // Put in while this thread looked at the transport.
            return Wait::Again;
        }
        Wait::For {
            input: reader.ending.is_none() && self.outbox.has_room(),
            output: !is_idle,
            deadline: [
                reader.close_deadline,
                send_deadline,
                drain_at.filter(|&time| time > now),
            ]
            .into_iter()
            .flatten()
            .min(),
        }
    }

    /// The WebSocket has ended: releases threads in `send`, tells the plugin, logs.
    fn end(&self, reader: &Reader) {
        self.outbox.end();
        self.disconnect(reader);
        if let Some((child, number)) = self.membership.get()
            && let Some(child) = child.upgrade()
        {
            child.remove(*number);
        }
        let Some(ending) = &reader.ending else { return };
        if let Some(transport) = lock(&self.transport).as_mut() {
            let bytes_sent = transport.bytes_sent();
            let upgraded = transport.upgraded();
            upgraded.set_bytes_sent(bytes_sent);
            if ending.is_broken() {
                upgraded.abort();
            }
            log::log(
                &Subject::Upgraded(upgraded),
                Level::Info,
                Tag::Ended,
                || {
                    format!(
                        "WebSocket ended after {:.3} s, {} messages in and {} out: {ending}",
                        reader.opened.elapsed().as_secs_f64(),
                        reader.messages_received,
                        self.messages_sent.load(Ordering::Relaxed),
                    )
                },
            );
        }
    }
}

impl Connection {
    /// Tells the plugin that it is over. Whoever has the reader calls this, and nobody gets it again.
    fn disconnect(&self, _reader: &Reader) {
        if let Some(&private) = self.private.get() {
            // SAFETY: as in `on_message`; the reader is taken for good, so that this is the last callback, once.
            unsafe { self.plugin.on_disconnect(private, self.server()) };
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while it was held has been logged, and has ended the connection.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
