//! Sends a message in many fragments of random length, and its checksum; takes one likewise.
//!
//! ```text
//! <Location "/fraggle">
//!   SetHandler websocket-handler
//!   WebSocketHandler modules/mod_websocket_rust_fraggle.so fraggle_init
//! </Location>
//! ```
//!
//! `/fraggle?fragments=100&seed=7`: the number of fragments is 1 to 1024 (1024 if it is not said),
//! and the same seed, an unsigned 64-bit number, gives the same message. Anything else there is
//! refused with HTTP status 400.
//!
//! The server begins, and does so again when it gets the text `again`: one binary message of random
//! bytes, each fragment 1 to 2001 bytes long, and then a text message about it,
//!
//! ```text
//! {"bytes": 100123, "fragments": 100, "crc32": "0123abcd"}
//! ```
//!
//! with the checksum of the whole as in zlib. The other way round, a client sends a binary message
//! of at most 2 MiB, in fragments or not, and then
//!
//! ```text
//! {"crc32": "0123abcd"}
//! ```
//!
//! to which the server answers whether this is right, and what it has got:
//!
//! ```text
//! {"ok": true, "bytes": 100123, "crc32": "0123abcd"}
//! ```
//!
//! A longer message closes the connection with 1009; any other text, and a checksum without a
//! message, with 1008.

#![forbid(unsafe_code)]

use std::ops::RangeInclusive;

use fastrand::Rng;
use serde::{Deserialize, Serialize};
use websocket_plugin::{Handshake, Message, Plugin, Rejection, SendError, Sender, export_plugin};

const FRAGMENTS: RangeInclusive<u32> = 1..=1024;
const FRAGMENT_BYTES: RangeInclusive<usize> = 1..=2001;
const MAX_MESSAGE: usize = 2 << 20;
/// Close codes (RFC 6455 §7.4.1).
const POLICY_VIOLATION: u16 = 1008;
const MESSAGE_TOO_BIG: u16 = 1009;

struct Fraggle;

/// One connection.
struct Exchange {
    fragments: u32,
    random: Rng,
    /// Of the client's message, until its checksum has come.
    received: Option<Checksum>,
}

impl Plugin for Fraggle {
    type Connection = Exchange;

    fn connect(&self, handshake: &Handshake<'_>) -> Result<Exchange, Rejection> {
        let fragments = match handshake.query("fragments").map(|text| text.parse()) {
            None => *FRAGMENTS.end(),
            Some(Ok(fragments)) if FRAGMENTS.contains(&fragments) => fragments,
            Some(_) => return Err(Rejection::bad_request()),
        };
        let random = match handshake.query("seed").map(|text| text.parse()) {
            None => Rng::new(),
            Some(Ok(seed)) => Rng::with_seed(seed),
            Some(Err(_)) => return Err(Rejection::bad_request()),
        };
        Ok(Exchange {
            fragments,
            random,
            received: None,
        })
    }

    fn open(&self, exchange: &mut Exchange, peer: &Sender) {
        // An error says that the connection is closing.
        let _ = exchange.begin(peer);
    }

    fn message(&self, exchange: &mut Exchange, peer: &Sender, message: Message<'_>) {
        let _ = match message {
            Message::Binary(bytes) => exchange.receive(peer, bytes),
            Message::Text("again") => exchange.begin(peer),
            Message::Text(text) => exchange.answer(peer, text),
        };
    }
}

impl Exchange {
    /// Sends a message in fragments, and what is to be known of it.
    fn begin(&mut self, peer: &Sender) -> Result<(), SendError> {
        let mut sent = Checksum::default();
        let mut next = || {
            let mut fragment = vec![0; self.random.usize(FRAGMENT_BYTES)];
            self.random.fill(&mut fragment);
            sent.add(&fragment);
            fragment
        };
        let mut writer = peer.binary_writer()?;
        for _ in 1..self.fragments {
            writer.write(&next())?;
        }
        writer.finish_with(&next())?;
        send(
            peer,
            &Sent {
                bytes: sent.bytes,
                fragments: self.fragments,
                crc32: sent.crc32(),
            },
        )
    }

    fn receive(&mut self, peer: &Sender, bytes: &[u8]) -> Result<(), SendError> {
        if bytes.len() > MAX_MESSAGE {
            return peer.close_with(MESSAGE_TOO_BIG, "a message has at most 2 MiB");
        }
        self.received.insert(Checksum::default()).add(bytes);
        Ok(())
    }

    fn answer(&mut self, peer: &Sender, text: &str) -> Result<(), SendError> {
        let Ok(Claim { crc32: claimed }) = serde_json::from_str(text) else {
            return peer.close_with(POLICY_VIOLATION, "neither \"again\" nor a checksum");
        };
        let Some(received) = self.received.take() else {
            return peer.close_with(POLICY_VIOLATION, "a checksum without a message");
        };
        let crc32 = received.crc32();
        send(
            peer,
            &Verdict {
                ok: claimed.eq_ignore_ascii_case(&crc32),
                bytes: received.bytes,
                crc32,
            },
        )
    }
}

#[derive(Default)]
struct Checksum {
    bytes: usize,
    crc: crc32fast::Hasher,
}

impl Checksum {
    fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
        self.crc.update(bytes);
    }

    fn crc32(&self) -> String {
        format!("{:08x}", self.crc.clone().finalize())
    }
}

/// What the server says about its message.
#[derive(Serialize)]
struct Sent {
    bytes: usize,
    fragments: u32,
    crc32: String,
}

/// What a client says about its own.
#[derive(Deserialize)]
struct Claim {
    crc32: String,
}

/// What the server has got of it.
#[derive(Serialize)]
struct Verdict {
    ok: bool,
    bytes: usize,
    crc32: String,
}

fn send(peer: &Sender, value: &impl Serialize) -> Result<(), SendError> {
    peer.send_text(&serde_json::to_string(value).expect("numbers and texts"))
}

export_plugin!(fraggle_init, Fraggle);

#[cfg(test)]
mod tests;
