//! A client's connection with a child, on the child's side: its session, and what it is subscribed to, as in the module.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use server_functions::letters;
use session::{Buffers, ClosedBy};
use subscribers::{
    Attendance, Closing, Form, Letter, Message, News, Outlet, Refused, Since, Slow, Subscriber,
    Terms,
};
use topics::{Epoch, Flags, Member, RecordId, Token};
use websocket_proto::{CloseCode, CloseFrame, MessageBudget, MessageKind};

use crate::child::{Child, Town, locked};
use crate::driver::Driver;
use crate::journal::{self, TOPICS};
use crate::model::Model;
use crate::poller::Poller;
use crate::promises::Promises;
use crate::server::{Server, SimulatedSession};
use crate::settings::Settings;
use crate::transport::Socket;
use crate::world::World;

/// What a client is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Of a Location for topics, with `topics.json`.
    Json,
    /// The same without.
    Plain,
    /// A plugin's, which looks at each message.
    Plugin,
}

/// What a client wants.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub client: usize,
    pub kind: Kind,
    pub slow: Slow,
    pub topics: Vec<usize>,
    /// How many messages it may have missed.
    pub messages: usize,
    /// It is told of members.
    pub hears_of_members: bool,
    /// It is a member, of what it subscribes to by its plugin.
    pub is_member: bool,
}

/// One connection.
pub struct Connection {
    pub name: String,
    pub wanted: Wanted,
    pub town: Arc<Town>,
    pub world: Arc<World>,
    pub child: Arc<Child>,
    pub poller: Arc<Poller>,
    pub session: SimulatedSession,
    /// What its client knows of: one of a listener, one for each topic of a plugin's.
    pub models: Mutex<Vec<Model>>,
    /// Nobody drives it any more.
    pub is_over: AtomicBool,
    /// Its client has read everything, and has nothing else to do.
    pub is_idle: AtomicBool,
    /// Of which topics it is a member.
    pub memberships: Mutex<Vec<usize>>,
    pub attendance: Attendance,
    subscriber: OnceLock<Arc<Subscriber>>,
    this: Weak<Connection>,
    send_buffer: usize,
    letter_bytes: AtomicUsize,
    was_full: AtomicBool,
}

impl Connection {
    /// Opens one; `None` when the child takes nobody any more. `since`: what its client comes back with, by topic.
    pub fn open(
        town: &Arc<Town>,
        child: &Arc<Child>,
        wanted: &Wanted,
        since: [Option<u64>; TOPICS],
    ) -> Option<Arc<Self>> {
        let world = town.world.beside();
        let settings = world.draw(Settings::draw);
        let poller = Poller::new(&world, settings.is_blocking, false);
        let driver = Driver::new(&world, &poller, settings.is_blocking);
        let budget = Arc::new(MessageBudget::new(1 << 20));
        let origin = town.next_origin.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::new_cyclic(|this: &Weak<Connection>| Connection {
            name: format!("client {}", wanted.client),
            wanted: wanted.clone(),
            town: Arc::clone(town),
            child: Arc::clone(child),
            session: SimulatedSession::new(
                Server::new(driver, this.clone()),
                &settings.config,
                None,
                Arc::new(Buffers::new(budget)),
            ),
            models: Mutex::default(),
            is_over: AtomicBool::new(false),
            is_idle: AtomicBool::new(false),
            memberships: Mutex::default(),
            attendance: Attendance::new(origin, settings.config.send_buffer),
            subscriber: OnceLock::new(),
            this: this.clone(),
            send_buffer: settings.config.send_buffer,
            letter_bytes: AtomicUsize::new(0),
            was_full: AtomicBool::new(false),
            poller: Arc::clone(&poller),
            world: Arc::clone(&world),
        });
        world.tell(|| {
            let (buffer, owner) = (settings.config.send_buffer, child.owner.0);
            format!("client {} comes to child {owner}, since {since:?}: {wanted:?}, a buffer of {buffer}", wanted.client)
        });
        locked(&child.connections).push(Arc::clone(&connection));
        locked(&town.pollers).push(Arc::clone(&poller));
        let is_there = match wanted.kind {
            Kind::Json | Kind::Plain => connection.listens(since[wanted.topics[0]]),
            Kind::Plugin => {
                for &topic in &wanted.topics {
                    connection.subscribe(topic, since[topic]);
                }
                true
            }
        };
        connection.session.accept();
        connection
            .session
            .open(Socket::new(&world, &Arc::new(Promises), &poller, &settings));
        // It may have come to be a child's last one.
        if child.is_dead() || !is_there {
            connection.dies();
            return None;
        }
        if child.is_draining.load(Ordering::SeqCst) {
            connection.session.drain_at(world.instant());
        }
        let workers = if settings.is_blocking {
            1
        } else {
            settings.workers
        };
        for _ in 0..workers {
            let its = Arc::clone(&connection);
            town.spawn(move || its.session.environment().driver.drive(&its));
        }
        poller.arm();
        Some(connection)
    }

