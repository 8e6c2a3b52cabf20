//! The name of a topic.

use std::borrow::Borrow;
use std::fmt;

/// The name of a topic: 1 to [`Topic::MOST`] bytes of UTF-8 without control characters. Every other character is as
/// good as any; names are equal when their bytes are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Topic(Box<str>);

/// A text cannot name a topic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadTopic {
    /// It has no character.
    Empty,
    /// It has more than [`Topic::MOST`] bytes.
    TooLong,
    /// It has a control character (Unicode's category Cc).
    Control,
    /// Its bytes are not UTF-8.
    NotUtf8,
}

impl Topic {
    /// The most bytes of a name.
    pub const MOST: usize = 255;

    /// The topic of this name.
    pub fn new(name: &str) -> Result<Self, BadTopic> {
        match name.len() {
            0 => return Err(BadTopic::Empty),
            1..=Self::MOST => {}
            _ => return Err(BadTopic::TooLong),
        }
        if name.chars().any(char::is_control) {
            return Err(BadTopic::Control);
        }
        Ok(Topic(name.into()))
    }

    /// The topic of the name that these bytes are.
    pub fn from_bytes(name: &[u8]) -> Result<Self, BadTopic> {
        Self::new(str::from_utf8(name).map_err(|_| BadTopic::NotUtf8)?)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Topic {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for BadTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadTopic::Empty => "a topic's name is not empty",
            BadTopic::TooLong => "a topic's name has at most 255 bytes",
            BadTopic::Control => "a topic's name has no control characters",
            BadTopic::NotUtf8 => "a topic's name is UTF-8",
        })
    }
}

impl std::error::Error for BadTopic {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_bad() {
        assert_eq!(Topic::new(""), Err(BadTopic::Empty));
        assert_eq!(Topic::new(&"x".repeat(256)), Err(BadTopic::TooLong));
        assert_eq!(Topic::new(&"ä".repeat(128)), Err(BadTopic::TooLong));
        for control in ['\0', '\t', '\n', '\u{1f}', '\u{7f}', '\u{85}', '\u{9f}'] {
            assert_eq!(Topic::new(&format!("a{control}b")), Err(BadTopic::Control));
        }
        assert_eq!(Topic::from_bytes(b"\xff"), Err(BadTopic::NotUtf8));
    }

    #[test]
    fn names_that_are_good() {
        let longest = "x".repeat(255);
        for name in [" ", "/room/1", "größe", "\u{a0}", longest.as_str()] {
            assert_eq!(Topic::from_bytes(name.as_bytes()).unwrap().as_str(), name);
        }
    }
}
