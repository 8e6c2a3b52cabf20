//! The event driver: the reactor waits for the socket, and the worker thread that made the connection goes back
//! to httpd. For asynchronous MPMs (event).
//!
//! The handler makes a driver and lays it on the connection as its suspension ([`EventDriver::suspend`]); the
//! suspend_connection hook arms it, not before, because the MPM still uses the connection
//! when the handler has returned, and only when the MPM says that it is suspended. From then on the reactor calls, and the driver takes turns, until the WebSocket
//! has ended; then it writes the access log, lingers until the peer has ended too, and destroys the connection.

use std::io::ErrorKind;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use httpd::log::Subject;
use httpd::module::Module;
use httpd::mpm;
use httpd::request::Request;
use httpd::suspension::Suspension;
use httpd::upgraded::{Remains, Upgraded};
use reactor::{Readiness, Registration, RoomWait, Scratch, Source};
use session::edges::{Driven, Edges};
use session::{Ending, Wait, buffers};

use crate::child::Child;
use crate::lock::lock;
use crate::log::{self, Level, Tag, scribe};
use crate::symbol::websocket_module;
use crate::websocket::connection::Connection;
use crate::websocket::driver::Driver;

/// How long to read what a peer still sends after our end of the connection.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);
/// How long after its suspension a connection is destroyed at the earliest. The worker thread that has suspended it
/// makes two more stores into it, and nothing tells when: a matter of nanoseconds, unless the thread has lost its
/// processor just there. Nobody waits for this but the memory of connections that were short.
const SETTLE: Duration = Duration::from_secs(2);

/// Drives one connection on the reactor's threads.
pub struct EventDriver {
    child: Arc<Child>,
    connection: Arc<Connection>,
    socket: RawFd,
    /// What is left of the connection is one thread's at a time: whose turns they are, and what is due.
    edges: Edges,
    /// Where a callback waits that is blocked in `send`.
    room: RoomWait,
    registration: OnceLock<Registration>,
    suspended: OnceLock<Instant>,
    /// When the registration's timer expires, which is then not later than the deadline.
    timer: Mutex<Option<Instant>>,
    /// The poller has refused the socket, so that the next turn ends the WebSocket.
    is_unwatched: AtomicBool,
    /// Set when `phase` is no longer `Open`, so that the open connection's turns need no lock.
    has_ended: AtomicBool,
    phase: Mutex<Phase>,
}

/// How far the connection below is.
enum Phase {
    /// The handler has not returned.
    New(Upgraded),
    /// The WebSocket has the connection.
    Open,
    /// The WebSocket has ended; the peer may still send, until the time is over.
    Lingering(Remains, Instant),
    /// The connection has been destroyed, or will be.
    Gone,
}

impl EventDriver {
    /// Suspends the connection of a request that has switched protocols; the handler then returns `Suspended`.
    pub fn suspend(
        request: &Request<'_>,
        child: &Arc<Child>,
        connection: &Arc<Connection>,
    ) -> Result<(), httpd::apr::Status> {
        // SAFETY: the handler returns Suspended, and what has been suspended is destroyed by `reap` only, which
        // owns the value by then.
        let upgraded = unsafe { Upgraded::new(request, &websocket_module) }?;
        let driver = Arc::new(EventDriver {
            child: Arc::clone(child),
            connection: Arc::clone(connection),
            socket: upgraded.socket(),
            edges: Edges::default(),
            room: RoomWait::default(),
            registration: OnceLock::new(),
            suspended: OnceLock::new(),
            timer: Mutex::new(None),
            is_unwatched: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
            phase: Mutex::new(Phase::New(upgraded)),
        });
        // SAFETY: the handler returns Suspended; the module leaves drivers of this type only.
        unsafe { request.suspend(driver) };
        Ok(())
    }