    fn terms(&self) -> Terms {
        Terms {
            form: match self.wanted.kind {
                Kind::Json => Form::Json,
                Kind::Plain => Form::Plain,
                Kind::Plugin => Form::Letters,
            },
            slow: self.wanted.slow,
            messages: self.wanted.messages,
            age: None,
            is_told_of_members: self.wanted.hears_of_members,
            origin: 0,
        }
    }

    fn token(&self, since: Option<u64>) -> Option<Token> {
        let epoch: Epoch = self.town.log.epoch();
        since.map(|id| Token {
            epoch,
            id: RecordId(id),
        })
    }

    fn outlet(&self) -> Weak<dyn Outlet> {
        self.this.clone()
    }

    /// Subscribes as a Location for topics does.
    fn listens(&self, since: Option<u64>) -> bool {
        let topics = self.wanted.topics.clone();
        let names = topics
            .iter()
            .map(|&number| journal::topic(number))
            .collect();
        locked(&self.models).push(Model::new(topics, self.wanted.slow, 0, since));
        let before = self.town.log.latest().0;
        let subscribed =
            self.child
                .hub
                .subscribe(names, self.token(since), self.terms(), self.outlet());
        let Ok(subscriber) = subscribed else {
            assert!(self.child.is_dead(), "it cannot subscribe");
            return false;
        };
        let _ = self.subscriber.set(subscriber);
        if !self.may_miss_volatile() {
            locked(&self.models)[0].is_live(self.town.log.latest().0);
        }
        if self.wanted.kind == Kind::Plain {
            let floor = self.town.log.latest().0;
            locked(&self.models)[0].begins(&self.world, &self.town.journal, before, floor);
        }
        true
    }

    /// A listener that was always live since it has subscribed gets each volatile message. It falls behind when it finds no room,
    /// is passed by for longer than a moment, or is overrun.
    pub fn may_miss_volatile(&self) -> bool {
        let log = &self.town.log;
        let is_passed_by = self
            .subscriber
            .get()
            .is_none_or(|subscriber| subscriber.has_missed_volatile.load(Ordering::SeqCst));
        let may_be_overrun = log.figures().used > log.layout().ring as u64 / 2;
        is_passed_by || may_be_overrun || self.was_full.load(Ordering::SeqCst)
    }

