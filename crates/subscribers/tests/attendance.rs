//! Subscriptions that come and go, and what they are told.

mod support;

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use subscribers::{
    Attendance, Closing, Form, Hub, Letter, MOST_TOPICS, News, NotSubscribed, Outlet, Refused,
    Since, Slow, Subscribing, Terms,
};
use support::{Mute, process, topic};
use topics::{
    Batch, EnterError, Epoch, Flags, Kind, Log, Member, Message, Publisher, Reader, Token,
};

/// One connection, which reads its letters when it likes.
struct Peer {
    attendance: Attendance,
    is_closed: AtomicBool,
    /// It asks for a turn.
    is_called: AtomicBool,
    /// The next letter makes it panic.
    panics: AtomicBool,
    flushes: AtomicU64,
}

impl Outlet for Peer {
    fn take(&self, _: subscribers::Message<'_>) -> Result<(), Refused> {
        Err(Refused::Ended)
    }

    fn deliver(&self, letter: &Arc<Letter>) -> Result<(), Refused> {
        assert!(!self.panics.swap(false, Ordering::Relaxed), "on purpose");
        self.attendance.put(letter)
    }

    fn flush(&self) {
        self.flushes.fetch_add(1, Ordering::Relaxed);
    }

    fn has_ample_room(&self) -> bool {
        self.attendance.has_ample_room()
    }

    fn call_again(&self) {
        self.is_called.store(true, Ordering::Relaxed);
    }

    fn close(&self, _: Closing) {
        self.is_closed.store(true, Ordering::Relaxed);
    }
}

struct World {
    log: Log<'static>,
    hub: Arc<Hub>,
    reader: Reader<'static>,
}

const TERMS: Terms = Terms {
    form: Form::Letters,
    slow: Slow::Drop,
    messages: 1000,
    age: None,
    is_told_of_members: true,
    origin: 0,
};

impl World {
    fn new() -> Self {
        let (log, hub, reader) = process(200);
        let hub = Arc::new(hub);
        World { log, hub, reader }
    }

    fn subscribe(
        &self,
        peer: &Arc<Peer>,
        name: &str,
        since: Since,
        member: Option<(&str, bool)>,
    ) -> Result<bool, NotSubscribed> {
        self.subscribe_with(TERMS, peer, name, since, member)
    }

    fn subscribe_with(
        &self,
        terms: Terms,
        peer: &Arc<Peer>,
        name: &str,
        since: Since,
        member: Option<(&str, bool)>,
    ) -> Result<bool, NotSubscribed> {
        let weak: Weak<Peer> = Arc::downgrade(peer);
        let member = member.map(|(text, is_unique)| (Member::new(text).unwrap(), is_unique));
        peer.attendance.subscribe(
            &self.hub,
            &topic(name),
            since,
            member
                .as_ref()
                .map(|(member, is_unique)| (member, *is_unique)),
            terms,
            weak,
        )
    }

    fn publish(&mut self, name: &str, text: &str, flags: Flags, origin: u64) -> Token {
        let published = Publisher::new(self.log, Mute).publish(&Message {
            topic: &topic(name),
            kind: Kind::Text,
            flags,
            origin,
            time: 0,
            key: None,
            payload: text.as_bytes(),
        });
        Token {
            epoch: self.log.epoch(),
            id: published.unwrap().id,
        }
    }

    fn say(&mut self, name: &str, text: &str) -> Token {
        self.publish(name, text, Flags::default(), 0)
    }

    fn pump(&mut self) {
        let mut batch = Batch::new();
        while self.hub.pump(&mut self.reader, &mut batch) {}
    }

    /// What a peer is told, in words.
    fn told(&mut self, peer: &Peer) -> Vec<String> {
        self.letters(peer)
            .iter()
            .map(|letter| words(letter))
            .collect()
    }

    fn letters(&mut self, peer: &Peer) -> Vec<Arc<Letter>> {
        self.pump();
        if peer.is_called.swap(false, Ordering::Relaxed) {
            peer.attendance.go_on();
        }
        waiting(peer)
    }
}

/// What waits for a peer.
fn waiting(peer: &Peer) -> Vec<Arc<Letter>> {
    let letters = std::iter::from_fn(|| peer.attendance.next());
    letters.map(|(letter, _)| letter).collect()
}

fn words(letter: &Letter) -> String {
    let topic = &letter.topic;
    match &letter.news {
        News::Message { payload, .. } => format!("{topic} {}", String::from_utf8_lossy(payload)),
        News::Joined(member, members) => format!("{topic} +{member} {members}"),
        News::Left(member, members) => format!("{topic} -{member} {members}"),
        News::Members(members) => format!("{topic} ={members}"),
        News::Dropped(count) => format!("{topic} dropped {count}"),
        News::Gap => format!("{topic} gap"),
    }
}

