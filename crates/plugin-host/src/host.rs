//! What all threads of the process share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use reactor::Reactor;
use session::Buffers;
use session::sync::lock;

use crate::command_line::Settings;
use crate::exchange::Exchange;
use crate::generation::Generation;
use crate::running::Running;
use crate::terminal::Terminal;

/// What all threads share.
pub struct Host {
    pub settings: Settings,
    pub terminal: Arc<Terminal>,
    pub running: Arc<Running>,
    pub buffers: Arc<Buffers>,
    pub exchange: Arc<Exchange>,
    pub reactor: Reactor,
    /// `None`: no more connections.
    pub generation: Mutex<Option<Arc<Generation>>>,
    /// Those before it, of which some may still have connections.
    pub earlier: Mutex<Vec<Weak<Generation>>>,
    pub numbers: AtomicU64,
}

impl Host {
    /// What new connections get.
    pub fn current(&self) -> Option<Arc<Generation>> {
        lock(&self.generation).clone()
    }

    /// A number for a connection.
    pub fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed) + 1
    }
}
