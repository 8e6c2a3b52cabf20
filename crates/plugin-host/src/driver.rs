//! Drives one connection on the reactor's threads, from its 101 until the peer has ended, too.

use std::io::Read as _;
use std::net::TcpStream;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use reactor::{Readiness, Registration, Source, Turn};
use session::sync::lock;
use session::{Ending, Wait};

use crate::connection::Connection;
use crate::host::Host;
use crate::transport::Transport;

/// How long to read what a peer still sends after our end of the connection.
pub const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// Drives one connection.
pub struct Driver {
    host: Arc<Host>,
    connection: Arc<Connection>,
    turn: Turn,
    registration: OnceLock<Registration>,
    /// When the registration's timer expires, which is then not later than the deadline.
    timer: Mutex<Option<Instant>>,
    is_hung_up: AtomicBool,
    /// The WebSocket has ended; its peer may still send, until the time is over.
    lingering: Mutex<Option<(TcpStream, Instant)>>,
}

impl Driver {
    /// Opens the connection on its transport, and begins to wait for it.
    pub fn start(host: &Arc<Host>, connection: &Arc<Connection>, transport: Transport) {
        let driver = Arc::new(Driver {
            host: Arc::clone(host),
            connection: Arc::clone(connection),
            turn: Turn::new(),
            registration: OnceLock::new(),
            timer: Mutex::new(None),
            is_hung_up: AtomicBool::new(false),
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
        let socket = Socket(transport.as_raw_fd());
        session.open(transport);
        if registration.arm(&socket).is_err() {
            registration.deregister();
            session.give_up(Ending::Internal);
        }
    }

    /// Asks for a turn soon.
    pub fn wake(&self) {
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

    /// Takes turns until there is nothing to do. The caller has `self.turn`.
    fn run(self: &Arc<Self>) {
        let mut buffer = self.host.buffers.take_input();
        loop {
            let is_hung_up = self.is_hung_up.load(Ordering::SeqCst);
            let is_lingering = lock(&self.lingering).is_some();
            let wait = match is_lingering {
                true => {
                    self.linger(&mut buffer);
                    None
                }
                false => Some(self.connection.session().turn(&mut buffer, is_hung_up)),
            };
            match wait {
                Some(Wait::Ended) => {
                    if let Some(transport) = self.connection.session().take_transport() {
                        let socket = transport.into_socket();
                        let until = Instant::now() + LINGER_TIMEOUT;
                        *lock(&self.lingering) = Some((socket, until));
                        continue;
                    }
                }
                Some(Wait::Again) => continue,
                Some(Wait::For { deadline, .. }) => self.set_timer(deadline),
                None => {}
            }
            if self.turn.finish().is_none() {
                break;
            }
        }
        self.host.buffers.give_input(buffer);
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

/// A descriptor that the connection owns.
struct Socket(RawFd);

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

impl Source for Driver {
    fn ready(self: Arc<Self>, readiness: Readiness) {
        if readiness.intersects(Readiness::HANGUP) {
            self.is_hung_up.store(true, Ordering::SeqCst);
        }
        if readiness.is_writable() {
            // Even while a callback has the turn: it may be blocked in `send`, waiting for just this.
            self.connection.session().resume();
        }
        if self.turn.begin(readiness) {
            self.run();
        }
    }

    fn expired(self: Arc<Self>) {
        *lock(&self.timer) = None;
        // Set here, because the turn that comes may have to wait for one that is blocked in `send`.
        self.set_timer(self.connection.session().expire());
        self.ready(Readiness::EMPTY);
    }
}
