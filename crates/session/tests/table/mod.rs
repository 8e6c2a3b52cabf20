//! A session on a table: a transport in memory, an application that does what a test says, a clock that a test moves.
#![allow(dead_code)]

use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use session::{
    Account, Application, Buffers, Config, Ending, Environment, Machine, NoInlet, Observer, Read,
    Session, ThreadId, Transport, Wait, Waiter,
};
use websocket_proto::{
    CloseFrame, Compression, Event, MessageBudget, MessageKind, ProtocolVersion, ReceivingConfig,
    ReceivingHalf, ReservedCloseCodes, Role, SendingHalf,
};

/// What is called, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Call {
    Open,
    Message(String),
    Writable,
    Called,
    Timer,
    Pong(String),
    Close(u16),
    Disconnect,
}

type Answer = Box<dyn Fn(&Session<Table>, &Call) + Send + Sync>;

/// The outside of a session in a test. One thread plays them all: `thread` says which it is at the moment.
pub struct Table {
    pub pipe: Pipe,
    pub calls: Mutex<Vec<Call>>,
    /// What the application does when it is called.
    pub answer: Answer,
    session: OnceLock<Weak<Session<Table>>>,
    pub wakes: AtomicUsize,
    pub stalls: AtomicUsize,
    pub closed: Mutex<Option<u16>>,
    /// What on_close was told.
    pub is_clean: Mutex<Option<bool>>,
    now: Mutex<Instant>,
    thread: AtomicUsize,
    pub misstep: Arc<Mutex<Option<Misstep>>>,
}

/// Where something of the outside panics, once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Misstep {
    OnMessage,
    OnClose,
    OnDisconnect,
    Closed,
    Queued,
    Wake,
    Stalled,
    Closing,
    Read,
    Write,
    Flush,
    Shut,
}

/// Both ends of a transport in memory, and where it panics.
#[derive(Clone, Default)]
pub struct Pipe(pub Arc<Mutex<Ends>>, Arc<Mutex<Option<Misstep>>>);

#[derive(Default)]
pub struct Ends {
    /// Each is what one read finds.
    pub input: VecDeque<Vec<u8>>,
    pub is_eof: bool,
    /// The most that one read has asked for.
    pub most_asked: usize,
    pub output: Vec<u8>,
    /// How often something was written.
    pub writes: usize,
    /// Where what was written last lay.
    pub places: Vec<usize>,
    /// How much more output there is room for; `None`: any amount.
    pub room: Option<usize>,
    pub failure: Option<&'static str>,
    /// A layer takes what is written, and passes it on when it is flushed.
    pub holds_back: bool,
    held: Vec<u8>,
    pub ended: Option<(String, bool)>,
    /// The transport says goodbye when it is shut, and needs a flush for it.
    pub says_goodbye: bool,
    pub has_output: bool,
    /// Of an end by the peer's Close frame: whether it answered ours.
    pub is_answer: Option<bool>,
}

/// A session on its table, and the peer's half of the protocol.
pub struct Scene {
    pub session: Arc<Session<Table>>,
    pub pipe: Pipe,
    peer: SendingHalf,
    buffer: Vec<u8>,
}

pub fn config() -> Config {
    Config {
        version: ProtocolVersion::V13,
        max_message_size: 1 << 20,
        reserved_close_codes: ReservedCloseCodes::Refuse,
        send_buffer: 1000,
        send_timeout: Duration::from_secs(60),
        close_timeout: Duration::from_secs(5),
        ping_interval: Duration::from_secs(30),
        pong_timeout: Duration::from_secs(30),
        idle_timeout: Duration::ZERO,
        message_timeout: Duration::ZERO,
        max_lifetime: Duration::ZERO,
        rate_limit: None,
    }
}

impl Scene {
    /// An open session that has not had a turn, whose application answers like this.
    pub fn open(
        config: &Config,
        answer: impl Fn(&Session<Table>, &Call) + Send + Sync + 'static,
    ) -> Scene {
        let scene = Scene::accepted(config, answer);
        scene.session.open(scene.pipe.clone());
        scene
    }

