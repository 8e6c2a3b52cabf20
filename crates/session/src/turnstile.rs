//! Whose turn it is: one thread at a time has what belongs to the turn.
//!
//! | the turnstile | a thread begins a turn | the turn is over | the session ends outside of a turn |
//! |---|---|---|---|
//! | free | **taken** by it | – | **ended** by it |
//! | taken by another thread | leaves word: *again* | **free**, or **ended**; with word, the turn says that there is more to do | refused |
//! | ended | refused | – | refused |
//!
//! So a thread that asks for a turn at once with another one's neither waits nor takes the session for ended, and what it
//! has come for is seen: its word is left under the lock under which the turn gives the turnstile back.

use crate::sync::{Mutex, lock};

/// The place of what belongs to the turn.
pub struct Turnstile<T>(Mutex<State<T>>);

enum State<T> {
    Free(Box<T>),
    Taken { again: bool },
    Ended,
}

/// What a thread finds that wants the turnstile.
pub enum Found<T> {
    /// It has the turn.
    Free(Box<T>),
    /// Another thread has, and is going to say that there is more to do.
    Taken,
    /// There are no more turns.
    Ended,
}

impl<T> Turnstile<T> {
    /// A free turnstile.
    pub fn new(belongings: T) -> Self {
        Turnstile(Mutex::new(State::Free(Box::new(belongings))))
    }

    /// Takes the turnstile, or leaves word.
    #[inline]
    pub fn take(&self) -> Found<T> {
        let mut state = lock(&self.0);
        match std::mem::replace(&mut *state, State::Taken { again: true }) {
            State::Free(belongings) => {
                *state = State::Taken { again: false };
                Found::Free(belongings)
            }
            State::Taken { .. } => Found::Taken,
            State::Ended => {
                *state = State::Ended;
                Found::Ended
            }
        }
    }

    /// Takes the turnstile for the last time, unless another thread has it or has ended it.
    pub fn take_for_good(&self) -> Option<Box<T>> {
        let mut state = lock(&self.0);
        match std::mem::replace(&mut *state, State::Ended) {
            State::Free(belongings) => Some(belongings),
            other => {
                *state = other;
                None
            }
        }
    }

    /// The turn is over. Says whether another thread has asked for one meanwhile.
    #[inline]
    pub fn give_back(&self, belongings: Box<T>) -> bool {
        let before = std::mem::replace(&mut *lock(&self.0), State::Free(belongings));
        matches!(before, State::Taken { again: true })
    }

    /// The last turn is over.
    pub fn end(&self) {
        *lock(&self.0) = State::Ended;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn taken<T>(turnstile: &Turnstile<T>) -> Box<T> {
        match turnstile.take() {
            Found::Free(belongings) => belongings,
            _ => panic!("the turnstile is free"),
        }
    }

    #[test]
    fn a_second_turn_at_once_leaves_word_with_the_first() {
        let turnstile = Turnstile::new(7);
        let belongings = taken(&turnstile);
        assert!(matches!(turnstile.take(), Found::Taken));
        assert!(turnstile.take_for_good().is_none());
        assert!(
            turnstile.give_back(belongings),
            "another turn was asked for"
        );
        let belongings = taken(&turnstile);
        assert!(!turnstile.give_back(belongings), "said once");
    }

    #[test]
    fn an_ended_turnstile_stays_so() {
        let turnstile = Turnstile::new(7);
        assert_eq!(turnstile.take_for_good(), Some(Box::new(7)));
        assert!(matches!(turnstile.take(), Found::Ended));
        assert!(matches!(turnstile.take(), Found::Ended));
        assert!(turnstile.take_for_good().is_none());
        let turnstile = Turnstile::new(7);
        let _last = taken(&turnstile);
        turnstile.end();
        assert!(matches!(turnstile.take(), Found::Ended));
    }
}
