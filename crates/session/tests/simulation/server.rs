//! The server: one session in its environment, the workers that take its turns or the thread that stays with it, and an
//! application that does with it whatever its seed says.

mod driver;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use session::edges::Edges;
use session::environment::{Application, Environment, Machine, Observer, ThreadId, Waiter};
use session::limits::PASSES;
use session::{Buffers, ClosedBy, Outgoing, Refused, Session};
use websocket_proto::{
    CloseCode, CloseFrame, Compression, MessageBudget, MessageKind, PreparedMessage,
};

use crate::letter::{self, CALLBACKS, Origin};
use crate::poller::{Asked, Poller};
use crate::promises::{Call, Promises};
use crate::settings::Settings;
use crate::transport::Socket;
use crate::world::{Sleeper, World};

/// How long a turn may have handled input when it handles more: many times what it should.
const MOST_OF_A_TURN: Duration = Duration::from_millis(5);

/// How long a message in parts is, in bytes.
const PARTS_LENGTH: usize = 60;

const NOBODY: usize = usize::MAX;

/// With what the application panics.
struct Deliberate;

/// The session of the simulation.
pub type SimulatedSession = Session<Server>;

/// What the session has of the outside.
pub struct Server {
    world: Arc<World>,
    promises: Arc<Promises>,
    poller: Arc<Poller>,
    edges: Edges,
    /// When the timer that is set expires.
    timer: Mutex<Option<Instant>>,
    session: Mutex<Weak<SimulatedSession>>,
    /// Woken by on_writable.
    writers: Mutex<Vec<Arc<Sleeper>>>,
    /// A try_send was told that there is no room, and waits for on_writable.
    wants_room: AtomicBool,
    /// The same, for a part of a message.
    wants_room_for_part: AtomicBool,
    /// When the turn that is under way has got its first message.
    turn_begins: Mutex<Option<Duration>>,
    /// How often other threads have asked for a turn, and how often the turn's has known of when it last looked at the time.
    wakes: AtomicU64,
    wakes_seen: AtomicU64,
    /// The task that takes a turn; [`NOBODY`] for none.
    turn_task: AtomicUsize,
    /// How often on_writable has come.
    writables: AtomicU64,
    is_late: bool,
    /// Who is late, if anybody.
    late_task: AtomicUsize,
    /// So many bytes are said to wait.
    queued: shuttle::sync::atomic::AtomicUsize,
    /// The task that stays with the connection, and polls; `None` with workers.
    own_task: Option<AtomicUsize>,
    sends_parts: bool,
    floods: bool,
    deeds_left: AtomicU64,
    most_length: u64,
    has_ended: AtomicBool,
}

impl Environment for Server {
    type Transport = Socket;
}

impl Server {
    /// A server with one WebSocket, which its application has accepted, and which is open.
    pub fn open(
        world: &Arc<World>,
        promises: &Arc<Promises>,
        poller: &Arc<Poller>,
        settings: &Settings,
    ) -> Arc<SimulatedSession> {
        let server = Server {
            world: Arc::clone(world),
            promises: Arc::clone(promises),
            poller: Arc::clone(poller),
            edges: Edges::default(),
            timer: Mutex::default(),
            session: Mutex::default(),
            writers: Mutex::default(),
            wants_room: AtomicBool::new(false),
            wants_room_for_part: AtomicBool::new(false),
            turn_begins: Mutex::default(),
            wakes: AtomicU64::new(0),
            wakes_seen: AtomicU64::new(0),
            turn_task: AtomicUsize::new(NOBODY),
            writables: AtomicU64::new(0),
            is_late: settings.is_late,
            late_task: AtomicUsize::new(NOBODY),
            queued: shuttle::sync::atomic::AtomicUsize::new(0),
            own_task: settings.is_blocking.then(|| AtomicUsize::new(NOBODY)),
            sends_parts: settings.sends_parts,
            floods: settings.floods,
            deeds_left: AtomicU64::new(world.draw(|chance| chance.within(0, 20))),
            most_length: world.draw(|chance| [30, 300, 3_000][chance.below(3) as usize]),
            has_ended: AtomicBool::new(false),
        };
        let compression = settings.compression.clone();
        let session = Session::new(
            server,
            &settings.config,
            compression,
            Arc::new(Buffers::new(Arc::new(MessageBudget::new(1 << 20)))),
        );
        let session = Arc::new(session);
        *session.environment().session.lock().unwrap() = Arc::downgrade(&session);
        if world.draw(|chance| chance.percent(20)) {
            // As on_connect does: it goes out after the opening handshake.
            let _ = session.environment().send(&session, CALLBACKS);
        }
        session.accept();
        session.open(Socket::new(world, promises, poller, settings));
        session
    }

