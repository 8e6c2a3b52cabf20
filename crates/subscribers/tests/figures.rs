//! What is counted of each topic and in all; and what becomes of subscribers while another process has the log's lock.

mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak, mpsc};

use subscribers::{Closing, Form, Hub, Message, Outlet, Refused, Since, Slow, Subscriber, Terms};
use support::{Mute, process, topic};
use topics::{Batch, Counted, Flags, Kind, Log, Member, Publisher, Reader, Token};

/// One connection, which takes so many messages.
#[derive(Default)]
struct Peer {
    room: AtomicUsize,
    texts: Mutex<Vec<String>>,
    is_closed: AtomicBool,
    is_called: AtomicBool,
}

impl Outlet for Peer {
    fn take(&self, message: Message<'_>) -> Result<(), Refused> {
        let payload = match message {
            Message::ToMany(message) => message.payload(),
            Message::ToOne(_, _, payload) => payload,
        };
        let room = self.room.load(Ordering::Relaxed).checked_sub(1);
        self.room
            .store(room.ok_or(Refused::Full)?, Ordering::Relaxed);
        let text = str::from_utf8(payload).unwrap().to_owned();
        self.texts.lock().unwrap().push(text);
        Ok(())
    }

    fn flush(&self) {}

    fn has_ample_room(&self) -> bool {
        true
    }

    fn call_again(&self) {
        self.is_called.store(true, Ordering::Relaxed);
    }

    fn close(&self, _: Closing) {
        self.is_closed.store(true, Ordering::Relaxed);
    }
}

impl Peer {
    fn with_room(room: usize) -> Arc<Self> {
        let peer = Peer::default();
        peer.room.store(room, Ordering::Relaxed);
        Arc::new(peer)
    }

    fn texts(&self) -> Vec<String> {
        std::mem::take(&mut self.texts.lock().unwrap())
    }

    fn was_called(&self) -> bool {
        self.is_called.swap(false, Ordering::Relaxed)
    }

    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }
}

struct World {
    log: Log<'static>,
    hub: Hub,
    reader: Reader<'static>,
    batch: Batch,
}

const TERMS: Terms = Terms {
    form: Form::Plain,
    slow: Slow::Drop,
    messages: 1000,
    age: None,
    is_told_of_members: false,
    origin: 0,
};

impl World {
    fn new() -> Self {
        let (log, hub, reader) = process(8);
        World {
            log,
            hub,
            reader,
            batch: Batch::new(),
        }
    }

    fn subscribe(
        &self,
        peer: &Arc<Peer>,
        names: &[&str],
        since: Since,
        terms: Terms,
    ) -> Arc<Subscriber> {
        let weak: Weak<Peer> = Arc::downgrade(peer);
        let topics = names.iter().map(|name| topic(name)).collect();
        self.hub.subscribe(topics, since, terms, weak).unwrap()
    }

    /// What is published is delivered, too.
    fn publish(&mut self, name: &str, text: &str, retain: bool) -> Token {
        let published = Publisher::new(self.log, Mute).publish(&topics::Message {
            topic: &topic(name),
            kind: Kind::Text,
            flags: Flags {
                retain,
                ..Flags::default()
            },
            origin: 0,
            time: 0,
            key: None,
            payload: text.as_bytes(),
        });
        self.pump();
        Token {
            epoch: self.log.epoch(),
            id: published.unwrap().id,
        }
    }

    fn pump(&mut self) {
        while self.hub.pump(&mut self.reader, &mut self.batch) {}
    }

    /// Delivered, dropped, gaps and resumed of a topic.
    fn of(&self, name: &str) -> [u64; 4] {
        let history = self.log.history(&topic(name)).unwrap();
        four(history.map_or(Counted::default(), |history| history.counted()))
    }

    fn in_all(&self) -> [u64; 4] {
        four(self.log.figures().counted)
    }

    /// Does something while another thread has the lock, and does not go on.
    fn locked<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let log = self.log;
        let (begin, begun) = mpsc::channel();
        let (end, ends) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                log.hold_lock(|| {
                    begin.send(()).unwrap();
                    ends.recv().unwrap();
                });
            });
            begun.recv().unwrap();
            let result = work(self);
            end.send(()).unwrap();
            result
        })
    }
}

fn four(counted: Counted) -> [u64; 4] {
    let Counted {
        delivered,
        dropped,
        gaps,
        resumed,
    } = counted;
    [delivered, dropped, gaps, resumed]
}

#[test]
fn what_becomes_of_messages_is_counted_of_each_topic_and_in_all() {
    let mut world = World::new();
    let peer = Peer::with_room(3);
    let _both = world.subscribe(&peer, &["a", "b"], Since::Now, TERMS);
    let first = world.publish("a", "1", false);
    world.publish("b", "2", false);
    world.publish("a", "3", false);
    assert_eq!(peer.texts(), ["1", "2", "3"]);
    assert_eq!((world.of("a"), world.of("b")), ([2, 0, 0, 0], [1, 0, 0, 0]));

    // There is no room any more.
    world.publish("b", "4", false);
    world.publish("b", "5", false);
    world.publish("a", "6", false);
    assert_eq!((world.of("a"), world.of("b")), ([2, 1, 0, 0], [1, 2, 0, 0]));

    // Somebody comes back, and gets what there was: of b three, of a two.
    let back = Peer::with_room(99);
    let _back = world.subscribe(&back, &["b", "a"], Since::Id(first), TERMS);
    assert_eq!(back.texts(), ["2", "3", "4", "5", "6"]);
    assert_eq!((world.of("a"), world.of("b")), ([4, 1, 0, 1], [4, 2, 0, 1]));

    // Of a, it cannot be told what was missed; of b, nothing was.
    let late = world.publish("b", "7", false);
    world.publish("a", "8", false);
    assert_eq!(world.log.forget(&topic("a")), Ok(true));
    let lost = Peer::with_room(99);
    let lost_one = world.subscribe(&lost, &["a", "b"], Since::Id(late), TERMS);
    assert!(lost_one.has_lost());
    assert_eq!(
        (world.of("a"), world.of("b")),
        ([5, 2, 1, 1], [5, 3, 0, 1]),
        "the one without room has missed one more of each"
    );
    // In all, who has come back to two topics is one, and so is who has missed something.
    assert_eq!(world.in_all(), [10, 5, 1, 1]);
}