    /// Subscribes as a plugin does, from any thread.
    pub fn subscribe(&self, topic: usize, since: Option<u64>) {
        // Another subscription of the same topic may be on its way out: what is still to come cannot be told apart.
        let is_new = {
            let mut models = locked(&self.models);
            let known = models.iter_mut().find(|model| model.topics == [topic]);
            match known {
                Some(model) if !model.is_closed() => return,
                Some(model) => {
                    model.begins_again();
                    false
                }
                None => {
                    let (slow, origin) = (self.wanted.slow, self.attendance.origin());
                    models.push(Model::new(vec![topic], slow, origin, since));
                    true
                }
            }
        };
        let since = since.filter(|_| is_new);
        let before = self.town.log.latest().0;
        let member =
            Member::new(&format!("client {}", self.wanted.client)).expect("it is a member's name");
        let member = self.wanted.is_member.then_some((&member, false));
        if member.is_some() {
            locked(&self.memberships).push(topic);
        }
        let subscribed = self.attendance.subscribe(
            &self.child.hub,
            &journal::topic(topic),
            Since::from(self.token(since)),
            member,
            self.terms(),
            self.outlet(),
        );
        self.world
            .tell(|| format!("{} is subscribed to /{topic}: {subscribed:?}", self.name));
        let (world, journal) = (&self.world, &self.town.journal);
        let floor = self.town.log.latest().0;
        let mut models = locked(&self.models);
        let model = models.iter_mut().find(|model| model.topics == [topic]);
        let model = model.expect("it has been put there");
        match (subscribed, since) {
            (Ok(true), Some(since)) => {
                world.mark("what was missed is recovered");
                model.begins(world, journal, since, since);
            }
            (Ok(is_whole), since) => {
                assert!(is_whole || since.is_some(), "it has not come back");
                model.begins(world, journal, if is_new { before } else { 0 }, floor);
            }
            (Err(_), _) => {
                self.is_member_no_more(topic);
                model.ends();
            }
        }
    }

    /// Ends a plugin's subscription, on any thread.
    pub fn unsubscribe(&self, topic: usize) {
        {
            let mut models = locked(&self.models);
            let model = models.iter_mut().find(|model| model.topics == [topic]);
            match model {
                Some(model) if model.is_open() => model.ends(),
                _ => return,
            }
        }
        let was_there = self.attendance.unsubscribe(&journal::topic(topic));
        self.is_member_no_more(topic);
        self.world.tell(|| {
            format!(
                "{} is subscribed to /{topic} no more: {was_there}",
                self.name
            )
        });
    }

    fn is_member_no_more(&self, topic: usize) {
        locked(&self.memberships).retain(|other| *other != topic);
    }

    /// The client says what its child is to do: three digits.
    pub fn does(&self, command: &[u8]) {
        let [deed, topic, flags] = command else {
            panic!("a client says {command:?}");
        };
        let (topic, flags) = (usize::from(topic - b'0'), flags - b'0');
        let flags = Flags {
            retain: flags & 3 == 1,
            volatile: flags & 3 == 2,
            exclude_origin: flags & 4 != 0,
            uncompressed: false,
        };
        match (deed, self.wanted.kind) {
            (b's', Kind::Plugin) => self.subscribe(topic, None),
            (b'u', Kind::Plugin) => self.unsubscribe(topic),
            _ if self.child.is_dead() => {}
            _ => {
                let origin = match self.wanted.kind {
                    Kind::Plugin => self.attendance.origin(),
                    Kind::Json | Kind::Plain => 0,
                };
                let gather = |receiver| {
                    let gathers = self.session.gather_for(receiver);
                    if gathers {
                        self.world
                            .mark("a ring waits for the end of a turn's input");
                    }
                    gathers
                };
                self.town.journal.publish(
                    &self.world,
                    self.town.log,
                    (topic, flags, origin),
                    |message| self.child.ringer.publish(message, &gather),
                );
            }
        }
    }

    /// There is room, or a letter.
    pub fn goes_on(&self) {
        self.world.tell(|| format!("{} goes on", self.name));
        if let Some(subscriber) = self.subscriber.get() {
            self.child.hub.go_on(subscriber);
        }
        if self.wanted.kind == Kind::Plugin {
            letters::go_on(&self.session, &self.attendance, |letter| {
                self.on_topic(letter)
            });
        }
    }