    /// How many bytes are said to wait; `None` while that may be about to be said anew.
    pub fn queued(&self) -> Option<usize> {
        let is_about_to = self.late_task.load(Ordering::SeqCst) != NOBODY;
        (!is_about_to).then(|| self.queued.load(Ordering::SeqCst))
    }

    /// Whether the session has ended.
    pub fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::SeqCst)
    }

    /// Whether on_writable has been promised to one whose message was refused.
    pub fn wants_room(&self) -> bool {
        self.wants_room.load(Ordering::SeqCst)
    }

    /// The same for a part of a message.
    pub fn wants_room_for_part(&self) -> bool {
        self.wants_room_for_part.load(Ordering::SeqCst)
    }

    /// The largest message of the application, with its header.
    pub fn most_message(&self) -> usize {
        (self.most_length as usize).max(PARTS_LENGTH) + 20
    }

    fn session(&self) -> Arc<SimulatedSession> {
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        session
            .upgrade()
            .expect("a callback runs while the session is there")
    }

    // What the application does.

    /// In a callback of the name.
    fn in_callback(&self, name: &'static str, body: impl FnOnce(&SimulatedSession)) {
        struct Ends<'a>(&'a Server);
        impl Drop for Ends<'_> {
            fn drop(&mut self) {
                self.0.promises.callback_ends();
            }
        }
        self.world.tell(|| format!("{name} is called"));
        // The session survives a panic of its application, and so would one that says that a promise is broken.
        let called = catch_unwind(AssertUnwindSafe(|| {
            self.promises.callback_begins(name);
            let _ends = Ends(self);
            body(&self.session());
        }));
        if let Err(panic) = called {
            if !panic.is::<Deliberate>() {
                self.promises.is_broken_by(&*panic);
            }
            resume_unwind(panic);
        }
    }

    /// Does some of what there is to do, in a callback that may panic.
    fn act(&self, session: &SimulatedSession) {
        for _ in 0..self.world.draw(|chance| chance.below(4)) {
            if self.deeds_left.load(Ordering::SeqCst) == 0 {
                return;
            }
            self.deeds_left.fetch_sub(1, Ordering::SeqCst);
            match self.world.draw(|chance| chance.below(100)) {
                0..3 => {
                    self.world.tell(|| "the application panics".to_owned());
                    self.world.mark("a callback panics");
                    self.world.state().reads_no_more = true;
                    resume_unwind(Box::new(Deliberate));
                }
                3..10 => self.take_time(),
                _ => self.deed(session, CALLBACKS),
            }
        }
    }

    /// A turn has another message for the application: others wait behind it, so it must not have been long.
    fn gives_way(&self) {
        let now = self.world.state().now;
        let began = *self.turn_begins.lock().unwrap().get_or_insert(now);
        // It may have waited for the wire of somebody who is late.
        assert!(
            self.is_late || now - began < MOST_OF_A_TURN,
            "a turn goes on with input for {:?}, and others wait",
            now - began
        );
    }

    /// Computes, or sleeps, for a while.
    fn take_time(&self) {
        let time = self
            .world
            .draw(|chance| Duration::from_micros(chance.below(500)));
        match self.world.draw(|chance| chance.percent(70)) {
            true => self.world.spend(time),
            false => self.world.pause(time * 100),
        }
    }

    /// One thing that an application does, on any thread.
    fn deed(&self, session: &SimulatedSession, origin: Origin) {
        match self.world.draw(|chance| chance.below(100)) {
            0..52 => drop(self.send(session, origin)),
            52..62 => drop(self.try_send(session, origin)),
            62..66 => self.flood(session, origin),
            66..70 => self.give(session, origin),
            70..86 if self.sends_parts => self.send_parts(session, origin),
            70..88 => {
                let after = self
                    .world
                    .draw(|chance| Duration::from_micros(chance.below(900_000)));
                session.set_timer(Some(self.world.instant() + after));
            }
            88..92 => self.send_control(session, origin, Outgoing::Ping(b"application")),
            92..94 => {
                self.world.tell(|| format!("{origin} closes"));
                let frame = CloseFrame::from(CloseCode::NORMAL_CLOSURE);
                session.close(Some(&frame), ClosedBy::Plugin);
            }
            _ => self.send_control(session, origin, Outgoing::Pong(b"application")),
        }
    }

    fn send_control(&self, session: &SimulatedSession, origin: Origin, frame: Outgoing<'_>) {
        // One that comes behind a Close frame is refused.
        let _ = self.in_call(origin, Call::Other, || session.send(frame));
    }

    /// A call that may block.
    fn in_call<T>(&self, origin: Origin, call: Call, make: impl FnOnce() -> T) -> T {
        let make = || self.promises.in_call(origin, call, make);
        if origin == CALLBACKS {
            return make();
        }
        let nobody_is = self.late_task.load(Ordering::SeqCst) == NOBODY;
        let is_late = self.is_late && nobody_is && self.world.draw(|chance| chance.percent(30));
        if is_late {
            self.late_task.store(this_task(), Ordering::SeqCst);
        }
        let made = self.poller.while_deaf(make);
        if is_late {
            self.late_task.store(NOBODY, Ordering::SeqCst);
        }
        made
    }

    fn send(&self, session: &SimulatedSession, origin: Origin) -> Result<(), Refused> {
        self.send_by(session, origin, SimulatedSession::send, "sends")
    }

    fn try_send(&self, session: &SimulatedSession, origin: Origin) -> Result<(), Refused> {
        let writables = self.writables.load(Ordering::SeqCst);
        let try_send = |session: &SimulatedSession, outgoing: Outgoing<'_>| {
            self.does_its_share("a try_send", || session.try_send(outgoing))
        };
        let sent = self.send_by(session, origin, try_send, "tries to send");
        if sent == Err(Refused::Full) {
            self.world.mark("a try_send finds no room");
            // on_writable may have come before the refusal is known here.
            if self.writables.load(Ordering::SeqCst) == writables {
                self.wants_room.store(true, Ordering::SeqCst);
            }
        }
        sent
    }

    /// Sends one message behind the other: who has the wire meanwhile is not to write for this one without end.
    fn flood(&self, session: &SimulatedSession, origin: Origin) {
        for _ in 0..20 {
            let sent = match self.world.draw(|chance| chance.percent(50)) {
                true => self.send(session, origin),
                false => self.try_send(session, origin),
            };
            if sent == Err(Refused::Ended) {
                return;
            }
        }
    }

    /// As callbacks of other sessions do: what they give is written when their input is used up.
    fn give(&self, session: &SimulatedSession, origin: Origin) {
        let writables = self.writables.load(Ordering::SeqCst);
        for _ in 0..self.world.draw(|chance| chance.within(1, 4)) {
            let sent = self.send_by(session, origin, SimulatedSession::gather, "gives");
            if sent == Err(Refused::Full) && self.writables.load(Ordering::SeqCst) == writables {
                self.wants_room.store(true, Ordering::SeqCst);
            }
        }
        if origin != CALLBACKS {
            let time = self
                .world
                .draw(|chance| Duration::from_micros(chance.below(100)));
            self.world.spend(time);
        }
        self.does_its_share("a flush", || session.flush_gathered());
    }

    /// A call that never waits does not write for others without end.
    fn does_its_share<T>(&self, what: &str, call: impl FnOnce() -> T) -> T {
        let loads = || self.world.state().loads(this_task());
        let before = loads();
        let made = call();
        let count = loads() - before;
        assert!(
            count <= PASSES + 1,
            "{what} has written {count} times what others had put in"
        );
        if count == PASSES + 1 {
            self.world.mark("a thread leaves the rest to others");
        }
        made
    }

    fn send_by(
        &self,
        session: &SimulatedSession,
        origin: Origin,
        send: impl FnOnce(&SimulatedSession, Outgoing<'_>) -> Result<(), Refused>,
        verb: &str,
    ) -> Result<(), Refused> {
        let number = self.promises.send_begins(origin);
        let length = self.world.draw(|chance| chance.length(self.most_length));
        let bytes = letter::write(origin, number, length);
        self.world
            .tell(|| format!("{origin} {verb} message {number}, {} bytes", bytes.len()));
        let kind = letter::kind(number);
        let is_for_many = self.world.draw(|chance| chance.percent(35));
        let prepared = PreparedMessage::new(kind, &bytes, Compression::Default);
        let outgoing = match &prepared {
            Ok(prepared) if is_for_many => Outgoing::Prepared(prepared),
            _ => Outgoing::Message(kind, Compression::Default, &bytes),
        };
        let sent = self.in_call(origin, Call::Message, || send(session, outgoing));
        self.world
            .tell(|| format!("{origin}'s message {number}: {sent:?}"));
        let promises = &self.promises;
        if promises.send_ends(origin, number, sent.is_ok(), bytes.len()) {
            self.world.mark("a message is held up");
        }
        sent
    }

    /// A message in parts, with pauses between them; what others send meanwhile waits for its end.
    fn send_parts(&self, session: &SimulatedSession, origin: Origin) {
        // One at a time is the application's to see to.
        let Some(number) = self.promises.parts_begin(origin) else {
            return;
        };
        let bytes = letter::write(origin, number, PARTS_LENGTH);
        let parts = self.world.draw(|chance| chance.within(1, 4)) as usize;
        let size = bytes.len().div_ceil(parts);
        let (kind, count) = (letter::kind(number), bytes.chunks(size).len());
        let mut is_sent = true;
        for (index, payload) in bytes.chunks(size).enumerate() {
            if index > 0 && self.world.draw(|chance| chance.percent(70)) {
                let most = self
                    .world
                    .draw(|chance| [2_000, 400_000][chance.below(2) as usize]);
                let pause = self
                    .world
                    .draw(|chance| Duration::from_micros(chance.below(most)));
                self.world.pause(pause);
            }
            let is_final = index + 1 == count;
            let part = Outgoing::Fragment {
                kind,
                payload,
                is_final,
            };
            let sent = self.send_part(session, origin, part);
            self.world
                .tell(|| format!("part {index} of {origin}'s message {number}: {sent:?}"));
            is_sent = sent.is_ok();
            if !is_sent {
                break;
            }
            self.promises.part_sent(is_final);
        }
        self.promises.send_ends(origin, number, is_sent, 0);
    }

    /// Blocks for room, or tries again when on_writable has come.
    fn send_part(
        &self,
        session: &SimulatedSession,
        origin: Origin,
        part: Outgoing<'_>,
    ) -> Result<(), Refused> {
        // A callback would wait for another one.
        if origin == CALLBACKS || self.world.draw(|chance| chance.percent(50)) {
            return self.in_call(origin, Call::Other, || session.send(part));
        }
        let wakes = Arc::new(Sleeper::default());
        loop {
            self.writers.lock().unwrap().push(Arc::clone(&wakes));
            let writables = self.writables.load(Ordering::SeqCst);
            let sent = session.try_send(part);
            if sent != Err(Refused::Full) {
                return sent;
            }
            self.world.mark("a part finds no room");
            if self.writables.load(Ordering::SeqCst) == writables {
                self.wants_room_for_part.store(true, Ordering::SeqCst);
                wakes.sleep();
            }
        }
    }

    /// A thread of the application's own.
    pub fn live(session: &SimulatedSession, origin: Origin) {
        let server = session.environment();
        let world = &server.world;
        if server.floods {
            server.flood(session, origin);
        }
        for _ in 0..world.draw(|chance| chance.within(1, 10)) {
            if world.is_over() {
                return;
            }
            if world.draw(|chance| chance.percent(40)) {
                world.pause(world.draw(|chance| Duration::from_micros(chance.below(100_000))));
            }
            server.deed(session, origin);
        }
    }

    fn wake_writers(&self) {
        let writers = std::mem::take(&mut *self.writers.lock().unwrap());
        writers.iter().for_each(|writer| writer.wake());
    }
}

