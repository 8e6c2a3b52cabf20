//! A connection with a client that takes messages when it likes.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

use serde_json::Value;
use subscribers::{Closing, Message, Outlet, Refused};
use topics::Token;
use websocket_proto::MessageKind;

/// One connection. Like a session's outbox it takes a message whole while less than `limit` bytes wait.
pub struct Peer {
    limit: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<String>,
    bytes: usize,
    wants_room: bool,
    closed: Option<Closing>,
}

/// A message, as a client understands it.
#[derive(Debug)]
pub enum Seen {
    Hello {
        recovered: Option<bool>,
        id: Token,
    },
    Message {
        id: Token,
        data: String,
    },
    Dropped(u64),
    Gap {
        id: Token,
    },
    /// So many members a topic has; `is_number`: who has come or gone is not said.
    Members {
        topic: String,
        count: u64,
        is_number: bool,
    },
}

impl Peer {
    pub fn new(limit: usize) -> Self {
        Peer {
            limit,
            state: Mutex::default(),
        }
    }

    /// Takes so many of the messages that wait.
    pub fn take(&self, count: usize) -> Vec<Seen> {
        let mut state = self.state();
        let count = count.min(state.waiting.len());
        let taken: Vec<String> = state.waiting.drain(..count).collect();
        state.bytes -= taken.iter().map(String::len).sum::<usize>();
        taken.iter().map(|text| read(text)).collect()
    }

    /// Whether somebody was refused and there is room now; said once.
    pub fn wants_room(&self) -> bool {
        let mut state = self.state();
        let is_there = state.bytes <= self.limit / 2;
        is_there && std::mem::take(&mut state.wants_room)
    }

    pub fn closed(&self) -> Option<Closing> {
        self.state().closed
    }

    pub fn is_empty(&self) -> bool {
        self.state().waiting.is_empty()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Outlet for Peer {
    fn take(&self, message: Message<'_>) -> Result<(), Refused> {
        let (kind, payload) = match message {
            Message::ToMany(message) => (message.kind(), message.payload()),
            Message::ToOne(kind, _, payload) => (kind, payload),
        };
        assert_eq!(kind, MessageKind::Text);
        let mut state = self.state();
        if state.closed.is_some() {
            return Err(Refused::Ended);
        }
        if state.bytes >= self.limit {
            state.wants_room = true;
            return Err(Refused::Full);
        }
        state.bytes += payload.len();
        state
            .waiting
            .push_back(str::from_utf8(payload).unwrap().to_owned());
        Ok(())
    }

    fn flush(&self) {}

    fn has_ample_room(&self) -> bool {
        self.state().bytes <= self.limit / 2
    }

    fn call_again(&self) {
        self.state().wants_room = true;
    }

    fn close(&self, why: Closing) {
        self.state().closed.get_or_insert(why);
    }
}

fn read(text: &str) -> Seen {
    let value: Value = serde_json::from_str(text).expect("it is JSON");
    let id = || value["id"].as_str().unwrap().parse().expect("it is an id");
    let recovered = value.get("recovered").map(|it| it.as_bool().unwrap());
    if value.get("topics").is_some() {
        Seen::Hello {
            recovered,
            id: id(),
        }
    } else if let Some(count) = value.get("members") {
        Seen::Members {
            topic: value["topic"].as_str().unwrap().to_owned(),
            count: count.as_u64().unwrap(),
            is_number: value.get("joined").is_none() && value.get("left").is_none(),
        }
    } else if let Some(count) = value.get("dropped") {
        Seen::Dropped(count.as_u64().unwrap())
    } else if recovered == Some(false) {
        Seen::Gap { id: id() }
    } else {
        Seen::Message {
            id: id(),
            data: value["data"].as_str().unwrap().to_owned(),
        }
    }
}
