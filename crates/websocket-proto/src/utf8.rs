//! UTF-8 checked while it arrives (RFC 6455 §8.1, RFC 3629).

use std::fmt;

/// The text is not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidUtf8;

impl fmt::Display for InvalidUtf8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text is not UTF-8")
    }
}

impl std::error::Error for InvalidUtf8 {}

/// Checks a text that arrives in pieces; the pieces may cut characters anywhere.
///
/// Call [`push`](Self::push) with each piece and [`finish`](Self::finish) after the last one, which
/// also makes the validator ready for the next text. `push` fails in the call that brings the first
/// byte that cannot belong to any UTF-8 text, even when the character is not complete yet. After
/// a failure the validator is of no further use.
///
/// Between two calls it keeps no bytes, only what may follow the character begun.
#[derive(Clone, Debug)]
pub struct Utf8Validator {
    /// How many bytes the character begun still lacks.
    missing: u8,
    /// The next byte has to be in `lowest..=highest` when `missing` is not 0.
    lowest: u8,
    highest: u8,
}

impl Utf8Validator {
    /// A validator at the start of a text.
    pub const fn new() -> Utf8Validator {
        Utf8Validator {
            missing: 0,
            lowest: 0x80,
            highest: 0xbf,
        }
    }

    /// Checks the next piece.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), InvalidUtf8> {
        let mut rest = piece;
        while self.missing > 0 {
            let Some((&byte, after)) = rest.split_first() else {
                return Ok(());
            };
            self.step(byte)?;
            rest = after;
        }
        let (bulk, tail) = rest.split_at(rest.len() - cut_character_len(rest));
        simdutf8::basic::from_utf8(bulk).map_err(|_| InvalidUtf8)?;
        tail.iter().try_for_each(|&byte| self.step(byte))
    }

    /// Ends the text: fails when its last character is cut.
    pub fn finish(&mut self) -> Result<(), InvalidUtf8> {
        let whole = self.missing == 0;
        *self = Utf8Validator::new();
        match whole {
            true => Ok(()),
            false => Err(InvalidUtf8),
        }
    }

    /// Checks one byte: RFC 3629 §4, one line of its grammar per branch.
    fn step(&mut self, byte: u8) -> Result<(), InvalidUtf8> {
        if self.missing > 0 {
            if !(self.lowest..=self.highest).contains(&byte) {
                return Err(InvalidUtf8);
            }
            (self.missing, self.lowest, self.highest) = (self.missing - 1, 0x80, 0xbf);
            return Ok(());
        }
        (self.missing, self.lowest, self.highest) = match byte {
            0x00..=0x7f => (0, 0x80, 0xbf),
            0xc2..=0xdf => (1, 0x80, 0xbf),
            // Not below U+0800, which fits two bytes.
            0xe0 => (2, 0xa0, 0xbf),
            0xe1..=0xec | 0xee..=0xef => (2, 0x80, 0xbf),
            // No surrogates, U+D800 to U+DFFF.
            0xed => (2, 0x80, 0x9f),
            // Not below U+10000, which fits three bytes.
            0xf0 => (3, 0x90, 0xbf),
            0xf1..=0xf3 => (3, 0x80, 0xbf),
            // Not above U+10FFFF.
            0xf4 => (3, 0x80, 0x8f),
            // A stray continuation byte, an overlong form (C0, C1), or above U+10FFFF (F5 and up).
            0x80..=0xc1 | 0xf5..=0xff => return Err(InvalidUtf8),
        };
        Ok(())
    }
}

impl Default for Utf8Validator {
    fn default() -> Utf8Validator {
        Utf8Validator::new()
    }
}

/// Checks a text that is there as a whole.
pub(crate) fn check_whole(text: &[u8]) -> Result<(), InvalidUtf8> {
    simdutf8::basic::from_utf8(text)
        .map(|_| ())
        .map_err(|_| InvalidUtf8)
}

