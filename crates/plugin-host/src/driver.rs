//! Drives one connection on the reactor's threads, from its 101 until the peer has ended, too.

use std::io::Read as _;
use std::net::TcpStream;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use reactor::{Readiness, Registration, RoomWait, Scratch, Source};
use session::edges::{Driven, Edges};
use session::sync::lock;
use session::{Ending, Wait, buffers};

use crate::connection::Connection;
use crate::host::Host;
use crate::transport::Transport;

/// How long to read what a peer still sends after our end of the connection.
pub const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// Drives one connection.
pub struct Driver {
    connection: Arc<Connection>,
    /// The transport's, which is there while there are callbacks.
    socket: RawFd,
    edges: Edges,
    room: RoomWait,
    registration: OnceLock<Registration>,
    /// When the registration's timer expires, which is then not later than the deadline.
    timer: Mutex<Option<Instant>>,
    /// The WebSocket has ended; its peer may still send, until the time is over.
    lingering: Mutex<Option<(TcpStream, Instant)>>,
}

impl Driver {
    /// Opens the connection on its transport, and begins to wait for it.
    pub fn start(host: &Arc<Host>, connection: &Arc<Connection>, transport: Transport) {
        let driver = Arc::new(Driver {
            connection: Arc::clone(connection),
            socket: transport.as_raw_fd(),
            edges: Edges::default(),
            room: RoomWait::default(),
            registration: OnceLock::new(),
            timer: Mutex::new(None),
            lingering: Mutex::new(None),
        });
        let session = connection.session();
        // Called once, so that it is not set already.
        let _ = session.environment().driver.set(Arc::downgrade(&driver));
        let Ok(registration) = host.reactor.attach(driver.clone()) else {
            session.fail_to_open();
            return;
        };
        let registration = driver.registration.get_or_init(|| registration);
        let socket = Socket(driver.socket);
        session.open(transport);
        if registration.arm(&socket).is_err() {
            registration.deregister();
            session.give_up(Ending::Internal);
        }
    }

    /// Asks for a turn soon.
    pub fn wake(&self) {
        self.room.wake();
        // Before there is a registration nobody comes; arming it brings the first turn.
        if self.registration.get().is_some() && self.edges.queue() {
            self.notify();
        }
    }

    /// A callback waits for room.
    pub fn wait_to_write(&self, deadline: Option<Instant>) {
        self.room.wait(&Socket(self.socket), deadline);
    }

    /// Sends the job that takes a turn behind those of others; `self.edges` asks for one at a time.
    fn notify(&self) {
        if let Some(registration) = self.registration.get() {
            // A reactor that has stopped takes no more turns.
            let _ = registration.notify();
        }
    }

    /// Has a turn taken at `deadline`, or earlier.
    pub fn set_timer(&self, deadline: Option<Instant>) {
        if let (Some(deadline), Some(registration)) = (deadline, self.registration.get()) {
            let mut timer = lock(&self.timer);
            if timer.is_none_or(|set| deadline < set) {
                *timer = Some(deadline);
                registration.set_timer(deadline.saturating_duration_since(Instant::now()));
            }
        }
    }

    /// Takes turns until there is nothing to do. The caller has been told to by `self.edges`.
    fn run(&self, scratch: &mut Scratch) {
        self.edges.run(&mut Turns {
            driver: self,
            buffer: scratch.bytes(buffers::INPUT),
        });
    }

    /// Throws away what the peer still sends, so that no reset destroys what it has not read yet.
    fn linger(&self, buffer: &mut [u8]) {
        let mut lingering = lock(&self.lingering);
        let Some((socket, until)) = lingering.as_mut() else {
            return;
        };
        // It may have been shut already.
        let _ = socket.shutdown(std::net::Shutdown::Write);
        let is_over = loop {
            match socket.read(buffer) {
                Ok(0) => break true,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break false,
                Err(_) => break true,
            }
        };
        if is_over || Instant::now() >= *until {
            self.leave();
            *lingering = None;
        } else {
            let until = *until;
            drop(lingering);
            self.set_timer(Some(until));
        }
    }

    /// Nothing is waited for any more.
    fn leave(&self) {
        if let Some(registration) = self.registration.get() {
            registration.deregister();
        }
    }
}

/// The turns that one thread takes.
struct Turns<'a> {
    driver: &'a Driver,
    buffer: &'a mut [u8],
}

impl Driven for Turns<'_> {
    fn turn(&mut self, is_hung_up: bool) -> Wait {
        let (driver, session) = (self.driver, self.driver.connection.session());
        if lock(&driver.lingering).is_some() {
            driver.linger(self.buffer);
            return Wait::Ended;
        }
        let wait = session.turn(self.buffer, is_hung_up);
        match wait {
            Wait::Again | Wait::For { is_new: false, .. } => {}
            Wait::For { deadline, .. } => driver.set_timer(deadline),
            Wait::Ended => {
                if let Some(transport) = session.take_transport() {
                    let until = Instant::now() + LINGER_TIMEOUT;
                    *lock(&driver.lingering) = Some((transport.into_socket(), until));
                    // What the peer has sent already is not reported again.
                    driver.linger(self.buffer);
                }
            }
        }
        wait
    }

    fn queue(&mut self) {
        self.driver.notify();
    }
}

/// A descriptor that the connection owns.
struct Socket(RawFd);

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

impl Source for Driver {
    fn ready(self: Arc<Self>, readiness: Readiness, scratch: &mut Scratch) {
        if readiness.intersects(Readiness::ERROR) {
            // Before a turn is taken: it may call back, and one that is under way may be blocked in `send`.
            self.connection.session().peer_is_gone();
        }
        let is_hung_up = readiness.intersects(Readiness::HANGUP);
        let runs = match readiness.contains(Readiness::NOTIFIED) {
            true => self.edges.begin_queued(is_hung_up),
            false => self.edges.begin(is_hung_up),
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