    /// The same, before it is open.
    pub fn accepted(
        config: &Config,
        answer: impl Fn(&Session<Table>, &Call) + Send + Sync + 'static,
    ) -> Scene {
        let pipe = Pipe::default();
        let table = Table {
            pipe: pipe.clone(),
            calls: Mutex::default(),
            answer: Box::new(answer),
            session: OnceLock::new(),
            wakes: AtomicUsize::new(0),
            stalls: AtomicUsize::new(0),
            closed: Mutex::default(),
            is_clean: Mutex::default(),
            now: Mutex::new(Instant::now()),
            thread: AtomicUsize::new(1),
            misstep: Arc::clone(&pipe.1),
        };
        let session = Arc::new(Session::new(
            table,
            config,
            None,
            Arc::new(Buffers::new(Arc::new(MessageBudget::new(1 << 20)))),
        ));
        let _ = session.environment().session.set(Arc::downgrade(&session));
        session.accept();
        Scene {
            session,
            pipe,
            peer: SendingHalf::new(Role::Client),
            buffer: vec![0; 4096],
        }
    }

    pub fn table(&self) -> &Table {
        self.session.environment()
    }

    pub fn ends(&self) -> std::sync::MutexGuard<'_, Ends> {
        self.pipe.0.lock().unwrap()
    }

    /// The peer sends messages, all of them in what one read finds.
    pub fn receives(&mut self, messages: &[&str]) {
        let mut bytes = Vec::new();
        for message in messages {
            let sent = self
                .peer
                .send_message(MessageKind::Text, message.as_bytes(), &mut bytes);
            sent.unwrap();
        }
        self.ends().input.push_back(bytes);
    }

    /// A part of a text message.
    pub fn receives_part(&mut self, text: &str, is_final: bool) {
        let mut bytes = Vec::new();
        let kind = MessageKind::Text;
        let sent = self
            .peer
            .send_fragment(kind, text.as_bytes(), is_final, &mut bytes);
        sent.unwrap();
        self.ends().input.push_back(bytes);
    }

    pub fn receives_close(&mut self, frame: Option<&CloseFrame>) {
        let mut bytes = Vec::new();
        self.peer.send_close(frame, &mut bytes).unwrap();
        self.ends().input.push_back(bytes);
    }

    pub fn receives_ping(&mut self, payload: &[u8]) {
        let mut bytes = Vec::new();
        self.peer.send_ping(payload, &mut bytes).unwrap();
        self.ends().input.push_back(bytes);
    }

    /// As many pongs, all of them in what one read finds.
    pub fn receives_pongs(&mut self, count: usize) {
        let mut bytes = Vec::new();
        for _ in 0..count {
            self.peer.send_pong(b"here", &mut bytes).unwrap();
        }
        self.ends().input.push_back(bytes);
    }

    /// One turn, on thread 1.
    pub fn turn(&mut self) -> Wait {
        self.session.turn(&mut self.buffer, false)
    }

    /// Turns until there is something to wait for, or nothing more.
    pub fn turns(&mut self) -> Wait {
        for _ in 0..100 {
            match self.turn() {
                Wait::Again => {}
                wait => return wait,
            }
        }
        panic!("the session wants turn after turn");
    }

    pub fn calls(&self) -> Vec<Call> {
        self.table().calls.lock().unwrap().clone()
    }

    /// What the peer has got so far, a word for each frame.
    pub fn sent(&self) -> Vec<String> {
        let mut receiver = ReceivingHalf::new(ReceivingConfig {
            role: Role::Client,
            max_message_size: 1 << 20,
            reserved_close_codes: ReservedCloseCodes::Refuse,
        });
        let mut bytes = self.ends().output.clone();
        let mut input = &mut bytes[..];
        let mut words = Vec::new();
        while !input.is_empty() {
            let (consumed, event) = receiver.receive(input);
            words.extend(event.map(|event| match event {
                Event::Message { payload, .. } => String::from_utf8(payload.to_vec()).unwrap(),
                Event::Ping(_) => "ping".to_owned(),
                Event::Pong(payload) => format!("pong {}", payload.escape_ascii()),
                Event::Close(frame) => format!("close {:?}", frame.map(|f| f.code.as_u16())),
                Event::Failed(error) => panic!("the peer got no WebSocket: {error}"),
            }));
            input = &mut input[consumed..];
        }
        words
    }
}

