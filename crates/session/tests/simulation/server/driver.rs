//! What the server's driver does: workers that get edges, or one thread that stays with the connection.

use std::sync::atomic::Ordering;
use std::time::Instant;

use session::Wait;
use session::edges::Driven;

use super::{NOBODY, Server, SimulatedSession, this_task};
use crate::poller::{Asked, Happening};
use crate::transport::INPUT;

impl Server {
    /// Takes turns as the poller says, until it stops.
    pub fn work(session: &SimulatedSession) {
        let server = session.environment();
        let mut buffer = vec![0; INPUT];
        while let Some(happening) = server.poller.next() {
            server.world.tell(|| format!("a worker gets {happening:?}"));
            let runs = match happening {
                Happening::Edge {
                    is_writable,
                    is_hung_up,
                    is_broken,
                } => {
                    if is_broken {
                        session.peer_is_gone();
                    }
                    if is_writable {
                        server.poller.tells_room();
                    }
                    let runs = server.edges.begin(is_hung_up);
                    if !runs && is_writable {
                        session.resume();
                    }
                    runs
                }
                Happening::Job => {
                    let runs = server.edges.begin_queued(false);
                    if !runs {
                        session.resume();
                    }
                    runs
                }
                Happening::Expired => {
                    *server.timer.lock().unwrap() = None;
                    server.set_timer(session.expire());
                    server.edges.begin(false)
                }
            };
            if runs {
                server.edges.run(&mut Turns {
                    session,
                    buffer: &mut buffer,
                });
            }
        }
    }

    /// Takes turns on the one thread that stays with the connection, and polls between them.
    pub fn stay(session: &SimulatedSession) {
        let server = session.environment();
        if let Some(own_task) = &server.own_task {
            own_task.store(this_task(), Ordering::SeqCst);
        }
        let mut buffer = vec![0; INPUT];
        let mut is_broken = false;
        loop {
            match server.turn(session, &mut buffer, false) {
                Wait::Again => {}
                Wait::For {
                    input,
                    output,
                    deadline,
                    ..
                } => {
                    let asked = Asked {
                        input,
                        output,
                        end: !is_broken,
                    };
                    if server.poller.wait(asked, deadline) {
                        is_broken = true;
                        session.peer_is_gone();
                    }
                    server.world.tell(|| format!("the poll for {asked:?} ends"));
                    if output {
                        server.poller.tells_room();
                    }
                }
                Wait::Ended => return,
            }
        }
    }

    /// Whether the calling task is the one that stays with the connection.
    pub(super) fn is_own_task(&self) -> bool {
        let own_task = self.own_task.as_ref();
        own_task.is_some_and(|own_task| own_task.load(Ordering::SeqCst) == this_task())
    }

    fn turn(&self, session: &SimulatedSession, buffer: &mut [u8], is_hung_up: bool) -> Wait {
        *self.turn_begins.lock().unwrap() = None;
        self.turn_task.store(this_task(), Ordering::SeqCst);
        let wait = session.turn(buffer, is_hung_up);
        self.turn_task.store(NOBODY, Ordering::SeqCst);
        let wakes = self.wakes.load(Ordering::SeqCst);
        if matches!(wait, Wait::For { .. }) && wakes != self.wakes_seen.load(Ordering::SeqCst) {
            self.world.mark("a wake during a last look");
        }
        self.world.tell(|| format!("a turn says {wait:?}"));
        if wait == Wait::Ended
            && let Some(socket) = session.take_transport()
        {
            self.poller.disarm();
            socket.shut();
            self.has_ended.store(true, Ordering::SeqCst);
        }
        wait
    }

    pub(super) fn set_timer(&self, deadline: Option<Instant>) {
        let Some(deadline) = deadline else { return };
        let mut timer = self.timer.lock().unwrap();
        if timer.is_none_or(|set| deadline < set) {
            *timer = Some(deadline);
            self.poller.set_timer(deadline);
        }
    }
}

/// The turns of one worker.
struct Turns<'a> {
    session: &'a SimulatedSession,
    buffer: &'a mut [u8],
}

impl Driven for Turns<'_> {
    fn turn(&mut self, is_hung_up: bool) -> Wait {
        let server = self.session.environment();
        let wait = server.turn(self.session, self.buffer, is_hung_up);
        if let Wait::For {
            deadline,
            is_new: true,
            ..
        } = wait
        {
            server.set_timer(deadline);
        }
        wait
    }

    fn queue(&mut self) {
        self.session.environment().poller.job();
    }
}