fn peer(origin: u64, room: usize) -> Arc<Peer> {
    Arc::new(Peer {
        attendance: Attendance::new(origin, room),
        is_closed: AtomicBool::new(false),
        is_called: AtomicBool::new(false),
        panics: AtomicBool::new(false),
        flushes: AtomicU64::new(0),
    })
}

const RETAIN: Flags = Flags {
    retain: true,
    volatile: false,
    exclude_origin: false,
    uncompressed: false,
};
const EXCLUDE: Flags = Flags {
    retain: false,
    exclude_origin: true,
    ..RETAIN
};
const VOLATILE: Flags = Flags {
    retain: false,
    volatile: true,
    ..RETAIN
};

#[test]
fn whoever_publishes_may_leave_itself_out() {
    let mut world = World::new();
    let (one, two) = (peer(1, 1 << 20), peer(2, 1 << 20));
    for peer in [&one, &two] {
        assert_eq!(world.subscribe(peer, "a", Since::Now, None), Ok(true));
    }
    let before = world.say("a", "before");
    world.publish("a", "mine", EXCLUDE, 1);
    world.say("a", "after");
    assert_eq!(world.told(&one), ["a before", "a after"]);
    assert_eq!(world.told(&two), ["a before", "a mine", "a after"]);
    // Also when it comes to it from the history.
    assert!(one.attendance.unsubscribe(&topic("a")));
    assert_eq!(
        world.subscribe(&one, "a", Since::Id(before), None),
        Ok(true)
    );
    assert_eq!(world.told(&one), ["a after"]);
}

#[test]
fn newcomers_get_what_is_retained_first_and_once() {
    let mut world = World::new();
    world.publish("a", "old", RETAIN, 0);
    let value = world.publish("a", "value", RETAIN, 0);
    world.say("a", "said");
    let newcomer = peer(1, 1 << 20);
    world.subscribe(&newcomer, "a", Since::Now, None).unwrap();
    assert_eq!(world.told(&newcomer), ["a value"]);
    // Of what it gets anyway, it gets nothing twice.
    let last = peer(2, 1 << 20);
    world.subscribe(&last, "a", Since::Last(2), None).unwrap();
    assert_eq!(world.told(&last), ["a value", "a said"]);
    let only = peer(3, 1 << 20);
    world.subscribe(&only, "a", Since::Last(1), None).unwrap();
    assert_eq!(world.told(&only), ["a value", "a said"]);
    // Who comes back has it already.
    let back = peer(4, 1 << 20);
    world.subscribe(&back, "a", Since::Id(value), None).unwrap();
    assert_eq!(world.told(&back), ["a said"]);
    world.publish("a", "next", RETAIN, 0);
    assert_eq!(world.told(&newcomer), ["a next"]);
}

#[test]
fn with_the_id_of_what_is_retained_nothing_comes_twice() {
    let mut world = World::new();
    for name in ["b", "a"] {
        world.publish(name, "value", RETAIN, 0);
    }
    let between = world.say("a", "said");
    let newcomer = peer(1, 1 << 20);
    for name in ["a", "b"] {
        world.subscribe(&newcomer, name, Since::Now, None).unwrap();
    }
    let letters = world.letters(&newcomer);
    assert_eq!(letters.len(), 2);
    for letter in letters {
        assert_eq!(letter.id, between);
        let back = peer(2, 1 << 20);
        world
            .subscribe(&back, &letter.topic, Since::Id(letter.id), None)
            .unwrap();
        assert_eq!(world.told(&back), [""; 0]);
    }
}

#[test]
fn with_the_id_of_any_letter_nothing_is_lost_untold() {
    let mut world = World::new();
    let slow = peer(1, 250);
    world.subscribe(&slow, "a", Since::Now, None).unwrap();
    for number in 0..6 {
        world.say("a", &format!("{number:0100}"));
    }
    let other = peer(2, 1 << 20);
    let ada = Some(("Ada", true));
    world.subscribe(&other, "a", Since::Now, ada).unwrap();
    // A notice has found no room, behind messages that were dropped; the thread that delivers is the first that finds room.
    let mut letters = world.letters(&slow);
    world.say("a", "last");
    letters.extend(world.letters(&slow));
    let told: Vec<_> = letters.iter().map(|letter| words(letter)).collect();
    let (there, then) = told.split_at(told.len() - 3);
    assert!(there.iter().all(|text| text.starts_with("a 0")), "{told:?}");
    let dropped = 6 - there.len();
    assert_eq!(
        then,
        [&*format!("a dropped {dropped}"), "a =1", "a last"],
        "what an id stands for is told before the id"
    );
    let since = Since::Id(letters[letters.len() - 2].id);
    let back = peer(3, 1 << 20);
    world.subscribe(&back, "a", since, None).unwrap();
    assert_eq!(world.told(&back), ["a last"]);
}

