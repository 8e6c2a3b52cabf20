//! Counts up on every WebSocket, one number each 50 ms; the text `reset\n` starts again from 0.
//!
//! It speaks the subprotocol `dumb-increment-protocol`, and refuses a client that does not offer
//! it. Each connection has a thread of its own, which sends while the server goes on.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use websocket_plugin::{Handshake, Message, Plugin, Sender, export_plugin, spawn};

const SUBPROTOCOL: &str = "dumb-increment-protocol";
const INTERVAL: Duration = Duration::from_millis(50);

struct DumbIncrement;

struct Counter {
    next: Arc<AtomicU64>,
    /// The thread ends when this is dropped.
    stop: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Plugin for DumbIncrement {
    type Connection = Counter;

    fn connect(&self, handshake: &Handshake<'_>) -> Option<Counter> {
        if !handshake.choose_subprotocol(SUBPROTOCOL) {
            return None;
        }
        let next = Arc::new(AtomicU64::new(0));
        let (stop, stopped) = mpsc::channel();
        let thread = spawn("dumb-increment", {
            let next = Arc::clone(&next);
            let peer = handshake.sender().clone();
            move || count(&next, &peer, &stopped)
        })
        .ok()?;
        Some(Counter { next, stop, thread })
    }

    fn message(&self, counter: &mut Counter, _peer: &Sender, message: Message<'_>) {
        if message.as_bytes() == b"reset\n" {
            counter.next.store(0, Ordering::Relaxed);
        }
    }

    fn disconnect(&self, Counter { stop, thread, .. }: Counter) {
        drop(stop);
        let _ = thread.join();
    }
}

/// The thread of one connection.
fn count(next: &AtomicU64, peer: &Sender, stopped: &mpsc::Receiver<()>) {
    while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if peer.send_text(&number.to_string()).is_err() {
            return;
        }
    }
}

export_plugin!(dumb_increment_init, DumbIncrement);
