//! The peer: a client that sends, reads, stalls, answers and ends as its seed says. Its half of the protocol is the
//! protocol crate in the client's role.

use std::sync::Arc;
use std::time::Duration;

use websocket_proto::{
    CloseCode, CloseFrame, Event, ReceivingConfig, ReceivingHalf, ReservedCloseCodes, Role,
    SendingHalf,
};

use crate::letter;
use crate::network::Found;
use crate::poller::Poller;
use crate::promises::Promises;
use crate::settings::Settings;
use crate::world::{Sleeper, World};

/// The peer, as one part of the world.
pub struct Peer {
    world: Arc<World>,
    promises: Arc<Promises>,
    poller: Arc<Poller>,
    wakes: Arc<Sleeper>,
    sender: SendingHalf,
    receiver: ReceivingHalf,
    /// Written as the network takes it.
    output: Vec<u8>,
    deeds_left: u64,
    /// Pings are not answered, as by a peer that is gone.
    is_deaf: bool,
    most_length: u64,
    unfinished: Option<(u32, Vec<u8>)>,
    is_closing: bool,
    most_accepted: usize,
    has_ended: bool,
}

impl Peer {
    pub fn new(
        world: &Arc<World>,
        promises: &Arc<Promises>,
        poller: &Arc<Poller>,
        settings: &Settings,
    ) -> Self {
        let mut sender = SendingHalf::new(Role::Client).with_mask_key([0xa5, 0x5a, 0x3c, 0x77]);
        let mut receiver = ReceivingHalf::new(ReceivingConfig {
            role: Role::Client,
            max_message_size: 1 << 20,
            reserved_close_codes: ReservedCloseCodes::Refuse,
        });
        if let Some((agreed, codecs)) = &settings.compression {
            sender = sender.with_permessage_deflate(agreed, codecs);
            receiver = receiver.with_permessage_deflate(agreed, codecs);
        }
        Peer {
            world: Arc::clone(world),
            promises: Arc::clone(promises),
            poller: Arc::clone(poller),
            wakes: Arc::clone(poller.peer()),
            sender,
            receiver,
            output: Vec::new(),
            deeds_left: world.draw(|chance| chance.within(0, 12)),
            is_deaf: false,
            most_length: world.draw(|chance| [30, 300, 3_000][chance.below(3) as usize]),
            unfinished: None,
            is_closing: false,
            most_accepted: settings.config.max_message_size as usize,
            has_ended: false,
        }
    }

    /// Lives until the connection has ended, or the world has.
    pub fn live(mut self) {
        while !self.has_ended && !self.world.is_over() {
            let has_read = self.read();
            let has_written = self.write();
            let has_acted = self.output.is_empty() && self.act();
            if !(has_read || has_written || has_acted) {
                self.wakes.sleep();
            }
        }
        self.world.tell(|| "the peer has gone".to_owned());
    }

    /// Reads some of what has arrived. Says whether there was any.
    fn read(&mut self) -> bool {
        if self.has_ended {
            return false;
        }
        let mut buffer = [0; 512];
        let most = self.world.draw(|chance| chance.within(1, 512)) as usize;
        let (found, tells) = {
            let mut state = self.world.state();
            if state.is_reset {
                drop(state);
                self.world
                    .tell(|| "the peer finds the connection reset".to_owned());
                self.promises.broken();
                self.has_ended = true;
                return true;
            }
            state.outward.read(&mut buffer[..most])
        };
        if tells {
            self.poller.is_writable();
        }
        match found {
            Found::Bytes(count) => self.receive(&mut buffer[..count]),
            Found::EmptyRecord => {}
            Found::Nothing => return false,
            Found::End => {
                if !self.promises.has_close_arrived() {
                    self.promises.broken();
                }
                self.world
                    .tell(|| "the peer finds the server's end".to_owned());
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
            match event {
                None => {}
                Some(Event::Message { kind, payload }) => {
                    self.promises.peer_got(kind, &payload);
                    self.world
                        .tell(|| format!("the peer gets {} bytes", payload.len()));
                }
                Some(Event::Ping(payload)) if !self.is_deaf && !self.is_closing => {
                    let _ = self.sender.send_pong(&payload, &mut answer);
                }
                Some(Event::Ping(_) | Event::Pong(_)) => {}
                Some(Event::Close(frame)) => {
                    self.world.tell(|| format!("the peer gets Close {frame:?}"));
                    self.promises.peer_got_close();
                    closes = !self.is_deaf;
                }
                Some(Event::Failed(error)) => panic!("the server breaks the protocol: {error}"),
            }
            bytes = &mut bytes[count..];
            self.output.append(&mut answer);
            if closes && !std::mem::replace(&mut self.is_closing, true) {
                self.world.state().reads_no_more = true;
                let _ = self.sender.send_close(None, &mut self.output);
            }
        }
    }

    /// Writes some of what is to go out. Says whether any went.
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
        if state.chance.percent(10) {
            // A key update, a session ticket.
            state.inward.send(&[], arrival);
        }
        let bytes: Vec<u8> = self.output.drain(..count).collect();
        state.inward.send(&bytes, arrival);
        drop(state);
        self.poller.look();
        true
    }

