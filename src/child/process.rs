//! What one child process holds: its reactor, its open WebSockets, and how they end with it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use httpd::apr::Pool;
use httpd::log::Subject;
use httpd::server::Server;
use reactor::Reactor;
use server_functions::ProcessTable;
use session::{Buffers, ClosedBy};
use websocket_proto::extension::permessage_deflate::CodecPool;
use websocket_proto::{CloseCode, CloseFrame, MessageBudget, ReservedCloseCodes};

use super::engine::Engine;
use super::haste::{Haste, Hasty};
use super::patience::Patience;
use super::plugin_process::PluginProcess;
use crate::board::{Callback, ChildBoard, Limits, Location, Occupant, Order, Threads, Wish};
use crate::configuration::config::Config;
use crate::configuration::{capacity, message_memory, process_options};
use crate::lock::{lock, lock_at_end};
use crate::log::{self, Level, Tag, scribe};
use crate::plugin::{self, Plugin};
use crate::symbol::websocket_module;
use crate::topics::Exchange;
use crate::websocket::connection::Connection;
use crate::websocket::place::{Place, Places};

/// How long a WebSocket may take from the board's knowing of it to the child's.
const EARLY: Duration = Duration::from_secs(10);
/// How many compressors, and how many decompressors, wait for the next message.
const IDLE_CODECS: usize = 32;

/// The child that this process is; `None` in the parent, and while there is no module in it.
static CHILD: RwLock<Option<Arc<Child>>> = RwLock::new(None);

/// One child process.
pub struct Child {
    /// On an asynchronous MPM.
    engine: Option<Engine>,
    connections: Mutex<Connections>,
    board: ChildBoard,
    exchange: Arc<Exchange>,
    /// WebSockets that are opening, open or closing.
    places_taken: AtomicUsize,
    buffers: Arc<Buffers>,
    /// `WebSocketMessageMemory`.
    budget: Arc<MessageBudget>,
    /// Compressors of connections without context takeover.
    codecs: Arc<CodecPool>,
    /// `WebSocketDrainTimeout`.
    drain_timeout: Duration,
    /// The plugins that have had their child_start, and what each knows of the process.
    plugins: Vec<(Arc<Plugin>, ProcessTable<PluginProcess>)>,
    /// Names who holds up the end of the process.
    patience: Mutex<Option<Patience>>,
    /// Hears that there is no time to drain.
    haste: Mutex<Option<Haste>>,
    /// An [`Instruction`], which only ever goes up.
    instruction: AtomicU8,
}

/// What the MPM has told the child.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Instruction {
    /// To serve.
    Serve,
    /// To finish what is under way, and end.
    Finish,
    /// To finish sooner than it would, and not to wait for anybody any more.
    Leave,
    /// To end at once.
    End,
}

#[derive(Default)]
struct Connections {
    /// By the numbers that all children together give.
    open: BTreeMap<u64, Weak<Connection>>,
    /// Those whose on_connect runs.
    asked: BTreeMap<u64, Weak<Connection>>,
    /// What an operator wants of those that the board has and `open` has not yet, and when that was said.
    early: Vec<(u64, Instant, Wish)>,
    /// Once the child has been told to stop.
    closing: Option<Closing>,
}

/// How a child that stops closes its WebSockets.
#[derive(Clone, Copy)]
struct Closing {
    /// When the last of them, and each that comes later, is to be closed.
    at: Instant,
    /// Nobody waits for a callback that is blocked: see [`release`].
    is_at_once: bool,
}

impl Child {
    /// Makes this process's child, which ends with `pool`.
    pub fn start(pool: Pool<'static>, server: Server<'static>) {
        let config = server.config::<Config>(&websocket_module);
        let config = config.cloned().unwrap_or_default();
        let engine = httpd::mpm::is_async().then(|| Engine::new(config.threads(), log_fault));
        let budget = message_memory::budget(server, &config);
        let limits = Limits {
            connections: capacity::of_child() as u64,
            websockets: config.max_connections() as u64,
            message_memory: budget.limit() as u64,
        };
        if !httpd::mpm::is_threaded() {
            // prefork ends a child in a signal handler, where its plugins may publish.
            topics::hold_signals();
        }
        let exchange = Arc::new(Exchange::new(server));
        let child = Arc::new_cyclic(|this: &Weak<Child>| Child {
            engine,
            connections: Mutex::default(),
            board: ChildBoard::new(server, this.clone(), limits),
            budget: Arc::clone(&budget),
            exchange: Arc::clone(&exchange),
            places_taken: AtomicUsize::new(0),
            buffers: Arc::new(Buffers::new(budget)),
            codecs: Arc::new(CodecPool::new(IDLE_CODECS)),
            drain_timeout: config.drain_timeout(),
            plugins: plugin::all_loaded(server.config_pool())
                .into_iter()
                .map(|plugin| {
                    let (options, elsewhere) = process_options::of(server, &plugin);
                    (
                        plugin,
                        ProcessTable::new(PluginProcess::new(options, elsewhere, &exchange)),
                    )
                })
                .collect(),
            patience: Mutex::new(None),
            haste: Mutex::new(None),
            instruction: AtomicU8::new(Instruction::Serve as u8),
        });
        for (plugin, process) in &child.plugins {
            child.call(plugin, Callback::ChildStart, || {
                // SAFETY: the child begins; the table stays where it is until `stop` has called child_stop.
                unsafe { plugin.child_start(process.as_ptr()) };
            });
        }
        *CHILD.write().unwrap_or_else(PoisonError::into_inner) = Some(child);
        if !httpd::mpm::is_threaded() {
            httpd::forks::share_graceful_end(pool);
        }
        // Before the pool's own children and cleanups go: threads must not outlive what they use.
        pool.before_cleanup(Child::stop);
    }

