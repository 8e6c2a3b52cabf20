//! What is promised to plugins and peers, checked after every step; it knows nothing of how the session keeps it.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use websocket_proto::MessageKind;

use crate::letter::{self, CALLBACKS, Origin, PEER};

/// The promises of one WebSocket.
#[derive(Default)]
pub struct Promises(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// What the server's side has sent, by sender.
    sent: BTreeMap<Origin, Correspondence>,
    /// What the peer has sent.
    sent_by_peer: Correspondence,
    callback: Option<&'static str>,
    is_opened: bool,
    is_closed: bool,
    is_disconnected: bool,
    /// The peer has seen our Close frame: nothing follows it.
    close_has_arrived: bool,
    /// The server's side has given the connection up, or lost it: what was accepted need not arrive.
    is_broken: bool,
    /// Who is in a call that may block, and with what.
    calls: BTreeMap<Origin, Call>,
    /// The message in parts that has begun and has not ended.
    in_parts: Option<InParts>,
    /// Which promise was found broken where the session would have survived the panic.
    broken_promise: Option<String>,
}

/// A call that may block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    /// It sends a message, which may have to wait for the end of another one in parts.
    Message,
    /// It sends a part, or a control frame.
    Other,
}

/// A message in parts that is under way.
struct InParts {
    /// How many messages each sender had sent when it was about to begin: a Close frame that comes
    /// before its end drops what was accepted from there on.
    sent_before: BTreeMap<Origin, usize>,
    /// What was accepted since.
    since_it_was_to_begin: Load,
    /// What was sent, and accepted, since its first part was known to be.
    since_it_began: Load,
    has_begun: bool,
    /// Who has begun to send since then.
    senders: BTreeSet<Origin>,
}

/// Messages that were accepted.
#[derive(Clone, Copy, Default, Debug)]
pub struct Load {
    pub messages: usize,
    pub bytes: usize,
}

impl Load {
    fn add(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes;
    }
}

/// What waits behind a message in parts, as far as that can be known from outside: an accepted message may have come just
/// before the first part.
#[derive(Clone, Copy, Default, Debug)]
pub struct Behind {
    pub least: Load,
    pub most: Load,
}

/// Messages of one sender, in their order.
#[derive(Default)]
struct Correspondence {
    /// By number: whether it was accepted; `None` while the call is under way.
    letters: Vec<Option<bool>>,
    /// The next number that may arrive.
    next: usize,
}

impl Correspondence {
    fn arrive(&mut self, number: u32, from: &str) {
        let number = number as usize;
        assert!(
            number < self.letters.len(),
            "{from} never sent message {number}"
        );
        assert!(
            number >= self.next,
            "message {number} of {from} arrived twice, or out of order"
        );
        for skipped in self.next..number {
            assert!(
                self.letters[skipped] == Some(false),
                "message {skipped} of {from} was accepted, and {number} arrived before it"
            );
        }
        assert!(
            self.letters[number] != Some(false),
            "message {number} of {from} was refused, and arrived"
        );
        self.next = number + 1;
    }

    /// How many messages were accepted or refused.
    fn decided(&self) -> usize {
        let is_under_way = self.letters.last() == Some(&None);
        self.letters.len() - usize::from(is_under_way)
    }

    /// Whether those that were accepted have arrived, but for what was sent behind the number.
    fn has_arrived_up_to(&self, number: Option<usize>) -> bool {
        let end = number.unwrap_or(self.letters.len());
        let missing = self.letters.get(self.next..end).unwrap_or_default();
        !missing.contains(&Some(true))
    }
}

impl Promises {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // The application's side.

    /// A sender of the server's side is going to send; the number of its message.
    pub fn send_begins(&self, origin: Origin) -> u32 {
        let mut kept = self.kept();
        let letters = &mut kept.sent.entry(origin).or_default().letters;
        letters.push(None);
        let number = letters.len() as u32 - 1;
        if let Some(in_parts) = &mut kept.in_parts
            && in_parts.has_begun
        {
            in_parts.senders.insert(origin);
        }
        number
    }

    /// Whether the message was accepted, of so many bytes. Says whether it may have had to wait for another one's end.
    pub fn send_ends(&self, origin: Origin, number: u32, is_accepted: bool, bytes: usize) -> bool {
        let mut kept = self.kept();
        let correspondence = kept.sent.entry(origin).or_default();
        let has_arrived = (number as usize) < correspondence.next;
        assert!(
            is_accepted || !has_arrived,
            "message {number} of {origin} has arrived, and its send failed"
        );
        correspondence.letters[number as usize] = Some(is_accepted);
        match &mut kept.in_parts {
            Some(in_parts) if is_accepted => {
                in_parts.since_it_was_to_begin.add(bytes);
                // Else it may have gone in, and out, before the first part.
                let is_behind = in_parts.senders.remove(&origin);
                if is_behind {
                    in_parts.since_it_began.add(bytes);
                }
                is_behind
            }
            _ => false,
        }
    }

    /// A message in parts is about to begin: says its number, unless there is one already.
    pub fn parts_begin(&self, origin: Origin) -> Option<u32> {
        let mut kept = self.kept();
        if kept.in_parts.is_some() {
            return None;
        }
        let sent = kept.sent.iter();
        kept.in_parts = Some(InParts {
            sent_before: sent
                .map(|(origin, sent)| (*origin, sent.decided()))
                .collect(),
            since_it_was_to_begin: Load::default(),
            since_it_began: Load::default(),
            has_begun: false,
            senders: BTreeSet::new(),
        });
        drop(kept);
        Some(self.send_begins(origin))
    }

