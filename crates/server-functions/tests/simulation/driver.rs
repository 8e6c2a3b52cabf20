//! Who takes a session's turns: workers that get edges, or one thread that stays with it and polls.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use session::Wait;
use session::edges::{Driven, Edges};

use crate::child::locked;
use crate::connection::Connection;
use crate::poller::{Asked, Happening, Poller};
use crate::world::World;

pub struct Driver {
    pub world: Arc<World>,
    pub poller: Arc<Poller>,
    pub edges: Edges,
    /// The task that stays with the connection; `None` with workers.
    pub own_task: Option<AtomicUsize>,
    timer: Mutex<Option<Instant>>,
}

impl Driver {
    pub fn new(world: &Arc<World>, poller: &Arc<Poller>, is_blocking: bool) -> Self {
        Driver {
            world: Arc::clone(world),
            poller: Arc::clone(poller),
            edges: Edges::default(),
            own_task: is_blocking.then(|| AtomicUsize::new(usize::MAX)),
            timer: Mutex::default(),
        }
    }

    pub fn drive(&self, connection: &Connection) {
        let mut buffer = vec![0; 1024];
        match &self.own_task {
            Some(own_task) => {
                own_task.store(this_task(), Ordering::SeqCst);
                self.stay(connection, &mut buffer);
            }
            None => self.work(connection, &mut buffer),
        }
    }

    fn work(&self, connection: &Connection, buffer: &mut [u8]) {
        let session = &connection.session;
        while let Some(happening) = self.poller.next() {
            let runs = match happening {
                Happening::Edge {
                    is_writable,
                    is_hung_up,
                    is_broken,
                } => {
                    if is_broken {
                        session.peer_is_gone();
                    }
                    let runs = self.edges.begin(is_hung_up);
                    if !runs && is_writable {
                        session.resume();
                    }
                    runs
                }
                Happening::Job => {
                    let runs = self.edges.begin_queued(false);
                    if !runs {
                        session.resume();
                    }
                    runs
                }
                Happening::Expired => {
                    *locked(&self.timer) = None;
                    self.set_timer(session.expire());
                    self.edges.begin(false)
                }
            };
            if runs {
                self.edges.run(&mut Turns { connection, buffer });
            }
        }
    }

    fn stay(&self, connection: &Connection, buffer: &mut [u8]) {
        let mut is_broken = false;
        while !connection.child.is_dead() {
            match self.turn(connection, buffer, false) {
                Wait::Again => {}
                Wait::For {
                    input,
                    output,
                    deadline,
                    ..
                } => {
                    let end = !is_broken;
                    if self.poller.wait(Asked { input, output, end }, deadline) {
                        is_broken = true;
                        connection.session.peer_is_gone();
                    }
                }
                Wait::Ended => return,
            }
        }
    }

    fn turn(&self, connection: &Connection, buffer: &mut [u8], is_hung_up: bool) -> Wait {
        let wait = connection.session.turn(buffer, is_hung_up);
        if wait == Wait::Ended
            && let Some(socket) = connection.session.take_transport()
        {
            self.world
                .tell(|| format!("the session of {} has ended", connection.name));
            self.poller.disarm();
            socket.shut();
            connection.is_over.store(true, Ordering::SeqCst);
            self.poller.stop();
        }
        wait
    }

    pub fn set_timer(&self, deadline: Option<Instant>) {
        let Some(deadline) = deadline else { return };
        let mut timer = locked(&self.timer);
        if timer.is_none_or(|set| deadline < set) {
            *timer = Some(deadline);
            self.poller.set_timer(deadline);
        }
    }
}

/// The turns of one worker.
struct Turns<'a> {
    connection: &'a Connection,
    buffer: &'a mut [u8],
}

impl Driven for Turns<'_> {
    fn turn(&mut self, is_hung_up: bool) -> Wait {
        let driver = &self.connection.session.environment().driver;
        let wait = driver.turn(self.connection, self.buffer, is_hung_up);
        if let Wait::For {
            deadline,
            is_new: true,
            ..
        } = wait
        {
            driver.set_timer(deadline);
        }
        wait
    }

    fn queue(&mut self) {
        self.connection.poller.job();
    }
}

pub fn this_task() -> usize {
    usize::from(shuttle::current::me())
}