impl Application for Server {
    fn on_open(&self) {
        self.in_callback("on_open", |session| self.act(session));
    }

    fn on_message(&self, kind: MessageKind, payload: &mut [u8], _: Instant) -> Instant {
        self.in_callback("on_message", |session| {
            self.gives_way();
            self.promises.application_got(kind, payload);
            if self.world.draw(|chance| chance.percent(50)) {
                let _ = self.send(session, CALLBACKS);
            }
            self.act(session);
        });
        self.now()
    }

    fn on_writable(&self) {
        self.in_callback("on_writable", |session| {
            self.writables.fetch_add(1, Ordering::SeqCst);
            self.wants_room.store(false, Ordering::SeqCst);
            self.wants_room_for_part.store(false, Ordering::SeqCst);
            self.wake_writers();
            self.world.mark("on_writable");
            self.act(session);
        });
    }

    fn on_pong(&self, _payload: &[u8], _heartbeat: Option<Duration>) -> Option<Range<Instant>> {
        let begin = self.now();
        self.in_callback("on_pong", |session| {
            self.gives_way();
            self.act(session);
        });
        Some(begin..self.now())
    }

    fn on_timer(&self) {
        self.in_callback("on_timer", |session| self.act(session));
    }

    fn on_close(&self, _code: u16, _reason: &str, _is_clean: bool) {
        self.in_callback("on_close", |session| {
            let _ = self.send(session, CALLBACKS);
            if self.world.draw(|chance| chance.percent(5)) {
                self.world.mark("on_close panics");
                resume_unwind(Box::new(Deliberate));
            }
        });
    }

