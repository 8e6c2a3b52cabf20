//! Nobody can take a step: what must be so then, and what happens next.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::child::{Child, Town, locked};
use crate::connection::Connection;
use crate::journal::{self, TOPICS};

/// The timekeeper.
pub struct Rest {
    town: Arc<Town>,
    ring: usize,
    is_closing: bool,
}

/// A world that lives on beyond this is stuck.
const LONG: Duration = Duration::from_secs(60);

impl Rest {
    pub fn new(town: &Arc<Town>, ring: usize) -> Self {
        Rest {
            town: Arc::clone(town),
            ring,
            is_closing: false,
        }
    }

    /// Lets the time pass until something happens. Says whether anything is going to.
    pub fn goes_on(&mut self) -> bool {
        let connections = self.town.connections();
        self.is_at_rest(&connections);
        if self.ends_drained() {
            return true;
        }
        let world = Arc::clone(&self.town.world);
        let timers = connections
            .iter()
            .filter(|connection| !connection.is_over.load(Ordering::SeqCst));
        let timers = timers.filter_map(|connection| connection.poller.timer());
        let next = timers.chain(world.state().next_moment()).min();
        let Some(next) = next else {
            return self.closes();
        };
        let due = {
            let mut state = world.state();
            state.now = state.now.max(next);
            assert!(state.now < LONG, "the world does not end");
            state.take_due()
        };
        for sleeper in due {
            sleeper.wake();
        }
        let pollers = locked(&self.town.pollers).clone();
        for poller in pollers {
            poller.look();
            poller.time_has_passed();
        }
        true
    }

    /// Nothing more happens by itself: everybody goes. Says whether somebody was still there.
    fn closes(&mut self) -> bool {
        if std::mem::replace(&mut self.is_closing, true) {
            let connections = self.town.connections();
            let left = connections
                .iter()
                .find(|connection| !connection.is_over.load(Ordering::SeqCst));
            assert!(
                left.is_none(),
                "{} does not end",
                left.map_or("", |left| &left.name)
            );
            return false;
        }
        self.town
            .world
            .tell(|| "nothing more happens: all drain".to_owned());
        self.town.is_closing.store(true, Ordering::SeqCst);
        let children = locked(&self.town.children).clone();
        for child in children {
            self.town.drain(&child);
        }
        true
    }

    /// Children that have drained end. Says whether there were any.
    fn ends_drained(&self) -> bool {
        let children = locked(&self.town.children).clone();
        let has_drained = |child: &Arc<Child>| {
            let is_over = |connection: &Arc<Connection>| connection.is_over.load(Ordering::SeqCst);
            child.is_draining.load(Ordering::SeqCst) && child.connections().iter().all(is_over)
        };
        let drained: Vec<_> = children.into_iter().filter(has_drained).collect();
        for child in &drained {
            self.town
                .world
                .tell(|| format!("child {} ends", child.owner.0));
            self.town.forget(child);
        }
        !drained.is_empty()
    }

    /// Nobody may be waiting for something that is possible.
    fn is_at_rest(&self, connections: &[Arc<Connection>]) {
        if let Some(promise) = &*locked(&self.town.broken_promise) {
            panic!("{promise}");
        }
        if self.town.log.figures().used > self.ring as u64 / 2 {
            self.town.world.mark("the log is full");
        }
        let children = locked(&self.town.children).clone();
        for child in children.iter().filter(|child| !child.is_dead()) {
            let is_waiting = child.bell.is_waiting.load(Ordering::SeqCst);
            assert!(
                is_waiting,
                "child {} does not deliver, and does not wait",
                child.owner.0
            );
        }
        let is_open = |connection: &&Arc<Connection>| {
            !connection.is_over.load(Ordering::SeqCst) && !connection.child.is_dead()
        };
        let connections: Vec<_> = connections.iter().filter(is_open).collect();
        for connection in &connections {
            connection.waits_within_bounds();
            if connection.is_idle.load(Ordering::SeqCst) {
                self.is_served(connection);
            }
        }
        self.are_members_right(&connections);
    }

    /// A client that has read everything, and reads on, has got everything.
    fn is_served(&self, connection: &Connection) {
        let (session, name) = (&connection.session, &connection.name);
        let is_under_way = {
            let state = connection.world.state();
            state.is_reset || state.outward.next_arrival().is_some() || state.outward.has_arrived()
        };
        if is_under_way || session.has_ended() {
            return;
        }
        let waiting = session.buffered();
        assert_eq!(waiting, 0, "bytes wait for {name}, which takes them");
        assert!(
            !connection.attendance.has_letters(),
            "letters wait for {name}, which has room"
        );
        for model in &mut *locked(&connection.models) {
            if connection.may_miss_volatile() {
                model.may_miss_volatile();
            }
            model.is_complete(&self.town.journal, name);
            for &topic in &model.topics {
                if let Some(count) = model.members(topic) {
                    let members = self
                        .town
                        .log
                        .members(&journal::topic(topic))
                        .expect("the log is there");
                    assert_eq!(
                        count as usize,
                        members.len(),
                        "{name} knows of so many members of /{topic}"
                    );
                }
            }
        }
    }

    /// The members of each topic are those who are there.
    fn are_members_right(&self, connections: &[&Arc<Connection>]) {
        for topic in 0..TOPICS {
            let members = self.town.log.members(&journal::topic(topic));
            let mut members = members.expect("the log is there");
            let there = connections
                .iter()
                .filter(|it| locked(&it.memberships).contains(&topic));
            let mut there: Vec<String> = there.map(|connection| connection.name.clone()).collect();
            members.sort();
            there.sort();
            assert_eq!(members, there, "the members of /{topic}");
        }
    }
}