    /// Calls a plugin for the process.
    fn call(&self, plugin: &Plugin, callback: Callback, call: impl FnOnce()) {
        // One that has nothing to be called is no reason for prefork's children to have figures.
        let under_way = plugin
            .has_child_callbacks()
            .then(|| self.board.calling(plugin.name()))
            .map(|calling| calling.begins(callback, Instant::now()));
        call();
        if let Some(under_way) = under_way {
            under_way.returned();
        }
    }

    /// This process's child.
    pub fn current() -> Option<Arc<Child>> {
        CHILD.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The reactor, if there is one.
    pub fn reactor(&self) -> Option<&Reactor> {
        self.engine.as_ref().and_then(Engine::reactor)
    }

    /// Has a reactor started unless there is one. Says whether there is: not but on an asynchronous MPM, and not where the
    /// system has no threads for it.
    pub fn start_reactor(&self) -> bool {
        self.engine.as_ref().is_some_and(Engine::start)
    }

    /// The compressors that connections without context takeover share.
    pub fn codecs(&self) -> &Arc<CodecPool> {
        &self.codecs
    }

    /// The buffers that its connections share.
    pub fn buffers(&self) -> &Arc<Buffers> {
        &self.buffers
    }

    /// The board, with the figures of all children.
    pub fn board(&self) -> &ChildBoard {
        &self.board
    }

    /// Its part in topics.
    pub fn exchange(&self) -> &Arc<Exchange> {
        &self.exchange
    }

    /// A place for one more WebSocket, unless there are `most` already; 0: any number.
    pub fn admit(
        self: &Arc<Self>,
        most: usize,
        location: Location,
        client: Option<IpAddr>,
    ) -> Option<Place> {
        let taken = self.places_taken.fetch_add(1, Ordering::Relaxed);
        let entry = self.board.open(location, client);
        let child: Arc<dyn Places> = self.clone();
        let place = Place::new(child, entry);
        (most == 0 || taken < most).then_some(place)
    }

    /// Runs an on_connect, which is known meanwhile to those who ask what still runs.
    pub fn while_opening<T>(
        &self,
        connection: &Arc<Connection>,
        on_connect: impl FnOnce() -> T,
    ) -> T {
        let number = connection.entry().id();
        lock(&self.connections)
            .asked
            .insert(number, Arc::downgrade(connection));
        let result = on_connect();
        lock(&self.connections).asked.remove(&number);
        result
    }

    /// Counts a WebSocket in, until it says that it is closed.
    pub fn add(&self, connection: &Arc<Connection>) {
        let number = connection.entry().id();
        let (closing, early) = {
            let mut connections = lock(&self.connections);
            connections.open.insert(number, Arc::downgrade(connection));
            if let Some(closing) = connections.closing {
                // Under the lock: a stop that is sooner comes behind this, or has come before.
                connection.session().drain_at(closing.at);
            }
            let is_its = |early: &(u64, Instant, Wish)| early.0 == number;
            let index = connections.early.iter().position(is_its);
            let early = index.map(|index| connections.early.swap_remove(index));
            (connections.closing, early)
        };
        if let Some((_, time, wish)) = early {
            obey(connection, &wish, time);
        }
        if closing.is_some_and(|closing| closing.is_at_once) {
            release(connection);
        }
    }

    /// The child is to stop: its WebSockets are closed with 1001, at once, or when `is_graceful` spread evenly
    /// over WebSocketDrainTimeout, so that their clients do not all come back in the same moment.
    pub fn drain(self: &Arc<Self>, is_graceful: bool) {
        let instruction = if is_graceful {
            Instruction::Finish
        } else {
            Instruction::End
        };
        // Relaxed, and a turn is asked for behind it.
        self.instruction
            .fetch_max(instruction as u8, Ordering::Relaxed);
        self.board.set_stopping();
        if !httpd::mpm::is_threaded() {
            // prefork says so on the thread that would have to act on it, in a signal handler.
            return;
        }
        let timeout = if is_graceful {
            self.drain_timeout
        } else {
            self.be_patient();
            Duration::ZERO
        };
        if !is_graceful || !timeout.is_zero() {
            self.close_all(timeout, instruction == Instruction::End);
        }
        if is_graceful {
            // Behind it, so that what it shortens is not made longer again.
            let mut haste = lock(&self.haste);
            if haste.is_none() {
                *haste = Haste::start(Arc::clone(self));
            }
        }
    }

    /// Closes the WebSockets with 1001, spread evenly over the time; those that come later, at its end. `is_at_once`: callbacks
    /// that are blocked in `send` on the MPM's own threads are released.
    fn close_all(&self, timeout: Duration, is_at_once: bool) {
        let now = Instant::now();
        let open = {
            let mut connections = lock(&self.connections);
            let before = connections.closing;
            connections.closing = Some(Closing {
                at: now + timeout,
                is_at_once: is_at_once || before.is_some_and(|before| before.is_at_once),
            });
            connections.open()
        };
        let count = u32::try_from(open.len()).unwrap_or(u32::MAX);
        for (index, connection) in (0..).zip(&open) {
            let session = connection.session();
            if is_at_once {
                release(connection);
            }
            session.drain_at(now + timeout.mul_f64(f64::from(index) / f64::from(count)));
        }
    }

    /// Whether its WebSockets are to end as soon as they have been told.
    pub fn ends_at_once(&self) -> bool {
        self.instruction.load(Ordering::Relaxed) >= Instruction::Leave as u8
    }

    /// Whether it has been told [`Instruction::Leave`]: the MPM waits for each connection's end, as it does for a child that
    /// finishes what is under way, but has no time left for it.
    pub fn leaves(&self) -> bool {
        self.instruction.load(Ordering::Relaxed) == Instruction::Leave as u8
    }

    /// From now on, a callback that does not return is named after a while.
    fn be_patient(&self) {
        let mut patience = lock(&self.patience);
        if patience.is_none() {
            let child = Child::current();
            let running = move || child.map(|child| child.board.running());
            *patience = Patience::start(move || running().unwrap_or_default());
        }
    }

    /// When a WebSocket that has a process to itself (prefork) is to be closed. Its fellows in the other
    /// processes do not know of it; the process id spreads them.
    pub fn drain_alone(&self) -> Option<Instant> {
        let spread =
            f64::from(std::process::id().wrapping_mul(2_654_435_761)) / f64::from(u32::MAX);
        (!self.drain_timeout.is_zero()).then(|| Instant::now() + self.drain_timeout.mul_f64(spread))
    }

    /// Ends every WebSocket that is still open, and the reactor's threads.
    ///
    /// prefork calls this from a signal handler. From a plugin's on_connect to the WebSocket's end, that comes only where
    /// the driver waits (`HeldSignals`), with nothing locked or half done; at any other time, the child's own locks may be
    /// the interrupted thread's: there they are tried, not waited for, and a connection that is not at rest is left alone.
    /// That the handler allocates and frees is prefork's own habit: it destroys the child's pool there.
    fn stop() {
        let child = CHILD.try_read().ok().and_then(|child| child.clone());
        let Some(child) = child else { return };
        if httpd::mpm::is_threaded() {
            child.be_patient();
            // Before the module is taken out of memory, with the handler of a signal in it.
            let haste = lock(&child.haste).take();
            if let Some(haste) = haste {
                haste.end();
            }
        }
        let _ = CHILD.try_write().map(|mut child| child.take());
        child.board.stop();
        child.exchange.stop();
        let mut open = child.open_at_end().unwrap_or_default();
        open.retain(|connection| connection.is_at_rest());
        // A thread that is blocked in `send` would be waited for in vain.
        for connection in &open {
            connection.session().close(
                Some(&CloseFrame::from(CloseCode::GOING_AWAY)),
                ClosedBy::Stopping,
            );
            connection.session().stop_sending();
        }
        // The reactor drops its drivers when it stops; they are still needed.
        let drivers: Vec<_> = open.iter().map(|connection| connection.driver()).collect();
        if let Some(engine) = &child.engine {
            engine.stop();
        }
        for connection in &open {
            connection.terminate();
        }
        drop(drivers);
        let all_have_ended = child.open_at_end().is_some_and(|open| open.is_empty());
        // Otherwise a callback is under way, on a thread that the process takes with it.
        if all_have_ended {
            let is_graceful = match httpd::mpm::is_threaded() {
                true => child.instruction.load(Ordering::Relaxed) == Instruction::Finish as u8,
                // It calls the child_stopping hook with 0 in any case.
                false => !httpd::mpm::is_ending_at_once(),
            };
            for (plugin, _) in &child.plugins {
                child.call(plugin, Callback::ChildStop, || {
                    // SAFETY: every connection of the child has had its on_disconnect.
                    unsafe { plugin.child_stop(is_graceful) };
                });
            }
        }
        child.board.leave();
        let patience = lock_at_end(&child.patience);
        if let Some(patience) = patience.and_then(|mut patience| patience.take()) {
            patience.end();
        }
        log::tell_repeats(true);
        // As the last one, so that nobody here waits for a log that hangs.
        scribe::stop();
    }
}

impl Child {
    /// The open WebSockets, as `stop` may ask for them.
    fn open_at_end(&self) -> Option<Vec<Arc<Connection>>> {
        lock_at_end(&self.connections).map(|connections| connections.open())
    }
}

/// In the middle of a drain, the parent cannot wait for its end.
impl Hasty for Arc<Child> {
    fn tell_all(&self) {
        self.be_patient();
        self.close_all(Duration::ZERO, true);
    }