    /// The plugin looks at a letter: it goes to the client as it is, or as what the plugin makes of it.
    fn on_topic(&self, letter: &Letter) -> bool {
        self.letter_bytes.fetch_sub(letter.size(), Ordering::SeqCst);
        let (topic, id) = (&letter.topic, letter.id);
        let told = match &letter.news {
            News::Message { .. } if self.world.draw(|chance| chance.percent(50)) => return true,
            News::Message { kind, payload, .. } => {
                let kind = match kind {
                    topics::Kind::Text => MessageKind::Text,
                    _ => MessageKind::Binary,
                };
                let published = self.town.journal.id_of(kind, payload);
                format!("\"letter\":{published}")
            }
            News::Joined(name, members) => format!("\"joined\":\"{name}\",\"members\":{members}"),
            News::Left(name, members) => format!("\"left\":\"{name}\",\"members\":{members}"),
            News::Members(members) => format!("\"members\":{members}"),
            News::Dropped(count) => format!("\"dropped\":{count}"),
            News::Gap => "\"recovered\":false".to_owned(),
        };
        let text = format!("{{\"topic\":\"{topic}\",\"id\":\"{id}\",{told}}}");
        let sent = self.session.try_send(session::Outgoing::Message(
            MessageKind::Text,
            websocket_proto::Compression::Default,
            text.as_bytes(),
        ));
        assert_ne!(sent, Err(session::Refused::Full), "on_topic finds no room");
        false
    }

    /// The session calls for the last time.
    pub fn leaves(&self) {
        if let Some(subscriber) = self.subscriber.get() {
            self.child.hub.leave(subscriber);
        }
        self.attendance.end();
        self.letter_bytes.store(0, Ordering::SeqCst);
        locked(&self.memberships).clear();
    }

    /// Its process is dead: the system ends the connection behind what has left.
    pub fn dies(&self) {
        {
            let mut state = self.world.state();
            let now = state.now;
            state.is_reset = true;
            state.inward.reset();
            if !state.outward.is_shut() {
                state.outward.shut(now);
            }
        }
        self.is_over.store(true, Ordering::SeqCst);
        self.session.peer_is_gone();
        self.poller.stop();
        self.poller.look();
        self.poller.peer().wake();
    }

    /// What waits for its client does not exceed its bounds.
    pub fn waits_within_bounds(&self) {
        let (buffered, limit) = (self.session.buffered(), self.send_buffer);
        // A message is taken whole while there is room; what `on_topic` makes of one comes on top, and a Close.
        let most = limit + 2 * (journal::MOST_LENGTH as usize * 4 / 3 + 200) + 300;
        assert!(
            buffered <= most,
            "{buffered} bytes wait for {}, at a limit of {limit}",
            self.name
        );
        let letters = self.letter_bytes.load(Ordering::SeqCst);
        let most = limit + journal::MOST_LENGTH as usize + 200;
        assert!(
            letters <= most,
            "{letters} bytes of letters wait for {}, at a limit of {limit}",
            self.name
        );
    }
}

impl Outlet for Connection {
    fn take(&self, message: Message<'_>) -> Result<(), Refused> {
        let taken = letters::gather(&self.session, message);
        if taken == Err(Refused::Full) {
            self.was_full.store(true, Ordering::SeqCst);
            self.world.tell(|| format!("{} has no room", self.name));
        }
        taken
    }

    fn deliver(&self, letter: &Arc<Letter>) -> Result<(), Refused> {
        self.letter_bytes.fetch_add(letter.size(), Ordering::SeqCst);
        let taken = self.attendance.put(letter);
        if taken.is_err() {
            self.letter_bytes.fetch_sub(letter.size(), Ordering::SeqCst);
            self.world.mark("a letter finds no room");
        }
        taken
    }

    fn flush(&self) {
        if self.attendance.has_letters() {
            self.session.call();
        }
        self.session.flush();
    }

    fn has_ample_room(&self) -> bool {
        self.session.buffered() <= self.send_buffer / 2
    }

    fn call_again(&self) {
        self.session.call();
    }

    fn close(&self, why: Closing) {
        self.world
            .tell(|| format!("{} is closed: {why:?}", self.name));
        self.world.mark(match why {
            Closing::Slow => "a slow one is closed",
            Closing::Gap => "one is closed over a gap",
            Closing::Unavailable => {
                locked(&self.town.broken_promise)
                    .get_or_insert_with(|| "the log cannot be read".to_owned());
                "the log cannot be read"
            }
        });
        let frame = CloseFrame::new(CloseCode::TRY_AGAIN_LATER, "slow");
        self.session.close(Some(&frame), ClosedBy::Topics);
    }
}