    /// A part of it was accepted.
    pub fn part_sent(&self, is_final: bool) {
        let mut kept = self.kept();
        match &mut kept.in_parts {
            Some(_) if is_final => kept.in_parts = None,
            Some(in_parts) => in_parts.has_begun = true,
            None => panic!("a part without a message"),
        }
    }

    /// What may wait behind a message in parts.
    pub fn behind(&self) -> Behind {
        match &self.kept().in_parts {
            Some(in_parts) => Behind {
                least: in_parts.since_it_began,
                most: in_parts.since_it_was_to_begin,
            },
            None => Behind::default(),
        }
    }

    /// A call of a sender's that may block.
    pub fn in_call<T>(&self, origin: Origin, call: Call, make: impl FnOnce() -> T) -> T {
        let before = self.kept().calls.insert(origin, call);
        assert_eq!(before, None, "{origin} is in two calls");
        let made = make();
        self.kept().calls.remove(&origin);
        made
    }

    /// A callback begins; [`Promises::callback_ends`] when it returns or panics.
    pub fn callback_begins(&self, name: &'static str) {
        let mut kept = self.kept();
        if let Some(other) = kept.callback.replace(name) {
            panic!("{name} while {other} is running");
        }
        assert!(!kept.is_disconnected, "{name} after on_disconnect");
        match name {
            "on_open" => {
                assert!(!kept.is_opened, "on_open twice");
                kept.is_opened = true;
            }
            "on_close" => {
                assert!(kept.is_opened, "on_close without on_open");
                assert!(!kept.is_closed, "on_close twice");
                kept.is_closed = true;
            }
            "on_disconnect" => {
                assert!(
                    kept.is_opened == kept.is_closed,
                    "on_disconnect without on_close"
                );
                kept.is_disconnected = true;
            }
            _ => {
                assert!(kept.is_opened, "{name} before on_open");
                assert!(!kept.is_closed, "{name} after on_close");
            }
        }
    }

    pub fn callback_ends(&self) {
        self.kept().callback = None;
    }

    /// A message has reached the application.
    pub fn application_got(&self, kind: MessageKind, payload: &[u8]) {
        let (origin, number) =
            letter::read(payload).expect("a message of the peer's has changed on its way");
        assert_eq!(origin, PEER, "a message of ours came back");
        assert_eq!(
            kind,
            letter::kind(number),
            "text and binary have changed places"
        );
        self.kept().sent_by_peer.arrive(number, "the peer");
    }

    // The peer's side.

    /// The peer sends: the number of its message.
    pub fn peer_sends(&self) -> u32 {
        let mut kept = self.kept();
        let letters = &mut kept.sent_by_peer.letters;
        letters.push(Some(true));
        letters.len() as u32 - 1
    }

    /// A message has reached the peer.
    pub fn peer_got(&self, kind: MessageKind, payload: &[u8]) {
        let (origin, number) =
            letter::read(payload).expect("a message of ours has changed on its way");
        assert_ne!(origin, PEER, "the peer's own message came back");
        assert_eq!(
            kind,
            letter::kind(number),
            "text and binary have changed places"
        );
        let mut kept = self.kept();
        assert!(!kept.close_has_arrived, "a message after the Close frame");
        let from = match origin {
            CALLBACKS => "the callbacks".to_owned(),
            thread => format!("thread {thread}"),
        };
        kept.sent.entry(origin).or_default().arrive(number, &from);
    }

    /// Any frame has reached the peer.
    pub fn peer_got_close(&self) {
        let was_there = std::mem::replace(&mut self.kept().close_has_arrived, true);
        assert!(!was_there, "a second Close frame");
    }

    /// The connection is lost, or given up: what was accepted need not arrive.
    pub fn broken(&self) {
        self.kept().is_broken = true;
    }

    /// A panic in a callback says that a promise is broken.
    pub fn is_broken_by(&self, panic: &(dyn Any + Send)) {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        self.is_found_broken(&text.unwrap_or_else(|| "a callback has panicked".to_owned()));
    }

    /// A promise is broken, and a panic would not tell: the session would survive it.
    pub fn is_found_broken(&self, text: &str) {
        self.kept()
            .broken_promise
            .get_or_insert_with(|| text.to_owned());
    }

    /// No callback has found a promise broken.
    pub fn are_kept(&self) {
        let broken_promise = self.kept().broken_promise.clone();
        if let Some(text) = broken_promise {
            panic!("{text}");
        }
    }

    // At the end.

    /// Everything has ended. `is_accepted`: the application had accepted the connection.
    pub fn at_the_end(&self) {
        self.are_kept();
        let kept = self.kept();
        assert!(
            kept.is_disconnected,
            "the connection has ended without on_disconnect"
        );
        if kept.is_broken {
            return;
        }
        for (origin, correspondence) in &kept.sent {
            let sent_before = kept
                .in_parts
                .as_ref()
                .map(|in_parts| in_parts.sent_before.get(origin).copied().unwrap_or(0));
            assert!(
                correspondence.has_arrived_up_to(sent_before),
                "of {origin}'s accepted messages some never arrived, although the connection was closed in order"
            );
        }
    }

    /// Whether a callback is running.
    pub fn callback(&self) -> bool {
        self.kept().callback.is_some()
    }

    /// Who is in the middle of a call that may block.
    pub fn blocked(&self) -> Vec<(Origin, Call)> {
        let kept = self.kept();
        kept.calls
            .iter()
            .map(|(origin, call)| (*origin, *call))
            .collect()
    }

    /// Whether the peer has seen a Close frame of ours.
    pub fn has_close_arrived(&self) -> bool {
        self.kept().close_has_arrived
    }
}