impl Table {
    /// From here on, another thread calls.
    pub fn be_thread(&self, thread: usize) {
        self.thread.store(thread, Ordering::Relaxed);
    }

    pub fn pass_time(&self, time: Duration) {
        *self.now.lock().unwrap() += time;
    }

    fn call(&self, call: Call) {
        self.calls.lock().unwrap().push(call.clone());
        let session = self.session.get().and_then(Weak::upgrade);
        if let Some(session) = session {
            (self.answer)(&session, &call);
        }
    }

    fn stumble(&self, here: Misstep) {
        stumble(&self.misstep, here);
    }
}

/// Panics, if it is here that something panics.
fn stumble(misstep: &Mutex<Option<Misstep>>, here: Misstep) {
    let stumbles = misstep.lock().unwrap().take_if(|misstep| *misstep == here);
    if stumbles.is_some() {
        // Without the hook, which would write to stderr.
        std::panic::resume_unwind(Box::new(()));
    }
}

impl Environment for Table {
    type Transport = Pipe;
}

impl Application for Table {
    fn on_open(&self) {
        self.call(Call::Open);
    }

    fn on_message(&self, _: MessageKind, payload: &mut [u8], _: Instant) -> Instant {
        self.stumble(Misstep::OnMessage);
        self.call(Call::Message(String::from_utf8(payload.to_vec()).unwrap()));
        self.now()
    }

    fn on_writable(&self) {
        self.call(Call::Writable);
    }

    fn on_called(&self) {
        self.call(Call::Called);
    }

    fn on_pong(&self, payload: &[u8], _heartbeat: Option<Duration>) -> Option<Range<Instant>> {
        let begin = self.now();
        self.call(Call::Pong(String::from_utf8(payload.to_vec()).unwrap()));
        Some(begin..self.now())
    }

    fn on_timer(&self) {
        self.call(Call::Timer);
    }

    fn on_close(&self, code: u16, _: &str, is_clean: bool) {
        *self.is_clean.lock().unwrap() = Some(is_clean);
        self.call(Call::Close(code));
        self.stumble(Misstep::OnClose);
    }

    fn on_disconnect(&self) {
        self.call(Call::Disconnect);
        self.stumble(Misstep::OnDisconnect);
    }
}

impl Waiter for Table {
    fn wake(&self) {
        self.stumble(Misstep::Wake);
        self.wakes.fetch_add(1, Ordering::Relaxed);
    }

    fn stalled(&self, _: Option<Instant>) {
        self.stumble(Misstep::Stalled);
        self.stalls.fetch_add(1, Ordering::Relaxed);
    }

    fn wait_to_write(&self, _: Option<Instant>) {
        panic!("a test blocks for ever");
    }
}

impl Observer for Table {
    fn bytes_in(&self, _: usize) {}

    fn bytes_out(&self, _: usize) {}

    fn queued(&self, _: usize) {
        self.stumble(Misstep::Queued);
    }

    fn message_in(&self) {}

    fn message_out(&self) {}

    fn ping_round_trip(&self, _: Duration) {}

    fn closing(&self) {
        self.stumble(Misstep::Closing);
    }

    fn closed(&self, code: u16) {
        self.stumble(Misstep::Closed);
        let before = self.closed.lock().unwrap().replace(code);
        assert_eq!(before, None, "a session ends once");
    }
}