    fn is_done(&self) -> bool {
        lock(&self.connections).open.is_empty()
    }

    fn end_all(&self) {
        self.instruction
            .fetch_max(Instruction::Leave as u8, Ordering::Relaxed);
        let open = lock(&self.connections).open();
        for connection in open {
            connection.session().stop_sending();
            // They have a turn, in which they see the order.
            connection.session().drain_at(Instant::now());
        }
    }
}

impl Occupant for Child {
    fn obey(&self, order: &Order) {
        let now = Instant::now();
        for &(number, delay) in &order.connections {
            let connection = {
                let mut connections = lock(&self.connections);
                let connection = connections.open.get(&number).and_then(Weak::upgrade);
                if connection.is_none() {
                    // It has ended, or its handshake is in its last moments.
                    connections.early.retain(|(_, said, _)| now < *said + EARLY);
                    let wish = order.wish.clone();
                    connections.early.push((number, now + delay, wish));
                }
                connection
            };
            if let Some(connection) = connection {
                obey(&connection, &order.wish, now + delay);
            }
        }
    }

    fn look_at_callbacks(&self) {
        self.board.look_at_callbacks(|number, take| {
            let connection = {
                let connections = lock(&self.connections);
                let open = connections.open.get(&number);
                open.or_else(|| connections.asked.get(&number)).cloned()
            };
            if let Some(connection) = connection.as_ref().and_then(Weak::upgrade)
                && let Some(name) = take()
            {
                connection.say_very_long(name);
            }
        });
    }

