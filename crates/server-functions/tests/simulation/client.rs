//! A client: it comes to some child, reads, stalls, speaks, leaves or vanishes, and comes back with what it knows.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use subscribers::Slow;
use topics::Token;
use websocket_proto::{
    CloseCode, CloseFrame, Event, MessageKind, ReceivingConfig, ReceivingHalf, ReservedCloseCodes,
    Role, SendingHalf,
};

use crate::chance::Chance;
use crate::child::{Town, locked};
use crate::connection::{Connection, Kind, Wanted};
use crate::journal::{TOPICS, topic_number};
use crate::model::Seen;
use crate::network::Found;
use crate::world::World;

pub struct Client {
    town: Arc<Town>,
    wanted: Wanted,
    /// How often it comes.
    visits: u64,
    /// The last message that it knows of, by topic.
    since: [Option<u64>; TOPICS],
}

/// One connection, on the client's side.
struct Visit<'a> {
    client: &'a Client,
    world: &'a World,
    connection: &'a Connection,
    sender: SendingHalf,
    receiver: ReceivingHalf,
    output: Vec<u8>,
    deeds_left: u64,
    /// It stays until the child ends it.
    stays: bool,
    is_closing: bool,
    has_ended: bool,
}

impl Wanted {
    pub fn draw(client: usize, chance: &mut Chance) -> Self {
        let kind = [
            Kind::Json,
            Kind::Json,
            Kind::Plugin,
            Kind::Plugin,
            Kind::Plain,
        ][chance.below(5) as usize];
        let slow = match kind {
            // What it has lost, it cannot be told.
            Kind::Plain => Slow::Close,
            _ => [Slow::Close, Slow::Drop, Slow::Latest][chance.below(3) as usize],
        };
        let first = chance.below(TOPICS as u64) as usize;
        let count = chance.within(1, 3) as usize;
        Wanted {
            client,
            kind,
            slow,
            topics: (first..first + count).map(|topic| topic % TOPICS).collect(),
            messages: [3, 1_000][chance.below(2) as usize],
            hears_of_members: kind != Kind::Plain && chance.percent(50),
            is_member: kind == Kind::Plugin && chance.percent(60),
        }
    }
}

impl Client {
    pub fn new(town: &Arc<Town>, number: usize) -> Self {
        Client {
            town: Arc::clone(town),
            wanted: town.world.draw(|chance| Wanted::draw(number, chance)),
            visits: town.world.draw(|chance| chance.within(1, 4)),
            since: [None; TOPICS],
        }
    }

    /// Comes and goes until the world is over, and stays the last time.
    pub fn live(mut self) {
        let town = Arc::clone(&self.town);
        while !town.is_closing.load(Ordering::SeqCst) {
            if let Some(child) = town.some_child()
                && let Some(connection) = Connection::open(&town, &child, &self.wanted, self.since)
            {
                self.visits = self.visits.saturating_sub(1);
                Visit::new(&self, &connection).live();
                self.since = self.known(&connection);
            }
            let most = town
                .world
                .draw(|chance| [3_000, 60_000][chance.below(2) as usize]);
            town.world.pause(
                town.world
                    .draw(|chance| Duration::from_micros(chance.below(most))),
            );
        }
    }

    /// What it knows when it comes back.
    fn known(&self, connection: &Connection) -> [Option<u64>; TOPICS] {
        if self.wanted.kind == Kind::Plain {
            return [None; TOPICS];
        }
        let mut since = self.since;
        for model in &*locked(&connection.models) {
            for &topic in &model.topics {
                since[topic] = model.since;
            }
        }
        since
    }
}

impl<'a> Visit<'a> {
    fn new(client: &'a Client, connection: &'a Connection) -> Self {
        let world = &*connection.world;
        Visit {
            client,
            world,
            connection,
            sender: SendingHalf::new(Role::Client).with_mask_key([0xa5, 0x5a, 0x3c, 0x77]),
            receiver: ReceivingHalf::new(ReceivingConfig {
                role: Role::Client,
                max_message_size: 1 << 20,
                reserved_close_codes: ReservedCloseCodes::Refuse,
            }),
            output: Vec::new(),
            deeds_left: world.draw(|chance| chance.within(0, 8)),
            stays: client.visits == 0,
            is_closing: false,
            has_ended: false,
        }
    }