    /// Begins to wait for the socket: the worker thread has given the connection up.
    fn arm(self: Arc<Self>) {
        let Phase::New(mut upgraded) = std::mem::replace(&mut *self.phase(), Phase::Open) else {
            return;
        };
        let _ = self.suspended.set(Instant::now());
        // SAFETY: this is the suspend_connection hook; the connection is destroyed by this driver, not by the MPM.
        unsafe {
            upgraded.leave_scoreboard();
            upgraded.trim();
        }
        // A child that stops without grace may have closed it by now, and the number may be another file's.
        upgraded.ask_for_socket();
        let socket = Socket(upgraded.socket());
        let this: Arc<dyn Driver> = self.clone();
        self.connection.open(upgraded, Arc::downgrade(&this));
        self.child.add(&self.connection);
        let Some(reactor) = self.child.reactor() else {
            return;
        };
        let Ok(registration) = reactor.attach(self.clone()) else {
            // The child is ending, and may have looked for open connections already.
            self.connection.terminate();
            return;
        };
        let registration = self.registration.get_or_init(|| registration);
        // Behind it: who asks from now on finds the registration.
        if self.edges.is_queued() {
            self.notify();
        }
        match registration.arm(&socket) {
            // The poller will say when there is room, and nobody has set the timer for when there is none.
            Ok(()) if self.connection.session().is_stalled() => self.wake(),
            Ok(()) => {}
            // A turn that was asked for has ended the WebSocket, and what was left of it, before the poller knew of it.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                // A child that stops without grace closes the sockets that its workers have, as this one was until now
                // (`close_worker_sockets` in event.c): the end of the child is the WebSocket's, and no fault.
                let is_closed = error.raw_os_error() == Some(libc::EBADF) && mpm::is_stopping();
                let level = if is_closed { Level::Info } else { Level::Error };
                self.connection
                    .log(level, Tag::NotWatched, || not_watched(&error));
                // For the thread that has the turn, or the next one: the plugin may have asked for one already.
                self.is_unwatched.store(true, Ordering::Release);
                self.wake();
            }
        }
    }

    /// Takes turns until there is nothing to do. The caller has been told to by `self.edges`.
    fn run(self: &Arc<Self>, scratch: &mut Scratch) {
        self.edges.run(&mut Turns {
            driver: self,
            buffer: scratch.bytes(buffers::INPUT),
        });
    }

    /// Sends the job that takes a turn behind those of others; `self.edges` asks for one at a time.
    fn notify(&self) {
        if let Some(registration) = self.registration.get() {
            // A reactor that has stopped takes no more turns.
            let _ = registration.notify();
        }
    }

    /// Has [`Source::expired`] called at `deadline`, or earlier. A timer that is set already and comes early costs
    /// one turn, once in a while; setting it anew for each message would cost each of them.
    #[inline]
    fn set_timer(&self, deadline: Option<Instant>) {
        if let Some(deadline) = deadline {
            let timer = lock(&self.timer);
            if timer.is_none_or(|set| deadline < set) {
                self.set_earlier(timer, deadline);
            }
        }
    }

    #[cold]
    fn set_earlier(&self, mut timer: MutexGuard<'_, Option<Instant>>, deadline: Instant) {
        if let Some(registration) = self.registration.get() {
            *timer = Some(deadline);
            registration.set_timer(deadline.saturating_duration_since(Instant::now()));
        }
    }

    /// The WebSocket has ended: has the access log written, and then waits for the peer's end, so that no reset
    /// destroys what it has not read yet.
    fn close(self: &Arc<Self>) {
        let Some(upgraded) = self.connection.take_upgraded() else {
            return;
        };
        let this = Arc::clone(self);
        // SAFETY: `arm` has come after the suspension, and the connection's last turn is over: its plugin has had
        // its on_disconnect, and nobody else uses the request.
        unsafe { scribe::end(upgraded, move |remains| this.closed(remains)) };
    }

    /// The request has ended.
    fn closed(self: &Arc<Self>, remains: Remains) {
        *self.phase() = Phase::Lingering(remains, Instant::now() + LINGER_TIMEOUT);
        self.has_ended.store(true, Ordering::Release);
        Driver::wake(&**self);
    }

    /// Throws away what the peer still sends, until it ends or the time is over.
    fn linger(self: &Arc<Self>) {
        let mut phase = self.phase();
        if let Phase::Lingering(remains, deadline) = &mut *phase {
            if !remains.drain() && Instant::now() < *deadline && !self.child.leaves() {
                self.set_timer(Some(*deadline));
                return;
            }
            let over = std::mem::replace(&mut *phase, Phase::Gone);
            // Other modules' cleanups run in there.
            drop(phase);
            if let Phase::Lingering(remains, _) = over {
                self.reap(remains);
            }
        }
    }

    /// Destroys the connection, once the thread that has suspended it is certainly done with it.
    fn reap(self: &Arc<Self>, remains: Remains) {
        if let Some(registration) = self.registration.get() {
            registration.deregister();
        }
        let settled = self
            .suspended
            .get()
            .map_or_else(Instant::now, |&suspended| suspended + SETTLE);
        let early = settled.saturating_duration_since(Instant::now());
        if early.is_zero() {
            // SAFETY: nobody but this value knows the connection any more, and the MPM has stored what it stores.
            unsafe { remains.destroy() };
            return;
        }
        if let Some(reactor) = self.child.reactor() {
            let this = Arc::clone(self);
            // When the reactor has stopped, the process ends, and the connection with it.
            let _ = reactor.run_after(early, Box::new(move || this.reap(remains)));
        }
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        lock(&self.phase)
    }
}

