//! What one child process holds: its reactor, its open WebSockets, and how they end with it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, TryLockError, Weak};
use std::time::{Duration, Instant};

use httpd::apr::Pool;
use httpd::log::Subject;
use httpd::server::Server;
use reactor::Reactor;
use server_functions::ProcessTable;
use session::{Buffers, ClosedBy};
use websocket_proto::extension::permessage_deflate::CodecPool;
use websocket_proto::{CloseCode, CloseFrame, ReservedCloseCodes};

use super::patience::Patience;
use super::plugin_process::PluginProcess;
use crate::board::{Callback, CloseRequest, Figures, Location, Occupant, Threads};
use crate::configuration::config::Config;
use crate::configuration::{message_memory, process_options};
use crate::lock::lock;
use crate::log::{self, Level, Tag, scribe};
use crate::plugin::{self, Plugin};
use crate::symbol::websocket_module;
use crate::topics::Exchange;
use crate::websocket::connection::Connection;
use crate::websocket::place::{Place, Places};

/// How long a reactor thread that is not needed any more stays.
const THREAD_IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// How many compressors, and how many decompressors, wait for the next message.
const IDLE_CODECS: usize = 32;

/// The child that this process is; `None` in the parent, and while there is no module in it.
static CHILD: RwLock<Option<Arc<Child>>> = RwLock::new(None);

/// One child process.
pub struct Child {
    /// On an asynchronous MPM.
    reactor: Option<Reactor>,
    connections: Mutex<Connections>,
    figures: Figures,
    exchange: Arc<Exchange>,
    /// WebSockets that are opening, open or closing.
    places_taken: AtomicUsize,
    buffers: Arc<Buffers>,
    /// Compressors of connections without context takeover.
    codecs: Arc<CodecPool>,
    /// `WebSocketDrainTimeout`.
    drain_timeout: Duration,
    /// The plugins that have had their child_start, and what each knows of the process.
    plugins: Vec<(Arc<Plugin>, ProcessTable<PluginProcess>)>,
    /// Names who holds up the end of the process.
    patience: Mutex<Option<Patience>>,
    /// An [`Order`], which only ever goes up.
    order: AtomicU8,
}

/// What the MPM has told the child.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Order {
    /// To serve.
    Serve,
    /// To finish what is under way, and end.
    Finish,
    /// To end at once.
    End,
}

#[derive(Default)]
struct Connections {
    /// By the numbers that all children together give.
    open: BTreeMap<u64, Weak<Connection>>,
    /// Those whose on_connect runs.
    asked: BTreeMap<u64, Weak<Connection>>,
    /// When the last WebSocket is to be closed, once the child has been told to stop.
    drained_at: Option<Instant>,
}

impl Child {
    /// Makes this process's child, which ends with `pool`.
    pub fn start(pool: Pool<'static>, server: Server<'static>) {
        let config = server.config::<Config>(&websocket_module);
        let config = config.cloned().unwrap_or_default();
        let reactor = httpd::mpm::is_async().then(|| {
            let (min_threads, max_threads) = config.threads();
            Reactor::start(reactor::Config {
                min_threads,
                max_threads,
                idle_timeout: THREAD_IDLE_TIMEOUT,
                name: "websocket".to_owned(),
                stack_size: 0,
                around_thread: Some(Box::new(httpd::host_thread::with_record)),
                on_fault: Some(Box::new(log_fault)),
            })
        });
        let reactor = match reactor.transpose() {
            Ok(reactor) => reactor,
            Err(error) => {
                log::log(
                    &Subject::Server(server),
                    Level::Error,
                    Tag::ReactorFault,
                    || {
                        format!(
                            "no reactor in this child, so that each WebSocket takes a worker thread: {error}"
                        )
                    },
                );
                None
            }
        };
        if reactor.is_some() {
            // Without it, each thread writes for itself.
            let _ = scribe::start();
        }
        let exchange = Arc::new(Exchange::new(server));
        let child = Arc::new_cyclic(|this: &Weak<Child>| Child {
            reactor,
            connections: Mutex::default(),
            figures: Figures::new(server, this.clone()),
            exchange: Arc::clone(&exchange),
            places_taken: AtomicUsize::new(0),
            buffers: Arc::new(Buffers::new(message_memory::budget(server, &config))),
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
            order: AtomicU8::new(Order::Serve as u8),
        });
        for (plugin, process) in &child.plugins {
            child.call(plugin, Callback::ChildStart, || {
                // SAFETY: the child begins; the table stays where it is until `stop` has called child_stop.
                unsafe { plugin.child_start(process.as_ptr()) };
            });
        }
        if child.reactor.is_some() {
            // It has threads already, whose figures a status page may ask for.
            child.figures.watch();
        }
        *CHILD.write().unwrap_or_else(PoisonError::into_inner) = Some(child);
        // Before the pool's own children and cleanups go: threads must not outlive what they use.
        pool.before_cleanup(Child::stop);
    }