impl Machine for Table {
    fn now(&self) -> Instant {
        *self.now.lock().unwrap()
    }

    fn random(&self) -> u64 {
        7
    }

    fn current_thread(&self) -> ThreadId {
        ThreadId(self.thread.load(Ordering::Relaxed))
    }
}

impl Transport for Pipe {
    type Failure = &'static str;
    type Inlet = NoInlet;

    fn inlet(&mut self) -> Option<NoInlet> {
        None
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<Read, &'static str> {
        stumble(&self.1, Misstep::Read);
        let mut ends = self.0.lock().unwrap();
        if let Some(failure) = ends.failure {
            return Err(failure);
        }
        ends.most_asked = ends.most_asked.max(buffer.len());
        match ends.input.pop_front() {
            None if ends.is_eof => Ok(Read::Eof),
            None => Ok(Read::WouldBlock),
            Some(mut chunk) => {
                if chunk.len() > buffer.len() {
                    let rest = chunk.split_off(buffer.len());
                    ends.input.push_front(rest);
                }
                buffer[..chunk.len()].copy_from_slice(&chunk);
                Ok(Read::Data(chunk.len()))
            }
        }
    }

    fn begin_frames(&mut self, _: &[u8]) {}

    fn write(&mut self, bytes: &[u8]) -> Result<usize, &'static str> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> Result<usize, &'static str> {
        let bytes = &joined(slices)[..];
        stumble(&self.1, Misstep::Write);
        let mut ends = self.0.lock().unwrap();
        if let Some(failure) = ends.failure {
            return Err(failure);
        }
        if ends.holds_back {
            ends.held.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        let count = ends.room.unwrap_or(usize::MAX).min(bytes.len());
        if let Some(room) = &mut ends.room {
            *room -= count;
        }
        ends.output.extend_from_slice(&bytes[..count]);
        ends.writes += 1;
        ends.places = slices.iter().map(|slice| slice.as_ptr().addr()).collect();
        Ok(count)
    }

    fn has_output(&self) -> bool {
        let ends = self.0.lock().unwrap();
        ends.has_output || !ends.held.is_empty()
    }

    fn acknowledged(&self) -> Option<u64> {
        None
    }

    fn is_clogged(&self) -> bool {
        false
    }

    fn flush(&mut self) -> Result<(), &'static str> {
        stumble(&self.1, Misstep::Flush);
        let mut ends = self.0.lock().unwrap();
        ends.has_output = false;
        let held = std::mem::take(&mut ends.held);
        ends.output.extend(held);
        Ok(())
    }

    fn end(
        &mut self,
        account: &Account<'_, &'static str>,
        is_lost: bool,
    ) -> Option<session::Epilogue> {
        let mut ends = self.0.lock().unwrap();
        if let Ending::Close { is_answer, .. } = account.ending {
            ends.is_answer = Some(*is_answer);
        }
        let before = ends.ended.replace((account.ending.to_string(), is_lost));
        assert_eq!(before, None, "a transport ends once");
        None
    }

    fn shut(&mut self) {
        stumble(&self.1, Misstep::Shut);
        let mut ends = self.0.lock().unwrap();
        ends.has_output = ends.says_goodbye;
    }
}

/// An application that answers each message with the same.
pub fn echo(session: &Session<Table>, call: &Call) {
    if let Call::Message(message) = call {
        session.send(text(message)).unwrap();
    }
}

/// One that says nothing.
pub fn silent(_: &Session<Table>, _: &Call) {}

/// So many texts of 100 characters.
pub fn messages(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{n:0100}")).collect()
}

/// A text message, to be sent.
pub fn text(text: &str) -> session::Outgoing<'_> {
    session::Outgoing::Message(MessageKind::Text, Compression::Default, text.as_bytes())
}

/// What several stretches are together.
fn joined(slices: &[IoSlice<'_>]) -> Vec<u8> {
    slices.iter().flat_map(|slice| slice.to_vec()).collect()
}
