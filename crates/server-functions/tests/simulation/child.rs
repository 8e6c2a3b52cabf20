//! The children of a server: each has its seat at the log, its subscribers and the thread that delivers to them.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use server_functions::Ringer;
use shuttle::thread::JoinHandle;
use subscribers::Hub;
use topics::{Batch, Log, Owner, Publisher, Reader};

use crate::connection::Connection;
use crate::journal::Journal;
use crate::memory::{Bells, OwnBell};
use crate::poller::Poller;
use crate::world::World;

/// All that the parts of a world share.
pub struct Town {
    pub world: Arc<World>,
    pub journal: Journal,
    pub log: Log<'static>,
    pub bells: Bells,
    pub children: Mutex<Vec<Arc<Child>>>,
    /// Where what is under way arrives, be its child there or not.
    pub pollers: Mutex<Vec<Arc<Poller>>>,
    /// Every task, to be joined in the end.
    pub tasks: Mutex<Vec<JoinHandle<()>>>,
    /// No client comes any more.
    pub is_closing: AtomicBool,
    /// Which promise was found broken where a session, or the thread that delivers, would have survived the panic.
    pub broken_promise: Mutex<Option<String>>,
    next_owner: AtomicU64,
    pub next_origin: AtomicU64,
}

/// One child.
pub struct Child {
    pub owner: Owner,
    pub hub: Arc<Hub>,
    pub bell: OwnBell,
    pub ringer: Arc<Ringer<OwnBell>>,
    pub connections: Mutex<Vec<Arc<Connection>>>,
    pub is_dead: AtomicBool,
    pub is_draining: AtomicBool,
    deliverer: Mutex<Option<JoinHandle<()>>>,
}

impl Town {
    pub fn new(world: &Arc<World>, log: Log<'static>) -> Arc<Self> {
        Arc::new(Town {
            world: Arc::clone(world),
            journal: Journal::default(),
            log,
            bells: Bells::default(),
            children: Mutex::default(),
            pollers: Mutex::default(),
            tasks: Mutex::default(),
            is_closing: AtomicBool::new(false),
            broken_promise: Mutex::default(),
            next_owner: AtomicU64::new(1),
            next_origin: AtomicU64::new(1),
        })
    }

    /// Spawns a part of the world.
    pub fn spawn(&self, part: impl FnOnce() + Send + 'static) {
        let task = shuttle::thread::spawn(part);
        locked(&self.tasks).push(task);
    }

    /// A new child.
    pub fn start_child(&self) {
        let owner = self.next_owner.fetch_add(1, Ordering::SeqCst);
        let owner = Owner(NonZeroU64::new(owner).expect("it is not 0"));
        let seat = self.log.claim(owner, |owner| self.is_alive(owner));
        self.log.ring(&self.bells);
        let bell = OwnBell {
            bells: self.bells.clone(),
            is_waiting: Arc::default(),
        };
        let hub = Hub::new(self.log, seat.expect("there is a seat"), bell.clone());
        let reader = hub.reader().expect("the log is there");
        let child = Arc::new(Child {
            owner,
            hub: Arc::new(hub),
            ringer: Arc::new(Ringer::new(Publisher::new(self.log, bell.clone()))),
            bell,
            connections: Mutex::default(),
            is_dead: AtomicBool::new(false),
            is_draining: AtomicBool::new(false),
            deliverer: Mutex::default(),
        });
        let its = Arc::clone(&child);
        *locked(&child.deliverer) = Some(shuttle::thread::spawn(move || its.deliver(reader)));
        self.world.tell(|| format!("child {} begins", owner.0));
        locked(&self.children).push(child);
    }

    fn is_alive(&self, owner: Owner) -> bool {
        let children = locked(&self.children);
        children
            .iter()
            .any(|child| child.owner == owner && !child.is_dead())
    }

    /// A child that takes connections; `None` when there is none.
    pub fn some_child(&self) -> Option<Arc<Child>> {
        let all = locked(&self.children).clone();
        let open: Vec<_> = all
            .into_iter()
            .filter(|child| !child.is_dead() && !child.is_draining.load(Ordering::SeqCst))
            .collect();
        let chosen = self
            .world
            .draw(|chance| chance.below(open.len().max(1) as u64));
        open.into_iter().nth(chosen as usize)
    }

    /// A child dies, wherever it is, and the parent hears of it. What its tasks go on to do nobody sees: their connections
    /// are gone, and so is their seat.
    pub fn kill(&self, child: &Child) {
        self.world.tell(|| format!("child {} dies", child.owner.0));
        self.world.mark("a child dies");
        child.is_dead.store(true, Ordering::SeqCst);
        for connection in child.connections() {
            connection.dies();
        }
        self.forget(child);
    }

    /// A child has ended, or is dead: its reader goes, then its seat.
    pub fn forget(&self, child: &Child) {
        child.is_dead.store(true, Ordering::SeqCst);
        child.hub.ring();
        let deliverer = locked(&child.deliverer).take();
        if let Some(deliverer) = deliverer {
            deliverer
                .join()
                .expect("the thread that delivers has failed");
        }
        let gone = self.log.sweep(|owner| self.is_alive(owner));
        if gone.expect("the log is there") > 0 {
            self.log.ring(&self.bells);
        }
        locked(&self.children).retain(|other| other.owner != child.owner);
        let connections = std::mem::take(&mut *locked(&child.connections));
        drop(connections);
    }

    /// A child drains: its WebSockets are closed, and it delivers until they are.
    pub fn drain(&self, child: &Child) {
        self.world
            .tell(|| format!("child {} drains", child.owner.0));
        child.is_draining.store(true, Ordering::SeqCst);
        for connection in child.connections() {
            connection.session.drain_at(self.world.instant());
        }
    }

    pub fn connections(&self) -> Vec<Arc<Connection>> {
        let children = locked(&self.children).clone();
        let all = children.iter().flat_map(|child| child.connections());
        all.collect()
    }
}

impl Child {
    pub fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::SeqCst)
    }

    pub fn connections(&self) -> Vec<Arc<Connection>> {
        locked(&self.connections).clone()
    }

    fn deliver(&self, mut reader: Reader<'static>) {
        let mut batch = Batch::new();
        while !self.is_dead() {
            let has_read = self.hub.pump(&mut reader, &mut batch);
            if !has_read {
                let most = Duration::from_secs(1);
                self.hub.wait(&reader, most, || self.is_dead());
            }
        }
    }
}

/// Locks for a moment without a step in between.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