#[test]
fn what_a_slow_one_gets_the_newest_of_is_counted_as_well() {
    let mut world = World::new();
    let terms = Terms {
        slow: Slow::Latest,
        ..TERMS
    };
    let peer = Peer::with_room(0);
    let slow = world.subscribe(&peer, &["a", "b"], Since::Now, terms);
    for text in ["1", "2", "3"] {
        world.publish("a", text, false);
    }
    world.publish("b", "4", false);
    peer.room.store(99, Ordering::Relaxed);
    world.hub.go_on(&slow);
    assert_eq!(peer.texts(), ["3", "4"]);
    assert_eq!((world.of("a"), world.of("b")), ([1, 2, 0, 0], [1, 0, 0, 0]));
    assert_eq!(world.in_all(), [2, 2, 0, 0]);
}

#[test]
fn a_join_is_no_message_that_was_delivered() {
    let mut world = World::new();
    let terms = Terms {
        form: Form::Json,
        is_told_of_members: true,
        ..TERMS
    };
    let peer = Peer::with_room(99);
    let outlet: Weak<Peer> = Arc::downgrade(&peer);
    let ada = Member::new("Ada").unwrap();
    let topics = vec![topic("a")];
    let subscribed = world
        .hub
        .subscribe_as(Some((&ada, true)), topics, Since::Now, terms, outlet);
    let _subscribed = subscribed.unwrap();
    world.pump();
    assert_eq!(
        peer.texts().len(),
        2,
        "what it is subscribed to, and its own join"
    );
    assert_eq!(world.of("a"), [0; 4]);
    world.publish("a", "1", false);
    assert_eq!(
        (world.of("a"), world.in_all()),
        ([1, 0, 0, 0], [1, 0, 0, 0])
    );
}

#[test]
fn who_finds_the_lock_taken_goes_on_later() {
    let mut world = World::new();
    world.publish("a", "retained", true);
    let peer = Peer::with_room(0);
    // It is behind, since there was no room.
    let subscriber = world.subscribe(&peer, &["a"], Since::Now, TERMS);
    peer.room.store(99, Ordering::Relaxed);
    world.locked(|world| {
        world.hub.go_on(&subscriber);
        world.pump();
        assert!(!peer.is_closed(), "it may not be closed for it");
        assert!(!peer.was_called(), "it would find the same");
        assert!(peer.texts().is_empty());
    });
    world.pump();
    assert!(peer.was_called());
    world.hub.go_on(&subscriber);
    assert_eq!(peer.texts(), ["retained"]);
    world.publish("a", "live", false);
    assert_eq!(peer.texts(), ["live"]);
    world.pump();
    assert!(!peer.was_called() && !peer.is_closed());
}

#[test]
fn many_that_find_the_lock_taken_go_on_later() {
    let mut world = World::new();
    let peers = [(); 50].map(|()| Peer::with_room(0));
    let all: Vec<_> = peers
        .iter()
        .map(|peer| {
            let terms = Terms {
                slow: Slow::Latest,
                ..TERMS
            };
            world.subscribe(peer, &["a", "b"], Since::Now, terms)
        })
        .collect();
    world.publish("a", "1", false);
    world.publish("b", "2", false);
    world.locked(|world| {
        for (peer, subscriber) in peers.iter().zip(&all) {
            peer.room.store(99, Ordering::Relaxed);
            world.hub.go_on(subscriber);
        }
        world.pump();
    });
    world.pump();
    for (peer, subscriber) in peers.iter().zip(&all) {
        assert!(peer.was_called() && !peer.is_closed());
        world.hub.go_on(subscriber);
        assert_eq!(peer.texts(), ["1", "2"]);
    }
}

#[test]
fn who_leaves_while_the_lock_is_taken_is_counted_out_later() {
    let mut world = World::new();
    let member = Member::new("Ada").unwrap();
    let peer = Peer::with_room(99);
    let outlet: Weak<Peer> = Arc::downgrade(&peer);
    let topics = ["a", "b"].map(topic).into();
    let hub = &world.hub;
    let ada = hub
        .subscribe_as(Some((&member, true)), topics, Since::Now, TERMS, outlet)
        .unwrap();
    world.locked(|world| world.hub.leave(&ada));
    assert_eq!(
        world.log.members(&topic("a")).unwrap(),
        ["Ada"],
        "nobody knows yet"
    );
    world.pump();
    assert!(world.log.members(&topic("a")).unwrap().is_empty());
    for name in ["a", "b"] {
        assert_eq!(world.hub.subscribers(&topic(name)), Ok(0), "{name}");
    }
}