    /// Calls a plugin for the process.
    fn call(&self, plugin: &Plugin, callback: Callback, call: impl FnOnce()) {
        // One that has nothing to be called is no reason for prefork's children to have figures.
        match plugin.has_child_callbacks() {
            true => {
                self.figures
                    .calling(plugin.name())
                    .run(callback, Instant::now(), call)
                    .result
            }
            false => call(),
        }
    }

    /// This process's child.
    pub fn current() -> Option<Arc<Child>> {
        CHILD.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The reactor, on an asynchronous MPM.
    pub fn reactor(&self) -> Option<&Reactor> {
        self.reactor.as_ref()
    }

    /// The compressors that connections without context takeover share.
    pub fn codecs(&self) -> &Arc<CodecPool> {
        &self.codecs
    }

    /// The buffers that its connections share.
    pub fn buffers(&self) -> &Arc<Buffers> {
        &self.buffers
    }

    /// The figures of all children.
    pub fn figures(&self) -> &Figures {
        &self.figures
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
        let entry = self.figures.open(location, client);
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
        let mut connections = lock(&self.connections);
        let number = connection.entry().id();
        connections.open.insert(number, Arc::downgrade(connection));
        if let Some(drained_at) = connections.drained_at {
            connection.session().drain_at(drained_at);
        }
    }

    /// The child is to stop: its WebSockets are closed with 1001, at once, or when `is_graceful` spread evenly
    /// over WebSocketDrainTimeout, so that their clients do not all come back in the same moment.
    pub fn drain(&self, is_graceful: bool) {
        let order = if is_graceful {
            Order::Finish
        } else {
            Order::End
        };
        // Relaxed, and a turn is asked for behind it.
        self.order.fetch_max(order as u8, Ordering::Relaxed);
        self.figures.set_stopping();
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
        if is_graceful && timeout.is_zero() {
            return;
        }
        let now = Instant::now();
        let open = {
            let mut connections = lock(&self.connections);
            connections.drained_at = Some(now + timeout);
            connections.open()
        };
        let count = u32::try_from(open.len()).unwrap_or(u32::MAX);
        for (index, connection) in (0..).zip(&open) {
            let session = connection.session();
            if order == Order::End
                && connection
                    .driver()
                    .is_some_and(|driver| driver.is_blocking())
            {
                // The MPM waits for its thread, which may be in a callback that waits in `send`.
                session.close(
                    Some(&CloseFrame::from(CloseCode::GOING_AWAY)),
                    ClosedBy::Stopping,
                );
                session.stop_sending();
            }
            session.drain_at(now + timeout.mul_f64(f64::from(index) / f64::from(count)));
        }
    }

    /// Whether its WebSockets are to end as soon as they have been told.
    pub fn ends_at_once(&self) -> bool {
        self.order.load(Ordering::Relaxed) == Order::End as u8
    }

    /// From now on, a callback that does not return is named after a while.
    fn be_patient(&self) {
        let mut patience = lock(&self.patience);
        if patience.is_none() {
            let child = Child::current();
            let running = move || child.map(|child| child.figures.running());
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
        }
        let _ = CHILD.try_write().map(|mut child| child.take());
        child.figures.stop();
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
        if let Some(reactor) = &child.reactor {
            reactor.stop();
        }
        for connection in &open {
            connection.terminate();
        }
        drop(drivers);
        let all_have_ended = child.open_at_end().is_some_and(|open| open.is_empty());
        // Otherwise a callback is under way, on a thread that the process takes with it.
        if all_have_ended {
            let is_graceful = match httpd::mpm::is_threaded() {
                true => child.order.load(Ordering::Relaxed) == Order::Finish as u8,
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
        child.figures.leave();
        let patience = child.patience.try_lock().ok();
        if let Some(patience) = patience.and_then(|mut patience| patience.take()) {
            patience.end();
        }
        // As the last one, so that nobody here waits for a log that hangs.
        scribe::stop();
    }
}

impl Child {
    /// The open WebSockets, as `stop` may ask for them: under prefork, `None` when the thread that it interrupts has the lock.
    fn open_at_end(&self) -> Option<Vec<Arc<Connection>>> {
        let connections = match httpd::mpm::is_threaded() {
            true => lock(&self.connections),
            false => match self.connections.try_lock() {
                Ok(connections) => connections,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return None,
            },
        };
        Some(connections.open())
    }
}

impl Occupant for Child {
    fn close(&self, request: &CloseRequest) {
        let connection = lock(&self.connections).open.get(&request.id).cloned();
        let code = CloseCode::from_wire(request.code, ReservedCloseCodes::Refuse);
        if let (Some(connection), Some(code)) = (connection.as_ref().and_then(Weak::upgrade), code)
        {
            let frame = CloseFrame::new(code, &request.reason);
            connection.session().close(Some(&frame), ClosedBy::Operator);
        }
    }

    fn look_at_callbacks(&self) {
        self.figures.look_at_callbacks(|number, take| {
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

    fn threads(&self) -> Threads {
        match &self.reactor {
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