    /// Does the next of the things that it does. Says whether there was one.
    fn act(&mut self) -> bool {
        if self.is_closing || self.has_ended || self.deeds_left == 0 {
            return false;
        }
        self.deeds_left -= 1;
        if self.deeds_left == 0 {
            self.finish();
            return true;
        }
        match self.world.draw(|chance| chance.below(100)) {
            0..45 => self.send(),
            45..55 => self.send_part(),
            55..63 => {
                let _ = self.sender.send_ping(b"are you there?", &mut self.output);
            }
            63..67 => {
                let _ = self.sender.send_pong(b"I am here", &mut self.output);
            }
            67..85 => self.pause(20_000),
            85..94 => {
                self.world.tell(|| "the peer stops reading".to_owned());
                self.pause(3_000_000);
            }
            94..97 => self.is_deaf = true,
            _ => self.misbehave(),
        }
        true
    }

    fn pause(&mut self, most: u64) {
        let time = self
            .world
            .draw(|chance| Duration::from_micros(chance.below(most)));
        self.world.pause(time);
    }

    fn send(&mut self) {
        if self.unfinished.is_some() {
            return self.send_part();
        }
        let number = self.promises.peer_sends();
        let length = self.world.draw(|chance| chance.length(self.most_length));
        let bytes = letter::write(letter::PEER, number, length);
        self.is_too_large(&bytes);
        self.world
            .tell(|| format!("the peer sends message {number}, {} bytes", bytes.len()));
        self.sender
            .send_message(letter::kind(number), &bytes, &mut self.output)
            .expect("it is the peer's to send");
    }

    /// What is larger than the session's limit makes it fail.
    fn is_too_large(&self, bytes: &[u8]) {
        if bytes.len() > self.most_accepted {
            self.world.state().reads_no_more = true;
        }
    }

    /// Begins a message in parts, or goes on with it.
    fn send_part(&mut self) {
        let (number, rest) = self.unfinished.take().unwrap_or_else(|| {
            let number = self.promises.peer_sends();
            let length = self.world.draw(|chance| chance.length(self.most_length));
            let bytes = letter::write(letter::PEER, number, length);
            self.is_too_large(&bytes);
            (number, bytes)
        });
        let count = self
            .world
            .draw(|chance| chance.within(0, rest.len() as u64)) as usize;
        let (part, rest) = rest.split_at(count);
        self.world.tell(|| {
            format!(
                "the peer sends {count} bytes of message {number}, {} are left",
                rest.len()
            )
        });
        self.sender
            .send_fragment(
                letter::kind(number),
                part,
                rest.is_empty(),
                &mut self.output,
            )
            .expect("it is the peer's to send");
        if !rest.is_empty() {
            self.unfinished = Some((number, rest.to_vec()));
        }
    }

    /// Breaks the protocol: a frame that is not masked.
    fn misbehave(&mut self) {
        self.world
            .tell(|| "the peer breaks the protocol".to_owned());
        self.output.extend([0x82, 0x01, b'x']);
        self.world.state().reads_no_more = true;
        self.is_closing = true;
    }

    /// How it ends.
    fn finish(&mut self) {
        match self.world.draw(|chance| chance.below(10)) {
            0..4 => {
                self.world.tell(|| "the peer closes".to_owned());
                let frame = CloseFrame::from(CloseCode::NORMAL_CLOSURE);
                let _ = self.sender.send_close(Some(&frame), &mut self.output);
                self.world.state().reads_no_more = true;
                self.is_closing = true;
            }
            4 => {
                self.world
                    .tell(|| "the peer resets the connection".to_owned());
                self.promises.broken();
                let mut state = self.world.state();
                state.is_reset = true;
                state.inward.reset();
                state.outward.reset();
                drop(state);
                self.poller.look();
                self.has_ended = true;
            }
            5 => {
                self.world.tell(|| "the peer ends its direction".to_owned());
                self.promises.broken();
                self.shut();
            }
            6 => {
                self.world
                    .tell(|| "the peer falls silent and reads nothing".to_owned());
                self.promises.broken();
                self.fall_silent();
                self.world.pause(Duration::from_secs(600));
            }
            7 => {
                self.world.tell(|| "the peer falls silent".to_owned());
                self.fall_silent();
                self.promises.broken();
            }
            _ => self
                .world
                .tell(|| "the peer has nothing more to say".to_owned()),
        }
    }

    /// From here on it is as good as gone.
    fn fall_silent(&mut self) {
        self.is_deaf = true;
        let mut state = self.world.state();
        let now = state.now;
        state.silent_since.get_or_insert(now);
    }

    fn shut(&mut self) {
        let mut state = self.world.state();
        let arrival = state.now + state.latency();
        state.inward.shut(arrival);
        drop(state);
        self.poller.look();
    }
}
