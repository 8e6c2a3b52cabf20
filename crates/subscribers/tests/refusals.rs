//! Outlets that have no room, or go, in the wrong moment.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak, mpsc};
use std::time::Duration;

use subscribers::{
    Attendance, Closing, Form, Hub, Letter, Message, Outlet, Refused, Since, Slow, Subscriber,
    Terms,
};
use support::{Mute, process, topic};
use topics::{Batch, Flags, Kind, Log, Publisher, Reader};

struct World {
    log: Log<'static>,
    hub: Arc<Hub>,
    reader: Reader<'static>,
}

const OWN: u64 = 7;
const TERMS: Terms = Terms {
    form: Form::Json,
    slow: Slow::Close,
    messages: 1000,
    age: None,
    is_told_of_members: false,
    origin: OWN,
};

impl World {
    fn new() -> Self {
        let (log, hub, reader) = process(8);
        let hub = Arc::new(hub);
        World { log, hub, reader }
    }

    fn publish(&self, name: &str, text: &str, flags: Flags) {
        let message = topics::Message {
            topic: &topic(name),
            kind: Kind::Text,
            flags,
            origin: OWN,
            time: 0,
            key: None,
            payload: text.as_bytes(),
        };
        Publisher::new(self.log, Mute).publish(&message).unwrap();
    }

    fn say(&self, name: &str, text: &str) {
        self.publish(name, text, Flags::default());
    }

    fn pump(&mut self) {
        let mut batch = Batch::new();
        while self.hub.pump(&mut self.reader, &mut batch) {}
    }

    /// Somebody publishes, and does not get it; and then others do elsewhere, until that is overwritten.
    fn bury_an_own_message(&mut self) {
        let exclude_origin = true;
        let flags = Flags {
            exclude_origin,
            ..Flags::default()
        };
        self.publish("a", "own", flags);
        for _ in 0..2_000 {
            self.say("elsewhere", "x");
            self.pump();
        }
    }
}

/// An outlet with room for so many bytes.
struct Peer {
    room: AtomicUsize,
    texts: Mutex<Vec<String>>,
    closed: Mutex<Option<Closing>>,
    /// What happens while it takes the next message.
    meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    attendance: Attendance,
}

impl Peer {
    fn new(room: usize) -> Arc<Self> {
        Arc::new(Peer {
            room: AtomicUsize::new(room),
            texts: Mutex::default(),
            closed: Mutex::default(),
            meanwhile: Mutex::default(),
            attendance: Attendance::new(OWN, 1 << 20),
        })
    }

    fn as_outlet(self: &Arc<Self>) -> Weak<dyn Outlet> {
        let this: Weak<Peer> = Arc::downgrade(self);
        this
    }

    fn has_room_for(&self, bytes: usize) {
        self.room.store(bytes, Ordering::Relaxed);
    }

    fn meanwhile(&self, happens: impl FnOnce() + Send + 'static) {
        *self.meanwhile.lock().unwrap() = Some(Box::new(happens));
    }

    fn has_gap(&self) -> bool {
        let texts = self.texts.lock().unwrap();
        texts
            .iter()
            .any(|text| text.contains("\"recovered\":false"))
    }

    fn has(&self, text: &str) -> bool {
        let texts = self.texts.lock().unwrap();
        texts.iter().any(|one| one.contains(text))
    }
}

impl Outlet for Peer {
    fn take(&self, message: Message<'_>) -> Result<(), Refused> {
        let payload = match message {
            Message::ToMany(message) => message.payload(),
            Message::ToOne(_, _, payload) => payload,
        };
        let happens = self.meanwhile.lock().unwrap().take();
        if let Some(happens) = happens {
            happens();
        }
        let room = self.room.load(Ordering::Relaxed);
        if room == 0 {
            return Err(Refused::Full);
        }
        self.has_room_for(room.saturating_sub(payload.len()));
        let text = String::from_utf8(payload.to_vec()).unwrap();
        self.texts.lock().unwrap().push(text);
        Ok(())
    }

    fn deliver(&self, _: &Arc<Letter>) -> Result<(), Refused> {
        Err(Refused::Ended)
    }

    fn flush(&self) {}

    fn has_ample_room(&self) -> bool {
        self.room.load(Ordering::Relaxed) > 500
    }

    fn call_again(&self) {}

    fn close(&self, why: Closing) {
        self.closed.lock().unwrap().get_or_insert(why);
    }
}

const AMPLE: usize = 1 << 20;