impl Suspension for EventDriver {
    fn module() -> &'static Module {
        &websocket_module
    }

    fn suspended(self: Arc<Self>) {
        self.arm();
    }

    fn swallowed(self: Arc<Self>) {
        let phase = std::mem::replace(&mut *self.phase(), Phase::Gone);
        if let Phase::New(upgraded) = phase {
            let (level, reason) = match upgraded.is_aborted() {
                true => (Level::Info, "the client vanished"),
                false => (
                    Level::Warn,
                    "another module keeps the connection from being suspended",
                ),
            };
            log::log(
                &Subject::Upgraded(&upgraded),
                level,
                Tag::OpenFailed,
                || format!("the WebSocket ended before it was open: {reason}"),
            );
            self.connection.session().fail_to_open();
        }
    }
}

/// The turns that one thread takes.
struct Turns<'a> {
    driver: &'a Arc<EventDriver>,
    buffer: &'a mut [u8],
}

impl Driven for Turns<'_> {
    fn turn(&mut self, is_hung_up: bool) -> Wait {
        let driver = self.driver;
        if driver.has_ended.load(Ordering::Acquire) {
            driver.linger();
            return Wait::Ended;
        }
        if driver.is_unwatched.load(Ordering::Acquire) {
            let ending = match mpm::is_stopping() {
                true => Ending::ChildStopped,
                false => Ending::Internal,
            };
            driver.connection.session().give_up(ending);
        }
        let mut wait = driver.connection.session().turn(self.buffer, is_hung_up);
        if driver.child.leaves() && !matches!(wait, Wait::Ended) {
            // It has been told; the peer's answer is not waited for.
            driver.connection.session().give_up(Ending::ChildStopped);
            wait = driver.connection.session().turn(self.buffer, is_hung_up);
        }
        match wait {
            Wait::Ended => driver.close(),
            Wait::Again | Wait::For { is_new: false, .. } => {}
            Wait::For { deadline, .. } => driver.set_timer(deadline),
        }
        wait
    }

    fn queue(&mut self) {
        self.driver.notify();
    }
}

impl Source for EventDriver {
    fn ready(self: Arc<Self>, readiness: Readiness, scratch: &mut Scratch) {
        if readiness.intersects(Readiness::ERROR) {
            // Before a turn is taken: it may call back, and one that is under way may be blocked in `send`.
            self.connection.session().peer_is_gone();
        }
        let is_hung_up = readiness.intersects(Readiness::HANGUP);
        let runs = if readiness.contains(Readiness::NOTIFIED) {
            self.edges.begin_queued(is_hung_up)
        } else {
            self.edges.begin(is_hung_up)
        };
        if runs {
            self.run(scratch);
        } else if readiness.is_writable() || readiness.contains(Readiness::NOTIFIED) {
            // Even while a callback has the turn: it may be blocked in `send`, waiting for just this; and a thread may have left
            // output to the turn that was asked for. Behind the edges' word: what this has to leave, too, gets a job of its own.
            self.connection.session().resume();
        }
    }

    fn expired(self: Arc<Self>, scratch: &mut Scratch) {
        *lock(&self.timer) = None;
        // Set here, because the turn that comes may have to wait for one that is blocked in `send`.
        self.set_timer(self.connection.session().expire());
        self.ready(Readiness::EMPTY, scratch);
    }
}

impl Driver for EventDriver {
    fn wake(&self) {
        self.room.wake();
        // Before there is a registration nobody is sent the job; `arm` sends it once there is one.
        if self.edges.queue() {
            self.notify();
        }
    }

    fn stalled(&self, deadline: Option<Instant>) {
        // The poller says when there is room; the timer, when there has been none for too long.
        self.set_timer(deadline);
    }

    fn wait_to_write(&self, deadline: Option<Instant>) {
        // A thread of the reactor's that reports the edge does no harm, and need not be there.
        self.room.wait(&Socket(self.socket), deadline);
    }

    fn terminated(&self) {
        if let Some(upgraded) = self.connection.take_upgraded() {
            // SAFETY: as in `close`; no reactor thread knows the connection, or all have ended.
            unsafe { scribe::end(upgraded, drop) };
        }
    }
}

/// What it means that the poller does not take a socket.
fn not_watched(error: &std::io::Error) -> String {
    let reason = match error.kind() {
        ErrorKind::StorageFull => {
            ": all that the system lets this user watch is watched already (sysctl fs.epoll.max_user_watches)"
        }
        ErrorKind::OutOfMemory => ": the system is out of memory",
        _ => "",
    };
    format!("the WebSocket is closed, because its socket cannot be waited for: {error}{reason}")
}

/// A descriptor that the connection owns.
struct Socket(RawFd);

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}
