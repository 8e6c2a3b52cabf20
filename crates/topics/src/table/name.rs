//! A topic's name with its hash, which is made before the lock is taken.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::name::Topic;

/// A name to look for.
#[derive(Clone, Copy)]
pub(crate) struct Name<'a> {
    pub text: &'a str,
    pub hash: u64,
}

impl<'a> Name<'a> {
    /// The hash is keyed: clients name topics. Every build must find what another one has put in the index, which the
    /// standard library's hash does not promise.
    pub fn new(topic: &'a Topic, seed: [u64; 2]) -> Self {
        let text = topic.as_str();
        let mut hasher = SipHasher13::new_with_keys(seed[0], seed[1]);
        hasher.write(text.as_bytes());
        Name {
            text,
            hash: hasher.finish(),
        }
    }
}