/// How many bytes at the end of `text` belong to a character that goes on after it, going by the
/// lead byte alone: 0 to 3.
fn cut_character_len(text: &[u8]) -> usize {
    for back in 1..=text.len().min(3) {
        let len = match text[text.len() - back] {
            0x80..=0xbf => continue,
            0x00..=0x7f => 1,
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xff => 4,
        };
        return if len > back { back } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Pushes byte by byte; the index of the byte refused, or the text's length when only the end
    /// is at fault.
    fn first_fault(text: &[u8]) -> Option<usize> {
        let mut validator = Utf8Validator::new();
        for (index, &byte) in text.iter().enumerate() {
            if validator.push(&[byte]).is_err() {
                return Some(index);
            }
        }
        validator.finish().err().map(|_| text.len())
    }

    /// The naive twin: the shortest prefix that no text begins with.
    fn first_fault_by_std(text: &[u8]) -> Option<usize> {
        let error = std::str::from_utf8(text).err()?;
        match error.error_len() {
            // std says how long the part is that a decoder replaces: the byte after it is at fault,
            // or the first one when that is wrong on its own.
            Some(len) => {
                let at = error.valid_up_to();
                let lead_is_wrong = matches!(text[at], 0x80..=0xc1 | 0xf5..=0xff);
                Some(if lead_is_wrong { at } else { at + len })
            }
            None => Some(text.len()),
        }
    }

    #[test]
    fn whole_characters_of_every_length_are_valid() {
        for character in (0..=0x10ffff).filter_map(char::from_u32) {
            let mut buffer = [0; 4];
            let text = character.encode_utf8(&mut buffer).as_bytes();
            assert_eq!(first_fault(text), None, "{character:?}");
        }
    }

    #[test]
    fn every_two_byte_text_fails_where_std_says() {
        for first in 0..=0xff {
            for second in 0..=0xff {
                let text = [first, second];
                assert_eq!(first_fault(&text), first_fault_by_std(&text), "{text:x?}");
                let whole = Utf8Validator::new().push(&text).is_err();
                let expected = first_fault_by_std(&text).is_some_and(|at| at < 2);
                assert_eq!(whole, expected, "{text:x?}");
            }
        }
    }

    #[test]
    fn impossible_sequences_fail_at_their_first_wrong_byte() {
        for (text, fault) in [
            (&b"\xf4\x90\x80\x80"[..], 1), // above U+10FFFF
            (b"\xed\xa0\x80", 1),          // U+D800
            (b"\xed\xbf\xbf", 1),          // U+DFFF
            (b"\xf0\x80\x80\x80", 1),      // overlong
            (b"\xf0\x8f\xbf\xbf", 1),
            (b"\xe0\x9f\xbf", 1),
            (b"\xc0\xaf", 0),
            (b"\xc1\xbf", 0),
            (b"\xf5\x80\x80\x80", 0),
            (b"\xf8\x88\x80\x80\x80", 0),
            (b"\xfe", 0),
            (b"\xff", 0),
            (b"\x80", 0),
            (b"\xbf", 0),
            (b"\xe2\x82x", 2),
            (b"\xf1\x80\x80x", 3),
        ] {
            assert_eq!(first_fault(text), Some(fault), "{text:x?}");
            let upto = &text[..=fault];
            assert!(
                Utf8Validator::new().push(upto).is_err(),
                "{text:x?} in one piece"
            );
        }
    }

    #[test]
    fn a_text_cut_inside_a_character_fails_only_at_its_end() {
        for text in [&b"\xce"[..], b"a\xe2\x82", b"\xf0\x9f\x98", b"\xf4\x8f\xbf"] {
            let mut validator = Utf8Validator::new();
            assert_eq!(validator.push(text), Ok(()), "{text:x?}");
            assert_eq!(validator.finish(), Err(InvalidUtf8), "{text:x?}");
        }
    }

    #[test]
    fn a_validator_is_ready_for_the_next_text_after_finish() {
        let mut validator = Utf8Validator::new();
        assert_eq!(validator.push(b"\xce"), Ok(()));
        assert_eq!(validator.finish(), Err(InvalidUtf8));
        assert_eq!(validator.push(b"x"), Ok(()));
        assert_eq!(validator.finish(), Ok(()));
    }

    #[test]
    fn a_fault_behind_much_valid_text_is_found_at_every_split() {
        let mut text = "κόσμε, 𝄞 and ASCII; ".repeat(20).into_bytes();
        text.extend_from_slice(b"\xed\xa0");
        for split in 0..=text.len() {
            let mut validator = Utf8Validator::new();
            let (before, after) = text.split_at(split);
            let failed = validator.push(before).is_err() || validator.push(after).is_err();
            assert!(failed, "split at {split}");
        }
        text.truncate(text.len() - 2);
        for split in 0..=text.len() {
            let mut validator = Utf8Validator::new();
            let (before, after) = text.split_at(split);
            assert_eq!(validator.push(before), Ok(()), "split at {split}");
            assert_eq!(validator.push(after), Ok(()), "split at {split}");
            assert_eq!(validator.finish(), Ok(()), "split at {split}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_fail_at_the_byte_that_std_names(
            text in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..40),
                proptest::collection::vec(
                    proptest::sample::select(&b"a\x80\x90\xa0\xbf\xc2\xe0\xed\xef\xf0\xf4"[..]),
                    0..40,
                ),
            ],
            size in 1usize..9,
        ) {
            let fault = first_fault_by_std(&text);
            prop_assert_eq!(first_fault(&text), fault);

            let mut validator = Utf8Validator::new();
            let mut failed_in = None;
            for (index, piece) in text.chunks(size).enumerate() {
                if validator.push(piece).is_err() {
                    failed_in = Some(index);
                    break;
                }
            }
            let expected = fault.filter(|&at| at < text.len()).map(|at| at / size);
            prop_assert_eq!(failed_in, expected);
        }
    }
}