#[test]
fn what_was_missed_comes_or_is_lost() {
    let mut world = World::new();
    let first = world.say("a", "1");
    for text in ["2", "3"] {
        world.say("a", text);
    }
    world.publish("a", "volatile", VOLATILE, 0);
    let one = peer(1, 1 << 20);
    assert_eq!(world.subscribe(&one, "a", Since::Id(first), None), Ok(true));
    assert_eq!(world.told(&one), ["a 2", "a 3"]);
    let other = Token {
        epoch: Epoch(NonZeroU64::MAX),
        ..first
    };
    let two = peer(2, 1 << 20);
    assert_eq!(
        world.subscribe(&two, "a", Since::Id(other), None),
        Ok(false)
    );
    world.say("a", "4");
    assert_eq!(world.told(&two), ["a 4"]);
    let three = peer(3, 1 << 20);
    assert_eq!(world.subscribe(&three, "a", Since::Last(2), None), Ok(true));
    assert_eq!(world.told(&three), ["a 3", "a 4"]);
}

#[test]
fn members_hear_of_each_other_and_leave_with_their_connection() {
    let mut world = World::new();
    let (one, two) = (peer(1, 1 << 20), peer(2, 1 << 20));
    world
        .subscribe(&one, "a", Since::Now, Some(("Ada", true)))
        .unwrap();
    let taken = world.subscribe(&two, "a", Since::Now, Some(("Ada", true)));
    let why = Subscribing::NoMember(EnterError::Taken);
    assert_eq!(taken, Err(NotSubscribed::Refused(why)));
    let count = world
        .log
        .history(&topic("a"))
        .unwrap()
        .unwrap()
        .subscribers();
    assert_eq!(count, 1, "who is refused is not counted");
    world
        .subscribe(&two, "a", Since::Now, Some(("Bob", true)))
        .unwrap();
    assert_eq!(world.told(&one), ["a +Ada 1", "a +Bob 2"]);
    assert_eq!(world.told(&two), ["a +Bob 2"]);
    two.attendance.end();
    assert_eq!(world.told(&one), ["a -Bob 1"]);
    assert_eq!(world.log.members(&topic("a")).unwrap(), ["Ada"]);
    // Nobody subscribes after the end, and who is dropped has ended.
    let late = world.subscribe(&two, "a", Since::Now, None);
    assert_eq!(late, Err(NotSubscribed::Ended));
    drop(one);
    assert!(world.log.members(&topic("a")).unwrap().is_empty());
}

#[test]
fn there_are_so_many_topics_and_each_once() {
    let world = World::new();
    let one = peer(1, 1 << 20);
    for number in 0..MOST_TOPICS {
        let name = number.to_string();
        assert_eq!(world.subscribe(&one, &name, Since::Now, None), Ok(true));
    }
    let again = world.subscribe(&one, "7", Since::Now, None);
    assert_eq!(again, Err(NotSubscribed::Twice));
    let more = world.subscribe(&one, "more", Since::Now, None);
    assert_eq!(more, Err(NotSubscribed::Refused(Subscribing::TooMany)));
    assert!(one.attendance.unsubscribe(&topic("7")));
    assert!(!one.attendance.unsubscribe(&topic("7")));
    assert_eq!(world.subscribe(&one, "more", Since::Now, None), Ok(true));
}

#[test]
fn a_slow_one_is_told_what_it_has_lost_and_how_many_there_are() {
    let mut world = World::new();
    let (slow, other) = (peer(1, 500), peer(2, 1 << 20));
    world
        .subscribe(&slow, "a", Since::Now, Some(("slow", true)))
        .unwrap();
    for number in 0..20 {
        world.say("a", &format!("{number:0100}"));
    }
    world.pump();
    world
        .subscribe(&other, "a", Since::Now, Some(("other", true)))
        .unwrap();
    let mut told = world.told(&slow);
    slow.attendance.go_on();
    world.say("a", "end");
    told.extend(world.told(&slow));
    let whole = told.iter().filter(|told| told.starts_with("a 0")).count();
    let is_counted = |told: &String| told.starts_with("a dropped ");
    let lost: usize = told
        .iter()
        .filter(|told| is_counted(told))
        .map(|told| told["a dropped ".len()..].parse::<usize>().unwrap())
        .sum();
    // The join of the other is nothing that was published, and told of in another way.
    assert_eq!(whole + lost, 20, "{told:?}");
    assert_eq!(told.last().unwrap(), "a end");
    assert!(told.contains(&"a =2".to_owned()), "{told:?}");
}