#[test]
fn a_connection_may_go_while_something_is_delivered_to_it() {
    let mut world = World::new();
    let peer = Peer::new(AMPLE);
    let (hub, outlet) = (Arc::clone(&world.hub), peer.as_outlet());
    let subscribed = peer
        .attendance
        .subscribe(&hub, &topic("a"), Since::Now, None, TERMS, outlet);
    assert_eq!(subscribed.ok(), Some(true));
    // As a handshake that is refused goes, with what its on_connect has subscribed to.
    let holder = Arc::new(Mutex::new(None));
    let its = Arc::clone(&holder);
    peer.meanwhile(move || drop(its.lock().unwrap().take()));
    *holder.lock().unwrap() = Some(peer);
    world.say("a", "x");
    let (is_done, done) = mpsc::channel();
    std::thread::spawn(move || {
        world.pump();
        is_done.send(world.hub.subscribers(&topic("a")).unwrap())
    });
    let subscribers = done.recv_timeout(Duration::from_secs(20));
    assert_eq!(
        subscribers,
        Ok(0),
        "the thread that delivers waits for itself"
    );
}

#[test]
fn who_finds_no_room_at_first_is_greeted_later() {
    let mut world = World::new();
    let peer = Peer::new(0);
    let (hub, outlet) = (Arc::clone(&world.hub), peer.as_outlet());
    let subscribed = peer
        .attendance
        .subscribe(&hub, &topic("a"), Since::Now, None, TERMS, outlet);
    assert_eq!(subscribed.ok(), Some(true));
    world.say("a", "first");
    world.pump();
    assert_eq!(peer.texts.lock().unwrap().len(), 0);
    peer.has_room_for(AMPLE);
    peer.attendance.go_on();
    world.say("a", "second");
    world.pump();
    let texts = peer.texts.lock().unwrap();
    assert!(texts[0].contains("\"topics\""), "{texts:?}");
    assert!(texts[1].contains("first") && texts[2].contains("second"));
    assert_eq!(texts.len(), 3);
}

/// A subscriber with ample room.
fn one_of(slow: Slow) -> (World, Arc<Peer>, Arc<Subscriber>) {
    let (world, peer) = (World::new(), Peer::new(AMPLE));
    let (topics, terms) = (vec![topic("a")], Terms { slow, ..TERMS });
    let subscriber = world.hub.subscribe(topics, None, terms, peer.as_outlet());
    (world, peer, subscriber.unwrap())
}

#[test]
fn an_own_message_that_is_overwritten_is_no_gap_for_who_gets_the_newest() {
    let (mut world, peer, subscriber) = one_of(Slow::Latest);
    world.bury_an_own_message();
    peer.has_room_for(0);
    world.say("a", "the only one");
    world.pump();
    peer.has_room_for(AMPLE);
    world.hub.go_on(&subscriber);
    assert!(peer.has("the only one") && !peer.has_gap());
    assert_eq!(world.log.figures().counted.gaps, 0);
}

#[test]
fn nor_for_who_is_passed_by() {
    let (mut world, peer, subscriber) = one_of(Slow::Drop);
    // One is dropped, so that there is something to be told.
    peer.has_room_for(0);
    world.say("a", "dropped");
    world.pump();
    peer.has_room_for(AMPLE);
    world.bury_an_own_message();
    let ((is_inside, inside), (go, gone)) = (mpsc::channel(), mpsc::channel::<()>());
    peer.meanwhile(move || {
        is_inside.send(()).unwrap();
        gone.recv().unwrap();
    });
    let hub = Arc::clone(&world.hub);
    let goes_on = std::thread::spawn(move || hub.go_on(&subscriber));
    inside.recv().unwrap();
    world.say("a", "passes by");
    world.pump();
    go.send(()).unwrap();
    goes_on.join().unwrap();
    assert!(peer.has("\"dropped\":1") && peer.has("passes by") && !peer.has_gap());
    assert_eq!(world.log.figures().counted.gaps, 0);
}

#[test]
fn what_one_subscription_had_missed_makes_no_other_one_slow() {
    for order in [["live", "history"], ["history", "live"]] {
        let mut world = World::new();
        for _ in 0..50 {
            world.say("history", &"x".repeat(100));
        }
        world.pump();
        let peer = Peer::new(1_000);
        for name in order {
            let since = match name {
                "history" => Since::Last(50),
                _ => Since::Now,
            };
            let (hub, outlet) = (Arc::clone(&world.hub), peer.as_outlet());
            let subscribed =
                peer.attendance
                    .subscribe(&hub, &topic(name), since, None, TERMS, outlet);
            assert_eq!(subscribed.ok(), Some(true));
        }
        // The client has taken nothing yet.
        world.say("live", "now");
        world.pump();
        assert_eq!(*peer.closed.lock().unwrap(), None, "{order:?}");
        peer.has_room_for(AMPLE);
        peer.attendance.go_on();
        world.pump();
        assert!(peer.has("now"));
        // From here on it has kept up, and is slow when it does not.
        world.say("live", "later");
        world.pump();
        peer.has_room_for(0);
        world.say("live", "too much");
        world.pump();
        assert_eq!(*peer.closed.lock().unwrap(), Some(Closing::Slow));
    }
}
