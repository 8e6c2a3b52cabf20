//! Memory that a process's sessions share: buffers that input passes through, and large ones for large messages,
//! which are expensive to get from the system each time (a page fault every 4 KiB), and the budget of unfinished messages;
//! and what their callbacks have gathered for each other.

use std::sync::Arc;

use websocket_proto::MessageBudget;

use crate::gathering::Gatherings;
use crate::sync::{Mutex, lock};

/// The most that one read takes, in bytes: 64 KiB, which are many a message's size, and a page for its header and what comes
/// before it. A message that fits is used where it is.
pub const INPUT: usize = 68 * 1024;
/// How many buffers for input are kept.
const MOST_INPUT: usize = 16;
/// Smaller buffers are not worth keeping, nor larger ones, in bytes.
const LARGE: std::ops::RangeInclusive<usize> = 64 * 1024..=2 * 1024 * 1024;
/// How many large buffers are kept.
const MOST: usize = 4;

/// The buffers of one process. What is not in use stays here, never with a session that waits.
pub struct Buffers {
    input: Mutex<Vec<Box<[u8]>>>,
    large: Mutex<Vec<Vec<u8>>>,
    messages: Arc<MessageBudget>,
    gatherings: Gatherings,
}

impl Buffers {
    /// None yet; `messages` is what unfinished messages may take.
    pub fn new(messages: Arc<MessageBudget>) -> Self {
        Buffers {
            input: Mutex::default(),
            large: Mutex::default(),
            messages,
            gatherings: Gatherings::default(),
        }
    }

    /// What unfinished messages share.
    pub fn messages(&self) -> &Arc<MessageBudget> {
        &self.messages
    }

    /// What callbacks have given to others, and is not written yet.
    pub fn gatherings(&self) -> &Gatherings {
        &self.gatherings
    }

    /// A buffer for input, to be given back, for threads that have none of their own.
    pub fn take_input(&self) -> Box<[u8]> {
        lock(&self.input)
            .pop()
            .unwrap_or_else(|| vec![0; INPUT].into_boxed_slice())
    }

    /// Takes a buffer for input back.
    pub fn give_input(&self, buffer: Box<[u8]>) {
        let mut input = lock(&self.input);
        if input.len() < MOST_INPUT {
            input.push(buffer);
        }
    }

    /// An empty buffer that is going to hold about `size` bytes, and has no more than twice the room: what it holds may wait,
    /// and only that is counted.
    pub fn take(&self, size: usize) -> Vec<u8> {
        if !LARGE.contains(&size) {
            return Vec::new();
        }
        let mut large = lock(&self.large);
        let fits = large
            .iter()
            .position(|buffer| (size..=2 * size).contains(&buffer.capacity()));
        let mut buffer = fits.map_or_else(Vec::new, |index| large.swap_remove(index));
        buffer.clear();
        buffer
    }

    /// A buffer for at least `size` bytes, if there is one, with whatever is in it.
    pub fn lend(&self, size: usize) -> Vec<u8> {
        let mut large = lock(&self.large);
        let fits = large.iter().position(|buffer| buffer.capacity() >= size);
        fits.map_or_else(Vec::new, |index| large.swap_remove(index))
    }

    /// Takes a buffer that nobody needs any more.
    pub fn give(&self, buffer: Vec<u8>) {
        if LARGE.contains(&buffer.capacity()) {
            let mut large = lock(&self.large);
            if large.len() < MOST {
                large.push(buffer);
            }
        }
    }
}