/// A process that has had no subscribers for long has not read either: that is no loss of those who come.
#[test]
fn who_comes_after_an_overrun_has_lost_nothing() {
    let mut world = World::new();
    let text = "x".repeat(1000);
    for _ in 0..200 {
        world.say("b", &text);
    }
    let one = peer(1, 1 << 20);
    world
        .subscribe(&one, "a", Since::Now, Some(("Ada", true)))
        .unwrap();
    world.say("a", "said");
    assert_eq!(world.told(&one), ["a +Ada 1", "a said"]);
    // Whoever is there is told how many members there are.
    for _ in 0..200 {
        world.say("b", &text);
    }
    world.say("a", "more");
    assert_eq!(world.told(&one), ["a more", "a =1"]);
}

/// Its history is longer than what it takes at once, so that it is live behind its own join. Notices are in no history.
#[test]
fn a_join_that_its_own_history_has_overtaken_is_told() {
    let mut world = World::new();
    for number in 0..20 {
        world.say("a", &format!("{number:0100}"));
    }
    world.pump();
    let one = peer(1, 500);
    world
        .subscribe(&one, "a", Since::Last(20), Some(("Ada", true)))
        .unwrap();
    let mut told = Vec::new();
    while told.len() < 20 {
        let letters = std::iter::from_fn(|| one.attendance.next());
        told.extend(letters.map(|(letter, _)| words(&letter)));
        one.attendance.go_on();
    }
    assert_eq!(told.len(), 20, "{told:?}");
    assert_eq!(world.told(&one), ["a =1"]);
    // Others' joins from before its own beginning are none of its.
    let two = peer(2, 1 << 20);
    world.subscribe(&two, "a", Since::Now, None).unwrap();
    assert!(world.told(&two).is_empty());
    world.say("a", "end");
    assert_eq!(world.told(&one), ["a end"]);
    assert_eq!(world.told(&two), ["a end"]);
}

/// One that has just been behind is not closed for that; a notice that found no room then is in no history.
#[test]
fn a_notice_that_finds_no_room_is_told_as_a_number() {
    let terms = Terms {
        slow: Slow::Close,
        ..TERMS
    };
    let mut numbers = 0;
    // In one of these rooms there is just none any more behind the history.
    for room in (2_000..5_000).step_by(50) {
        let mut world = World::new();
        for number in 0..20 {
            world.say("a", &format!("{number:0100}"));
        }
        world.pump();
        let (slow, other) = (peer(1, room), peer(2, 1 << 20));
        world
            .subscribe_with(terms, &slow, "a", Since::Last(20), None)
            .unwrap();
        world
            .subscribe(&other, "a", Since::Now, Some(("Ada", true)))
            .unwrap();
        let mut told = world.told(&slow);
        slow.attendance.go_on();
        told.extend(world.told(&slow));
        assert!(!slow.is_closed.load(Ordering::Relaxed));
        let last = told.last().unwrap();
        assert!(["a +Ada 1", "a =1"].contains(&&**last), "{room}: {last}");
        numbers += usize::from(last == "a =1");
    }
    assert!(numbers > 0);
}

/// What fills its outlet was its history; once it has taken that, it is as slow as any other.
#[test]
fn one_that_has_caught_up_is_closed_when_it_is_slow() {
    let mut world = World::new();
    for number in 0..20 {
        world.say("a", &format!("{number:0100}"));
    }
    world.pump();
    let terms = Terms {
        slow: Slow::Close,
        ..TERMS
    };
    let slow = peer(1, 4_000);
    world
        .subscribe_with(terms, &slow, "a", Since::Last(20), None)
        .unwrap();
    assert_eq!(world.told(&slow).len(), 20);
    for number in 0..60 {
        world.say("a", &format!("{number:0100}"));
    }
    world.pump();
    assert!(slow.is_closed.load(Ordering::Relaxed));
}

#[test]
fn one_whose_outlet_panics_keeps_nothing_from_the_others() {
    let mut world = World::new();
    let peers = [peer(1, 1 << 20), peer(2, 1 << 20), peer(3, 1 << 20)];
    for peer in &peers {
        world.subscribe(peer, "a", Since::Now, None).unwrap();
    }
    peers[1].panics.store(true, Ordering::Relaxed);
    for text in ["1", "2"] {
        world.say("a", text);
    }
    world.pump();
    world.say("a", "3");
    for number in [0, 2] {
        assert_eq!(world.told(&peers[number]), ["a 1", "a 2", "a 3"]);
    }
    assert!(world.told(&peers[1]).is_empty());
    assert!(peers[1].is_closed.load(Ordering::Relaxed));
    let flushes = peers.map(|peer| peer.flushes.load(Ordering::Relaxed));
    // One as it came, one for each round that had something for it.
    assert_eq!([flushes[0], flushes[2]], [3, 3]);
}