    fn live(mut self) {
        let connection = self.connection;
        while !self.has_ended && !self.world.is_over() {
            let has_read = self.read();
            let has_written = self.write();
            let has_acted = !self.has_ended && self.output.is_empty() && self.act();
            if !(has_read || has_written || has_acted) {
                connection.is_idle.store(true, Ordering::SeqCst);
                connection.poller.peer().sleep();
                connection.is_idle.store(false, Ordering::SeqCst);
            }
        }
        self.world.tell(|| format!("{} has gone", connection.name));
    }

    fn read(&mut self) -> bool {
        if self.has_ended {
            return false;
        }
        let mut buffer = [0; 512];
        let most = self.world.draw(|chance| chance.within(1, 512)) as usize;
        let (found, tells, is_lost) = {
            let mut state = self.world.state();
            let (found, tells) = state.outward.read(&mut buffer[..most]);
            let is_lost = state.is_reset && state.outward.next_arrival().is_none();
            (found, tells, is_lost)
        };
        if tells {
            self.connection.poller.is_writable();
        }
        match found {
            Found::Bytes(count) => self.receive(&mut buffer[..count]),
            Found::EmptyRecord => {}
            Found::Nothing if is_lost => self.has_ended = true,
            Found::Nothing => return false,
            Found::End => {
                self.shut();
                self.has_ended = true;
            }
        }
        true
    }

