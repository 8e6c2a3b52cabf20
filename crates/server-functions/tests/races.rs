//! What a plugin's call says when another thread ends the connection in the middle of it.
#![cfg(not(shuttle))]

use std::convert::Infallible;
use std::ffi::{CStr, CString, c_int, c_uchar};
use std::fmt;
use std::io::IoSlice;
use std::num::NonZeroU64;
use std::ops::Range;
use std::ptr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use server_functions::{Level, Pings, Served, ServerTable, Topics};
use session::{
    Account, Application, Buffers, ClosedBy, Config, Environment, Epilogue, Machine, NoInlet,
    Observer, Read, Receiver, Session, ThreadId, Transport, Waiter,
};
use subscribers::{Attendance, Closing, Form, Hub, Letter, Outlet, Refused, Slow, Terms};
use topics::{Bell, Epoch, Layout, Log, Message, Owner, PublishError, Published, Topic};
use websocket_plugin::abi::{self, RequestRec};
use websocket_proto::{MessageBudget, MessageKind, ProtocolVersion, ReservedCloseCodes};

/// A connection, and what another thread does to it when it is asked for something.
struct Connection {
    session: Session<Quiet>,
    /// As in the module: made when it is asked for.
    attendance: OnceLock<Attendance>,
    log: Log<'static>,
    hub: Arc<Hub>,
    /// The session is closed behind so many looks at it.
    looks_until_close: AtomicUsize,
    /// It ends while its hub is made.
    ends_in_hub: bool,
    misuses: Mutex<Vec<String>>,
}

impl Connection {
    fn new(looks_until_close: usize, ends_in_hub: bool) -> Self {
        let config = Config {
            version: ProtocolVersion::V13,
            max_message_size: 1000,
            reserved_close_codes: ReservedCloseCodes::Refuse,
            send_buffer: 1000,
            send_timeout: Duration::ZERO,
            close_timeout: Duration::ZERO,
            ping_interval: Duration::ZERO,
            pong_timeout: Duration::ZERO,
            idle_timeout: Duration::ZERO,
            message_timeout: Duration::ZERO,
            max_lifetime: Duration::ZERO,
            rate_limit: None,
        };
        let buffers = Buffers::new(Arc::new(MessageBudget::new(1000)));
        let layout = Layout {
            ring: 64 << 10,
            topics: 4,
            seats: 1,
        };
        let words = (0..layout.words().unwrap()).map(|_| AtomicU64::new(0));
        let words = words.collect::<Vec<_>>().leak();
        let log = Log::new(words, layout, Epoch(NonZeroU64::MIN), [1, 2]).unwrap();
        let seat = log.claim(Owner(NonZeroU64::MIN), |_| true).unwrap();
        Connection {
            session: Session::new(Quiet, &config, None, Arc::new(buffers)),
            attendance: OnceLock::new(),
            log,
            hub: Arc::new(Hub::new(log, seat, Quiet)),
            looks_until_close: AtomicUsize::new(looks_until_close),
            ends_in_hub,
            misuses: Mutex::default(),
        }
    }

    /// As the session's last turn does it.
    fn end(&self) {
        self.session.stop_sending();
        if let Some(attendance) = self.attendance.get() {
            attendance.end();
        }
    }

    fn subscribe(&self, name: &CStr) -> c_int {
        // SAFETY: the connection stays where it is for the call.
        let table = unsafe { ServerTable::new(self) };
        // SAFETY: the table is alive, and the strings are terminated or NULL.
        unsafe {
            let server = table.as_ptr();
            let subscribe = (*server).subscribe.unwrap();
            subscribe(server, name.as_ptr(), ptr::null(), c"one".as_ptr(), 0)
        }
    }

    fn try_close(&self, payload: &[u8]) -> c_int {
        // SAFETY: as in `subscribe`.
        let table = unsafe { ServerTable::new(self) };
        let buffer: *const c_uchar = payload.as_ptr();
        // SAFETY: the table is alive, and the buffer has so many bytes.
        unsafe {
            let server = table.as_ptr();
            let try_send = (*server).try_send.unwrap();
            try_send(server, abi::MESSAGE_TYPE_CLOSE, buffer, payload.len())
        }
    }

