//! A child's part in topics.

use std::fmt;
use std::sync::{Arc, Mutex};

use httpd::mpm;
use httpd::server::Server;
use server_functions::{Ringer, Topics};
use session::Receiver;
use subscribers::Hub;
use topics::{
    ChildFigures, ClaimError, Flags, Futex, Kind, LockError, Log, Message, PublishError, Published,
    Publisher, Topic, TopicFigures,
};

use super::deliverer::Deliverer;
use super::memory;
use crate::lock::{lock, lock_at_end};

/// A child's part in topics. Its seat at the log, and the thread that delivers, it has from its first subscriber on: most
/// children of prefork never have one.
pub struct Exchange {
    log: Option<Log<'static>>,
    /// Where there is a log.
    ringer: Option<Arc<Ringer<Futex>>>,
    running: Mutex<State>,
}

enum State {
    /// Nobody has subscribed yet.
    Quiet,
    /// It has its seat, which it keeps, and no thread yet: the first subscriber's could not be started.
    Seated(Arc<Hub>),
    Running(Arc<Hub>, Deliverer),
    /// The child ends.
    Stopped,
}

/// Why there are no topics.
#[derive(Clone, Copy)]
pub enum Unavailable {
    /// There is no log.
    NoLog,
    NoSeat(ClaimError),
    Lock(LockError),
    NoThread,
    Stopping,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unavailable::NoLog => f.write_str("there is no shared memory for topics"),
            Unavailable::NoSeat(error) => error.fmt(f),
            Unavailable::Lock(error) => error.fmt(f),
            Unavailable::NoThread => f.write_str("no thread to deliver messages"),
            Unavailable::Stopping => f.write_str("the child stops"),
        }
    }
}

impl Exchange {
    /// For the child that begins.
    pub fn new(server: Server<'_>) -> Self {
        let log = memory::find(server);
        let ringer = |log| Arc::new(Ringer::new(Publisher::new(log, Futex)));
        Exchange {
            log,
            ringer: log.map(ringer),
            running: Mutex::new(State::Quiet),
        }
    }

    /// The log, without those who have died.
    pub fn log(&self) -> Result<&Log<'static>, Unavailable> {
        let log = self.log.as_ref().ok_or(Unavailable::NoLog)?;
        memory::settle(log);
        Ok(log)
    }

    /// The child's subscribers, to whom a thread delivers from now on.
    pub fn hub(&self) -> Result<Arc<Hub>, Unavailable> {
        let mut running = lock(&self.running);
        let hub = match &*running {
            State::Running(hub, _) => return Ok(Arc::clone(hub)),
            State::Stopped => return Err(Unavailable::Stopping),
            State::Seated(hub) => Arc::clone(hub),
            State::Quiet => {
                let log = *self.log()?;
                let seat = log.claim(memory::this(), memory::is_alive);
                // It has swept: others hear who has left.
                log.ring(&Futex);
                let hub = Hub::new(log, seat.map_err(Unavailable::NoSeat)?, Futex);
                Arc::new(hub.fetching(httpd::cache::fetch))
            }
        };
        // From here on the seat is this child's until it ends: another try does not take another one.
        *running = State::Seated(Arc::clone(&hub));
        let reader = hub.reader().map_err(Unavailable::Lock)?;
        let deliverer = Deliverer::start(*self.log()?, Arc::clone(&hub), reader);
        let deliverer = deliverer.map_err(|_| Unavailable::NoThread)?;
        *running = State::Running(Arc::clone(&hub), deliverer);
        Ok(hub)
    }

    /// Publishes to a topic. `key`: the same message with the same key is published once; `gather` as for
    /// [`Ringer::publish`].
    pub fn publish(
        &self,
        topic: &Topic,
        kind: Kind,
        payload: &[u8],
        key: Option<&str>,
        gather: &dyn Fn(Arc<dyn Receiver>) -> bool,
    ) -> Result<Published, PublishError> {
        let message = Message {
            topic,
            kind,
            flags: Flags::default(),
            origin: 0,
            time: subscribers::terms::now(),
            key,
            payload,
        };
        Topics::publish(self, &message, gather)
    }

    fn running(&self) -> Option<Arc<Hub>> {
        match &*lock(&self.running) {
            State::Running(hub, _) => Some(Arc::clone(hub)),
            State::Seated(_) | State::Quiet | State::Stopped => None,
        }
    }

    /// The most bytes of a message.
    pub fn most_payload(&self) -> usize {
        let publisher = self.log.map(|log| Publisher::new(log, Futex));
        publisher.map_or(0, |publisher| publisher.most_payload())
    }

    /// The figures of all topics; `None` when there are none. `count`: how many topics are listed, those to which
    /// most was published.
    pub fn figures(&self, count: usize) -> Option<figures::Topics> {
        let log = *self.log().ok()?;
        let all = log.figures();
        let child = |child: &ChildFigures| (memory::pid(child.owner), child.lag);
        Some(figures::Topics {
            published: all.latest.0.saturating_sub(all.notices),
            delivered: all.counted.delivered,
            dropped: all.counted.dropped,
            gaps: all.counted.gaps,
            resumed: all.counted.resumed,
            known: all.topics,
            most: all.most_topics,
            evicted: all.evictions,
            used: all.used,
            memory: all.room,
            children: all.children.iter().map(child).collect(),
            list: list(&log, count),
        })
    }

    /// Ends the thread. prefork calls this from a signal handler, on any thread and at any instruction: there the thread is
    /// not waited for, and ends with the process.
    pub fn stop(&self) {
        let Some(mut running) = lock_at_end(&self.running) else {
            return;
        };
        let state = std::mem::replace(&mut *running, State::Stopped);
        drop(running);
        if let State::Running(_, deliverer) = state {
            deliverer.stop(mpm::is_threaded());
        }
    }
}

/// What plugins do with topics.
impl Topics for Exchange {
    fn log(&self) -> Result<Log<'static>, String> {
        Exchange::log(self).copied().map_err(|why| why.to_string())
    }

    fn hub(&self) -> Result<Arc<Hub>, String> {
        Exchange::hub(self).map_err(|why| why.to_string())
    }

    fn running(&self) -> Option<Arc<Hub>> {
        Exchange::running(self)
    }

    fn publish(
        &self,
        message: &Message<'_>,
        gather: &dyn Fn(Arc<dyn Receiver>) -> bool,
    ) -> Result<Published, PublishError> {
        let ringer = self.ringer.as_ref().ok_or(PublishError::NoLog)?;
        ringer.publish(message, gather)
    }
}

/// So many topics, those to which most was published.
fn list(log: &Log<'_>, count: usize) -> Vec<figures::Topic> {
    if count == 0 {
        return Vec::new();
    }
    // When the lock is not to be had, the list is empty, and the rest is there.
    let busiest = log.impatient().busiest(count).unwrap_or_default();
    let topic = |topic: TopicFigures| figures::Topic {
        name: topic.name,
        subscribers: topic.subscribers,
        published: topic.published,
        delivered: topic.counted.delivered,
        dropped: topic.counted.dropped,
        gaps: topic.counted.gaps,
        resumed: topic.counted.resumed,
    };
    busiest.into_iter().map(topic).collect()
}