    fn receive(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            let (count, event) = self.receiver.receive(bytes);
            let mut answer = Vec::new();
            let mut closes = false;
            let mut message = None;
            match event {
                None | Some(Event::Ping(_) | Event::Pong(_)) => {}
                Some(Event::Message { kind, payload }) => message = Some((kind, payload.to_vec())),
                Some(Event::Close(frame)) => {
                    self.world
                        .tell(|| format!("{} gets Close {frame:?}", self.connection.name));
                    closes = true;
                }
                Some(Event::Failed(error)) => panic!("the server breaks the protocol: {error}"),
            }
            bytes = &mut bytes[count..];
            if let Some((kind, payload)) = message {
                self.sees(kind, &payload);
            }
            if closes && !std::mem::replace(&mut self.is_closing, true) {
                let _ = self.sender.send_close(None, &mut answer);
            }
            self.output.append(&mut answer);
        }
    }

    /// A message has come.
    fn sees(&self, kind: MessageKind, payload: &[u8]) {
        let (journal, name) = (&self.client.town.journal, &self.connection.name);
        let (topic, seen, id) = match payload.first() {
            Some(b'{') => {
                let text: Value = serde_json::from_slice(payload).expect("it is JSON");
                self.told(&text)
            }
            _ => {
                let id = journal.id_of(kind, payload);
                (Some(journal.at(id).topic), Seen::Message(id), None)
            }
        };
        self.world
            .tell(|| format!("{name} sees {seen:?}, of {topic:?}, with the id {id:?}"));
        let mut models = locked(&self.connection.models);
        let is_its = |topic| move |model: &&mut crate::model::Model| model.topics.contains(&topic);
        let model = match topic {
            Some(topic) => models.iter_mut().find(is_its(topic)),
            None => models.first_mut(),
        };
        let model = model.expect("it is of one of its topics");
        if self.connection.may_miss_volatile() {
            model.may_miss_volatile();
        }
        model.sees(self.world, journal, seen, id);
    }

    /// What a message of `topics.json` says, of which topic, and with which id.
    fn told(&self, text: &Value) -> (Option<usize>, Seen, Option<u64>) {
        let topic = text
            .get("topic")
            .map(|topic| topic_number(topic.as_str().expect("it is a name")));
        let id = text.get("id").map(|id| {
            let token = id.as_str().map(str::parse::<Token>);
            token.expect("it is a text").expect("it is an id").id.0
        });
        let some_id = || id.expect("there is an id");
        let number = |name: &str| {
            text.get(name)
                .map(|it| it.as_u64().expect("it is a number"))
        };
        let members = number("members").map(|members| members as u32);
        let recovered = text
            .get("recovered")
            .map(|it| it.as_bool().expect("it is true or false"));
        let seen = if text.get("topics").is_some() {
            Seen::Hello(recovered, some_id())
        } else if let Some(members) = members {
            let topic = topic.expect("members are of a topic");
            if text.get("joined").is_some() {
                Seen::Joined(topic, members)
            } else if text.get("left").is_some() {
                Seen::Left(topic, members)
            } else {
                Seen::Members(topic, members)
            }
        } else if let Some(count) = number("dropped") {
            Seen::Dropped(count)
        } else if recovered == Some(false) {
            Seen::Gap(some_id())
        } else {
            assert!(id.is_some(), "a message has an id");
            Seen::Message(self.published(text))
        };
        let is_set_anew = matches!(seen, Seen::Hello(..) | Seen::Gap(_));
        (topic, seen, id.filter(|_| !is_set_anew))
    }

    /// Which message it is: the id that it was published with.
    fn published(&self, text: &Value) -> u64 {
        if let Some(letter) = text.get("letter") {
            return letter.as_u64().expect("it is a number");
        }
        let data = text["data"].as_str().expect("there is data");
        let (kind, bytes) = match text.get("encoding") {
            Some(_) => (
                MessageKind::Binary,
                STANDARD.decode(data).expect("it is base64"),
            ),
            None => (MessageKind::Text, data.as_bytes().to_vec()),
        };
        self.client.town.journal.id_of(kind, &bytes)
    }

    fn write(&mut self) -> bool {
        if self.output.is_empty() {
            return false;
        }
        let mut state = self.world.state();
        if state.is_reset || state.inward.is_shut() {
            self.output.clear();
            return false;
        }
        let room = state.inward.room().min(self.output.len());
        if room == 0 {
            state.inward.want_room();
            return false;
        }
        let count = state.chance.within(1, room as u64) as usize;
        let arrival = state.now + state.latency();
        state.inward.send(&self.output[..count], arrival);
        drop(state);
        self.output.drain(..count);
        self.connection.poller.look();
        true
    }

    /// Does something. Says whether there was something to do.
    fn act(&mut self) -> bool {
        if self.is_closing || (self.deeds_left == 0 && self.stays) {
            return false;
        }
        if self.deeds_left == 0 {
            self.leave();
            return true;
        }
        self.deeds_left -= 1;
        match self.world.draw(|chance| chance.below(100)) {
            0..45 => self.speak(),
            45..75 => self.pause(20_000),
            75..90 => {
                self.world
                    .tell(|| format!("{} stops reading", self.connection.name));
                self.pause(3_000_000);
            }
            _ => {
                let _ = self.sender.send_ping(b"are you there?", &mut self.output);
            }
        }
        true
    }

    /// Says what the child is to do: to publish, or to end a subscription or begin one.
    fn speak(&mut self) {
        let command = self.world.draw(|chance| {
            let deed = [b'p', b'p', b'u', b's'][chance.below(4) as usize];
            [
                deed,
                b'0' + chance.below(TOPICS as u64) as u8,
                b'0' + chance.below(8) as u8,
            ]
        });
        let sent = self
            .sender
            .send_message(MessageKind::Text, &command, &mut self.output);
        sent.expect("it is the client's to send");
    }

    fn leave(&mut self) {
        if self.world.draw(|chance| chance.percent(40)) {
            let frame = CloseFrame::from(CloseCode::NORMAL_CLOSURE);
            let _ = self.sender.send_close(Some(&frame), &mut self.output);
            self.is_closing = true;
            return;
        }
        self.world
            .tell(|| format!("{} vanishes", self.connection.name));
        self.world.mark("a client vanishes");
        {
            let mut state = self.world.state();
            state.is_reset = true;
            state.inward.reset();
            state.outward.reset();
        }
        self.connection.poller.look();
        self.has_ended = true;
    }

    fn pause(&self, most: u64) {
        let time = self
            .world
            .draw(|chance| Duration::from_micros(chance.below(most)));
        self.world.pause(time);
    }

    fn shut(&self) {
        let mut state = self.world.state();
        let arrival = state.now + state.latency();
        state.inward.shut(arrival);
        drop(state);
        self.connection.poller.look();
    }
}
