//! What a subscriber is told that has little room.

mod support;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, Weak};

use subscribers::{Closing, Form, Hub, Message, Outlet, Refused, Since, Slow, Subscriber, Terms};
use support::{Mute, process, topic};
use topics::{Batch, Flags, Kind, Log, Member, Publisher, Reader};

/// A connection that takes a message whole while less than `limit` bytes wait.
struct Peer {
    limit: usize,
    waiting: Mutex<VecDeque<String>>,
}

impl Peer {
    fn new(limit: usize) -> Arc<Self> {
        Arc::new(Peer {
            limit,
            waiting: Mutex::default(),
        })
    }

    fn bytes(&self) -> usize {
        self.waiting.lock().unwrap().iter().map(String::len).sum()
    }

    fn take_all(&self) -> Vec<String> {
        self.waiting.lock().unwrap().drain(..).collect()
    }
}

impl Outlet for Peer {
    fn take(&self, message: Message<'_>) -> Result<(), Refused> {
        if self.bytes() >= self.limit {
            return Err(Refused::Full);
        }
        let payload = match message {
            Message::ToMany(message) => message.payload(),
            Message::ToOne(_, _, payload) => payload,
        };
        let text = str::from_utf8(payload).unwrap().to_owned();
        self.waiting.lock().unwrap().push_back(text);
        Ok(())
    }

    fn flush(&self) {}

    fn has_ample_room(&self) -> bool {
        self.bytes() <= self.limit / 2
    }

    fn call_again(&self) {}

    fn close(&self, why: Closing) {
        panic!("it is closed: {why:?}");
    }
}

struct World {
    log: Log<'static>,
    hub: Hub,
    reader: Reader<'static>,
}

const TERMS: Terms = Terms {
    form: Form::Json,
    slow: Slow::Drop,
    messages: 1000,
    age: None,
    is_told_of_members: true,
    origin: 7,
};

impl World {
    fn new() -> Self {
        let (log, hub, reader) = process(8);
        World { log, hub, reader }
    }

    fn subscribe(&self, peer: &Arc<Peer>, topics: &[&str], terms: Terms) -> Arc<Subscriber> {
        let weak: Weak<Peer> = Arc::downgrade(peer);
        let topics = topics.iter().map(|name| topic(name)).collect();
        self.hub.subscribe(topics, None, terms, weak).unwrap()
    }

    /// Somebody joins a topic.
    fn joins(&mut self, peer: &Arc<Peer>, name: &str) {
        let weak: Weak<Peer> = Arc::downgrade(peer);
        let terms = Terms {
            is_told_of_members: false,
            ..TERMS
        };
        let member = Member::new("Ada").unwrap();
        let member = Some((&member, false));
        let joined = self
            .hub
            .subscribe_as(member, vec![topic(name)], Since::Now, terms, weak);
        joined.unwrap();
        self.pump();
    }

    fn publish(&mut self, text: &str, flags: Flags, origin: u64) {
        let published = Publisher::new(self.log, Mute).publish(&topics::Message {
            topic: &topic("/a"),
            kind: Kind::Text,
            flags,
            origin,
            time: 0,
            key: None,
            payload: text.as_bytes(),
        });
        published.unwrap();
        self.pump();
    }

    fn pump(&mut self) {
        while self.hub.pump(&mut self.reader, &mut Batch::new()) {}
    }

    /// The peer takes everything, until nothing more comes.
    fn read(&self, peer: &Peer, subscriber: &Subscriber) -> Vec<String> {
        let mut all = Vec::new();
        for _ in 0..20 {
            let some = peer.take_all();
            if some.is_empty() {
                return all;
            }
            all.extend(some);
            self.hub.go_on(subscriber);
        }
        panic!("it does not end: {all:?}");
    }
}

const OWN: Flags = Flags {
    retain: false,
    volatile: false,
    exclude_origin: true,
    uncompressed: false,
};

#[test]
fn each_topic_s_members_are_told_once_even_if_there_is_room_for_one_at_a_time() {
    let mut world = World::new();
    let (peer, other) = (Peer::new(1), Peer::new(1 << 20));
    let subscriber = world.subscribe(&peer, &["/a", "/b"], TERMS);
    world.joins(&other, "/a");
    let told = world.read(&peer, &subscriber);
    let members = [
        r#"{"topic":"/a","members":1}"#,
        r#"{"topic":"/b","members":0}"#,
    ];
    assert_eq!(told[1..], members, "{told:?}");
}

#[test]
fn who_has_just_caught_up_and_has_no_room_for_a_notice_is_told_of_the_members_later() {
    let mut world = World::new();
    let (peer, other) = (Peer::new(60), Peer::new(1 << 20));
    let terms = Terms {
        slow: Slow::Close,
        ..TERMS
    };
    // What it is greeted with fills it by half.
    let subscriber = world.subscribe(&peer, &["/a"], terms);
    world.publish("hello, hello, hello", Flags::default(), 0);
    world.joins(&other, "/a");
    let told = world.read(&peer, &subscriber);
    let last = told.last().map(String::as_str);
    assert_eq!(last, Some(r#"{"topic":"/a","members":1}"#), "{told:?}");
}

#[test]
fn the_newest_is_the_newest_of_others() {
    let mut world = World::new();
    let peer = Peer::new(1);
    let terms = Terms {
        slow: Slow::Latest,
        ..TERMS
    };
    let subscriber = world.subscribe(&peer, &["/a"], terms);
    world.publish("another's", Flags::default(), 8);
    world.publish("its own", OWN, 7);
    let told = world.read(&peer, &subscriber);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].contains("another's"), "{told:?}");
}

#[test]
fn a_newcomer_is_not_shown_the_value_that_it_has_published_itself() {
    let mut world = World::new();
    let own_value = Flags {
        retain: true,
        ..OWN
    };
    world.publish("its own", own_value, 7);
    let shown = |world: &World, origin| {
        let peer = Peer::new(1 << 20);
        let terms = Terms { origin, ..TERMS };
        let subscriber = world.subscribe(&peer, &["/a"], terms);
        world.read(&peer, &subscriber).len()
    };
    assert_eq!(shown(&world, 8), 2);
    assert_eq!(shown(&world, 7), 1);
}
