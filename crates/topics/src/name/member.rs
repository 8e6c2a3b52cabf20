//! What a subscriber calls itself.

use std::fmt;

/// What a subscriber calls itself among its topic's members: 1 to [`Member::MOST`] bytes of UTF-8 without control
/// characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Member(Box<str>);

/// A text cannot name a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadMember {
    /// It has no character.
    Empty,
    /// It has more than [`Member::MOST`] bytes.
    TooLong,
    /// It has a control character (Unicode's category Cc).
    Control,
    /// Its bytes are not UTF-8.
    NotUtf8,
}

impl Member {
    /// The most bytes of a text.
    pub const MOST: usize = 128;

    /// The member of this text.
    pub fn new(text: &str) -> Result<Self, BadMember> {
        match text.len() {
            0 => return Err(BadMember::Empty),
            1..=Self::MOST => {}
            _ => return Err(BadMember::TooLong),
        }
        if text.chars().any(char::is_control) {
            return Err(BadMember::Control);
        }
        Ok(Member(text.into()))
    }

    /// The member of the text that these bytes are.
    pub fn from_bytes(text: &[u8]) -> Result<Self, BadMember> {
        Self::new(str::from_utf8(text).map_err(|_| BadMember::NotUtf8)?)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BadMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadMember::Empty => "a member's text is not empty",
            BadMember::TooLong => "a member's text has at most 128 bytes",
            BadMember::Control => "a member's text has no control characters",
            BadMember::NotUtf8 => "a member's text is UTF-8",
        })
    }
}

impl std::error::Error for BadMember {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_texts_name_members() {
        let longest = "x".repeat(Member::MOST);
        for text in [" ", "Ada", "\u{1f600}", longest.as_str()] {
            assert_eq!(Member::from_bytes(text.as_bytes()).unwrap().as_str(), text);
        }
        let bad = [
            ("", BadMember::Empty),
            (&*"ä".repeat(65), BadMember::TooLong),
            ("a\tb", BadMember::Control),
            ("\u{85}", BadMember::Control),
        ];
        for (text, reason) in bad {
            assert_eq!(Member::new(text), Err(reason), "{text:?}");
        }
        assert_eq!(Member::from_bytes(b"\xff"), Err(BadMember::NotUtf8));
    }
}
