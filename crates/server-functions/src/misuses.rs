//! What a plugin has done wrong on one connection.

use session::sync::{Mutex, lock};

/// How many kinds of mistakes are told for one connection.
const MOST: usize = 32;

/// The mistakes that have been told: each kind once, so that a plugin in a loop does not fill the log.
#[derive(Default)]
pub struct Misuses(Mutex<Vec<String>>);

impl Misuses {
    /// Whether this mistake is to be told: now, and not again.
    pub fn is_new(&self, reason: &str) -> bool {
        let mut told = lock(&self.0);
        let is_new = told.len() < MOST && !told.iter().any(|one| one == reason);
        if is_new {
            told.push(reason.to_owned());
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_told_once_and_not_too_many_are() {
        let misuses = Misuses::default();
        assert!(misuses.is_new("one"));
        assert!(!misuses.is_new("one"));
        let told = (0..100).filter(|kind| misuses.is_new(&kind.to_string()));
        assert_eq!(told.count(), MOST - 1);
    }
}