    fn message_memory(&self) -> u64 {
        self.budget.used() as u64
    }

    fn threads(&self) -> Threads {
        match self.reactor() {
            Some(reactor) => {
                let stats = reactor.stats();
                Threads {
                    busy: stats.busy as u64,
                    idle: stats.threads.saturating_sub(stats.busy) as u64,
                }
            }
            // Each has a thread of the MPM's to itself.
            None => Threads {
                busy: lock(&self.connections).open.len() as u64,
                idle: 0,
            },
        }
    }
}

impl Places for Child {
    fn closed(&self, number: u64) {
        lock(&self.connections).open.remove(&number);
    }

    fn vacated(&self) {
        self.places_taken.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connections {
    fn open(&self) -> Vec<Arc<Connection>> {
        self.open.values().filter_map(Weak::upgrade).collect()
    }
}

/// Releases a callback that waits in `send` on one of the MPM's own threads, for which the MPM waits.
fn release(connection: &Connection) {
    let is_blocking = connection
        .driver()
        .is_some_and(|driver| driver.is_blocking());
    if is_blocking {
        let session = connection.session();
        session.close(
            Some(&CloseFrame::from(CloseCode::GOING_AWAY)),
            ClosedBy::Stopping,
        );
        session.stop_sending();
    }
}

/// Does with a connection what an operator wants: a drain at this time, all else now.
fn obey(connection: &Connection, wish: &Wish, time: Instant) {
    match wish {
        Wish::Drain => connection.session().retire_at(time),
        Wish::Close { code, reason } => {
            let code = CloseCode::from_wire(*code, ReservedCloseCodes::Refuse);
            if let Some(code) = code {
                let frame = CloseFrame::new(code, reason);
                connection.session().close(Some(&frame), ClosedBy::Operator);
            }
        }
    }
}

fn log_fault(text: &str) {
    if let Some(server) = Server::main() {
        log::log(
            &Subject::Server(server),
            Level::Error,
            Tag::ReactorFault,
            || text.to_owned(),
        );
    }
}