    fn misuses(&self) -> Vec<String> {
        self.misuses.lock().unwrap().clone()
    }
}

#[test]
fn a_subscription_of_a_connection_that_ends_meanwhile_is_taken_back() {
    let connection = Connection::new(usize::MAX, true);
    assert_eq!(connection.subscribe(c"news"), abi::WEBSOCKET_TOPIC_CLOSED);
    let topic = Topic::new("news").unwrap();
    assert_eq!(connection.hub.subscribers(&topic), Ok(0));
    assert_eq!(connection.log.members(&topic).unwrap(), [""; 0]);
    assert_eq!(connection.misuses(), [""; 0], "nobody has made a mistake");
}

#[test]
fn one_of_a_connection_that_goes_on_stays() {
    let connection = Connection::new(usize::MAX, false);
    assert_eq!(connection.subscribe(c"news"), abi::WEBSOCKET_TOPIC_DONE);
    let topic = Topic::new("news").unwrap();
    assert_eq!(connection.hub.subscribers(&topic), Ok(1));
    connection.end();
    assert_eq!(connection.hub.subscribers(&topic), Ok(0));
}

#[test]
fn a_close_that_another_one_forestalls_is_no_mistake() {
    for looks in 0..4 {
        let connection = Connection::new(looks, false);
        let word = connection.try_close(b"\x03\xe8bye");
        let expected = [abi::WEBSOCKET_SEND_ACCEPTED, abi::WEBSOCKET_SEND_CLOSED];
        assert!(expected.contains(&word), "{word}, closed behind {looks}");
        assert_eq!(connection.misuses(), [""; 0]);
    }
    let connection = Connection::new(usize::MAX, false);
    let closes = [b"\x03\xe8".as_slice(), b"\x03\xe8"].map(|payload| connection.try_close(payload));
    assert_eq!(
        closes,
        [abi::WEBSOCKET_SEND_ACCEPTED, abi::WEBSOCKET_SEND_CLOSED]
    );
}

#[test]
fn a_close_with_a_code_that_there_is_not_is_a_mistake() {
    let connection = Connection::new(usize::MAX, false);
    let word = connection.try_close(b"\0\0");
    assert_eq!(word, abi::WEBSOCKET_SEND_INVALID);
    assert_eq!(connection.misuses().len(), 1);
}

impl Served for Connection {
    type Environment = Quiet;

    fn session(&self) -> &Session<Quiet> {
        let left = self.looks_until_close.fetch_sub(1, Ordering::Relaxed);
        if left == 0 {
            self.session.close(None, ClosedBy::Operator);
        }
        &self.session
    }

    fn request(&self) -> *mut RequestRec {
        ptr::null_mut()
    }

    unsafe fn header(&self, _: &CStr) -> Option<&CStr> {
        None
    }

    unsafe fn set_header(&self, _: &CStr, _: &CStr) {}

    fn subprotocols(&self) -> &[CString] {
        &[]
    }

    unsafe fn set_subprotocol(&self, _: &CStr) {}

    fn option(&self, _: &CStr) -> Option<&CStr> {
        None
    }

    unsafe fn variable(&self, _: &CStr) -> Option<&CStr> {
        None
    }

    fn set_refusal(&self, _: u16, _: Option<(&CStr, &[u8])>) {}

    fn receiver(&self) -> Option<Arc<dyn Receiver>> {
        None
    }

    fn has_on_timer(&self) -> bool {
        false
    }

    fn topics(&self) -> &dyn Topics {
        self
    }

    fn attendance(&self) -> &Attendance {
        self.attendance.get_or_init(|| Attendance::new(1, 1000))
    }

    fn outlet(&self) -> Weak<dyn Outlet> {
        Weak::<Quiet>::new()
    }