    fn on_disconnect(&self) {
        self.in_callback("on_disconnect", |_| self.wake_writers());
    }
}

impl Waiter for Server {
    fn wake(&self) {
        if this_task() != self.turn_task.load(Ordering::SeqCst) {
            self.wakes.fetch_add(1, Ordering::SeqCst);
        }
        if self.own_task.is_none() {
            self.poller.ring_room();
            if self.edges.queue() {
                self.poller.job();
            }
        } else if !self.is_own_task() {
            self.poller.ring();
        }
    }

    fn stalled(&self, deadline: Option<Instant>) {
        self.world.mark("the socket is full");
        match self.own_task {
            None => self.set_timer(deadline),
            // The poll has to begin anew, for output too.
            Some(_) => self.wake(),
        }
    }

    fn wait_to_write(&self, deadline: Option<Instant>) {
        self.world.mark("a callback polls for room");
        if self.own_task.is_none() {
            self.poller.wait_for_room(deadline);
            return;
        }
        let asked = Asked {
            input: false,
            output: true,
            end: false,
        };
        self.poller.wait(asked, deadline);
    }
}

impl Observer for Server {
    fn bytes_in(&self, _count: usize) {}
    fn bytes_out(&self, _count: usize) {}
    fn queued(&self, count: usize) {
        if count > 0 && this_task() == self.late_task.load(Ordering::SeqCst) {
            let time = self
                .world
                .draw(|chance| Duration::from_micros(chance.below(20_000)));
            self.world.pause(time);
        }
        self.queued.store(count, Ordering::SeqCst);
    }
    fn message_in(&self) {}
    fn message_out(&self) {}
    fn ping_round_trip(&self, _time: Duration) {}
    fn closing(&self) {
        self.world.tell(|| "a Close frame is put in".to_owned());
    }
    fn closed(&self, _code: u16) {}
}

impl Machine for Server {
    fn now(&self) -> Instant {
        if this_task() == self.turn_task.load(Ordering::SeqCst) {
            // A turn's last look begins with the time.
            let wakes = self.wakes.load(Ordering::SeqCst);
            self.wakes_seen.store(wakes, Ordering::SeqCst);
        }
        self.world.instant()
    }

    fn random(&self) -> u64 {
        self.world.draw(|chance| chance.next())
    }

    fn current_thread(&self) -> ThreadId {
        ThreadId(this_task() + 1)
    }
}

fn this_task() -> usize {
    usize::from(shuttle::current::me())
}
