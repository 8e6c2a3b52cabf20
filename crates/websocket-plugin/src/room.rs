//! Who is there: a list of live senders.

use core::fmt;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::many::send_many;
use crate::message::Message;
use crate::sender::{SendError, Sender};

/// The peers that are to hear the same: of a chat room, of a topic, of all that are open in this process.
///
/// A handle: clones are the same room. A peer is in it as long as its [`Seat`] lives, so the seat belongs into the
/// connection's state, which goes with the connection, also after a panic. `T` is what the room knows of each, such
/// as its name.
///
/// Its lock is held while it sends, so that all hear the same order, and never while it waits: it does not wait. A panic
/// of the plugin's own leaves it usable.
///
/// ```
/// use websocket_plugin::{Handshake, Message, Plugin, Rejection, Room, Seat, Sender};
///
/// #[derive(Default)]
/// struct Echoes {
///     room: Room,
/// }
///
/// impl Plugin for Echoes {
///     type Connection = Seat;
///
///     fn connect(&self, handshake: &Handshake<'_>) -> Result<Seat, Rejection> {
///         Ok(self.room.join(handshake.sender(), ()))
///     }
///
///     fn message(&self, _: &mut Seat, _: &Sender, message: Message<'_>) {
///         self.room.send(message);
///     }
/// }
/// ```
pub struct Room<T = ()> {
    members: Arc<Mutex<Members<T>>>,
}

struct Members<T> {
    by_number: BTreeMap<u64, (Sender, T)>,
    next: u64,
}

impl<T> Room<T> {
    /// An empty room.
    pub fn new() -> Self {
        let by_number = BTreeMap::new();
        let members = Members { by_number, next: 0 };
        Self {
            members: Arc::new(Mutex::new(members)),
        }
    }

    /// Lets a peer in, until its seat is dropped.
    pub fn join(&self, peer: &Sender, value: T) -> Seat<T> {
        let mut members = self.lock();
        let number = members.next;
        members.next += 1;
        members.by_number.insert(number, (peer.clone(), value));
        Seat {
            room: self.clone(),
            number,
        }
    }

    /// How many are there.
    pub fn len(&self) -> usize {
        self.lock().by_number.len()
    }

    /// Whether nobody is there.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sends a message to all who keep up, and never waits. Says how many have got it: who is slow misses it, who has
    /// closed does not need it.
    pub fn send(&self, message: Message<'_>) -> usize {
        self.send_or(message, |_, _| {})
    }

    /// [`send`](Self::send), and calls `slow` for each that has no room for it: to close it, or to remember what it has
    /// missed. `slow` must not use the room.
    pub fn send_or(&self, message: Message<'_>, mut slow: impl FnMut(&Sender, &T)) -> usize {
        let members = self.lock();
        let results = send_many(members.by_number.values().map(|(peer, _)| peer), message);
        for ((peer, value), result) in members.by_number.values().zip(&results) {
            if *result == Err(SendError::WouldBlock) {
                slow(peer, value);
            }
        }
        accepted(&results)
    }

    /// Calls `f` for each, in the order in which they came. It must not use the room.
    pub fn for_each(&self, mut f: impl FnMut(&Sender, &T)) {
        for (peer, value) in self.lock().by_number.values() {
            f(peer, value);
        }
    }

    /// A list of those who are there now.
    pub fn senders(&self) -> Vec<Sender> {
        let members = self.lock();
        members
            .by_number
            .values()
            .map(|(peer, _)| peer.clone())
            .collect()
    }

    /// Whole at any time: nothing of the plugin's runs while it is changed.
    fn lock(&self) -> MutexGuard<'_, Members<T>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Room<T> {
    fn clone(&self) -> Self {
        Self {
            members: Arc::clone(&self.members),
        }
    }
}

impl<T> Default for Room<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Room<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").field("len", &self.len()).finish()
    }
}

/// A peer's place in a [`Room`]; dropped, it leaves.
#[must_use = "whose seat is dropped has left the room"]
pub struct Seat<T = ()> {
    room: Room<T>,
    number: u64,
}

impl<T> Seat<T> {
    /// The room.
    pub fn room(&self) -> &Room<T> {
        &self.room
    }

    /// Sends a message to all others. See [`Room::send`].
    pub fn send_to_others(&self, message: Message<'_>) -> usize {
        let members = self.room.lock();
        let others = members.by_number.iter();
        let others = others.filter(|(number, _)| **number != self.number);
        accepted(&send_many(others.map(|(_, (peer, _))| peer), message))
    }
}

fn accepted(results: &[Result<(), SendError>]) -> usize {
    results.iter().filter(|result| result.is_ok()).count()
}

impl<T> Drop for Seat<T> {
    fn drop(&mut self) {
        let left = self.room.lock().by_number.remove(&self.number);
        // The plugin's value, whose drop may do anything.
        drop(left);
    }
}

impl<T> fmt::Debug for Seat<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").finish_non_exhaustive()
    }
}
