//! What the session's transport tells: here, a connection may be given up at any time, and its client comes back.

pub struct Promises;

impl Promises {
    pub fn broken(&self) {}

    pub fn has_close_arrived(&self) -> bool {
        false
    }

    pub fn is_found_broken(&self, text: &str) {
        panic!("{text}");
    }
}