    fn topic_terms(&self) -> Terms {
        Terms {
            form: Form::Plain,
            slow: Slow::Close,
            messages: 10,
            age: None,
            is_told_of_members: false,
            origin: 0,
        }
    }

    fn has_on_topic(&self) -> bool {
        false
    }

    fn pings(&self) -> Option<&Pings> {
        None
    }

    fn log(&self, _: Level, _: &CStr) {}

    fn log_misuse(&self, reason: &dyn fmt::Display) {
        self.misuses.lock().unwrap().push(reason.to_string());
    }
}

impl Topics for Connection {
    fn log(&self) -> Result<Log<'static>, String> {
        Ok(self.log)
    }

    fn hub(&self) -> Result<Arc<Hub>, String> {
        if self.ends_in_hub {
            self.end();
        }
        Ok(Arc::clone(&self.hub))
    }

    fn running(&self) -> Option<Arc<Hub>> {
        Some(Arc::clone(&self.hub))
    }

    fn publish(
        &self,
        _: &Message<'_>,
        _: &dyn Fn(Arc<dyn Receiver>) -> bool,
    ) -> Result<Published, PublishError> {
        unreachable!("nobody publishes")
    }
}

/// An outside of which nobody hears anything.
#[derive(Clone, Copy)]
struct Quiet;

impl Environment for Quiet {
    type Transport = Quiet;
}

impl Application for Quiet {
    fn on_open(&self) {}

    fn on_message(&self, _: MessageKind, _: &mut [u8], begin: Instant) -> Instant {
        begin
    }

    fn on_writable(&self) {}

    fn on_timer(&self) {}

    fn on_pong(&self, _: &[u8], _: Option<Duration>) -> Option<Range<Instant>> {
        None
    }

    fn on_close(&self, _: u16, _: &str, _: bool) {}

    fn on_disconnect(&self) {}
}

impl Waiter for Quiet {
    fn wake(&self) {}

    fn stalled(&self, _: Option<Instant>) {}

    fn wait_to_write(&self, _: Option<Instant>) {}
}

impl Observer for Quiet {
    fn bytes_in(&self, _: usize) {}

    fn bytes_out(&self, _: usize) {}

    fn queued(&self, _: usize) {}

    fn message_in(&self) {}

    fn message_out(&self) {}

    fn ping_round_trip(&self, _: Duration) {}

    fn closing(&self) {}

    fn closed(&self, _: u16) {}
}

impl Machine for Quiet {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn random(&self) -> u64 {
        0
    }

    fn current_thread(&self) -> ThreadId {
        ThreadId(1)
    }
}

impl Transport for Quiet {
    type Failure = Infallible;
    type Inlet = NoInlet;

    fn inlet(&mut self) -> Option<NoInlet> {
        None
    }

    fn read(&mut self, _: &mut [u8]) -> Result<Read, Infallible> {
        Ok(Read::WouldBlock)
    }

    fn begin_frames(&mut self, _: &[u8]) {}

    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        Ok(bytes.len())
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> Result<usize, Infallible> {
        Ok(slices.iter().map(|slice| slice.len()).sum())
    }

    fn has_output(&self) -> bool {
        false
    }

    fn acknowledged(&self) -> Option<u64> {
        None
    }

    fn is_clogged(&self) -> bool {
        false
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }

    fn end(&mut self, _: &Account<'_, Infallible>, _: bool) -> Option<Epilogue> {
        None
    }

    fn shut(&mut self) {}
}

impl Outlet for Quiet {
    fn take(&self, _: subscribers::Message<'_>) -> Result<(), Refused> {
        Err(Refused::Ended)
    }

    fn deliver(&self, _: &Arc<Letter>) -> Result<(), Refused> {
        Err(Refused::Ended)
    }

    fn flush(&self) {}

    fn has_ample_room(&self) -> bool {
        true
    }

    fn call_again(&self) {}

    fn close(&self, _: Closing) {}
}

impl Bell for Quiet {
    fn wait(&self, _: &AtomicU64, _: u64, _: Duration) {}

    fn wake(&self, _: &AtomicU64) {}
}
