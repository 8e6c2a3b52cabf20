//! What a WebSocket is called: its user, path, subprotocol and Origin, written once when it opens.
//!
//! The words belong to an entry, and are as good as its fields: a reader takes them between two looks at the connection's
//! number, once it has seen the entry open.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::bytes;
use crate::form::cut;

/// The words of an entry's texts: 256 bytes.
pub(crate) const TEXTS: usize = 32;
pub(crate) type TextWords = [AtomicU64; TEXTS];

/// The length of each text in sixteen bits, in the order of [`About`].
const LENGTHS: usize = 0;
const FLAGS: usize = 1;
/// Tells users apart whose names are the same as far as there is room.
const DIGEST: usize = 2;
const TEXT: usize = 3;
const ROOM: usize = (TEXTS - TEXT) * 8;
/// The most bytes of each but the last, which gets what is left.
const MOST_USER: usize = 80;
const MOST_SUBPROTOCOL: usize = 32;
const MOST_ORIGIN: usize = 56;

const TLS: u64 = 1;
const COMPRESSED: u64 = 2;
/// From this bit on, one for each text: it is there.
const PRESENT: u32 = 8;
/// From this bit on, one for each text: it was longer.
const LONGER: u32 = 16;

/// What a WebSocket is called. Every text is the peer's, or the plugin's.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct About {
    /// Who has been authenticated.
    pub user: Option<String>,
    /// What has been agreed on.
    pub subprotocol: Option<String>,
    /// The Origin that its page has.
    pub origin: Option<String>,
    /// The path of its request, without the query.
    pub path: Option<String>,
    /// It came by TLS.
    pub is_tls: bool,
    /// Its messages are compressed (permessage-deflate).
    pub is_compressed: bool,
}

/// What has been read of it: a text that had no room ends with an ellipsis.
pub(crate) struct Read {
    pub about: About,
    user: User,
}

/// A user, as far as there was room.
struct User {
    known: Option<String>,
    is_longer: bool,
    digest: u64,
}

impl Read {
    /// Whether this is the WebSocket of a user of exactly this name.
    pub fn is_of(&self, user: &str) -> bool {
        let User {
            known,
            is_longer,
            digest,
        } = &self.user;
        known.as_deref().is_some_and(|known| match is_longer {
            false => known == user,
            true => {
                user.len() > known.len() && user.starts_with(known) && self::digest(user) == *digest
            }
        })
    }
}

pub(crate) fn write(words: &TextWords, about: &About) {
    let texts = [&about.user, &about.subprotocol, &about.origin, &about.path];
    let mut left = ROOM;
    let mut kept_bytes = Vec::with_capacity(ROOM);
    let (mut lengths, mut flags) = (0, 0);
    for (index, (text, most)) in
        (0u32..).zip(
            texts
                .into_iter()
                .zip([MOST_USER, MOST_SUBPROTOCOL, MOST_ORIGIN, ROOM]),
        )
    {
        let Some(text) = text else { continue };
        let kept = cut(text, most.min(left));
        left -= kept.len();
        kept_bytes.extend_from_slice(kept.as_bytes());
        lengths |= (kept.len() as u64) << (16 * index);
        flags |= 1 << (PRESENT + index);
        flags |= u64::from(kept.len() < text.len()) << (LONGER + index);
    }
    flags |= if about.is_tls { TLS } else { 0 };
    flags |= if about.is_compressed { COMPRESSED } else { 0 };
    words[LENGTHS].store(lengths, Ordering::Relaxed);
    words[FLAGS].store(flags, Ordering::Relaxed);
    let user = about.user.as_deref().unwrap_or_default();
    words[DIGEST].store(digest(user), Ordering::Relaxed);
    // What lies behind the last text is nobody's.
    bytes::write(&words[TEXT..], &kept_bytes);
}

/// Reads what may be changed meanwhile, which the caller finds out afterwards.
pub(crate) fn read(words: &TextWords) -> Read {
    let word = |index: usize| words[index].load(Ordering::Relaxed);
    let (lengths, flags) = (word(LENGTHS), word(FLAGS));
    let bytes = bytes::read(&words[TEXT..]);
    let mut from = 0;
    let [user, subprotocol, origin, path] = [0u32, 1, 2, 3].map(|index| {
        let length = (lengths >> (16 * index)) as usize & usize::from(u16::MAX);
        let text = bytes::text(&bytes, from, length);
        from += length;
        let is_longer = flags & 1 << (LONGER + index) != 0;
        (flags & 1 << (PRESENT + index) != 0).then_some((text, is_longer))
    });
    let known = user.clone();
    let shown = |text: Option<(String, bool)>| {
        text.map(|(text, is_longer)| text + if is_longer { "\u{2026}" } else { "" })
    };
    Read {
        about: About {
            user: shown(user),
            subprotocol: shown(subprotocol),
            origin: shown(origin),
            path: shown(path),
            is_tls: flags & TLS != 0,
            is_compressed: flags & COMPRESSED != 0,
        },
        user: User {
            is_longer: known.as_ref().is_some_and(|(_, is_longer)| *is_longer),
            known: known.map(|(text, _)| text),
            digest: word(DIGEST),
        },
    }
}

/// FNV-1a, which stays what it is when the compiler changes: two builds of the module may share a board.
fn digest(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |digest, byte| {
        (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(about: &About) -> Read {
        let words = [const { AtomicU64::new(u64::MAX) }; TEXTS];
        write(&words, about);
        read(&words)
    }

    fn of(user: &str) -> About {
        About {
            user: Some(user.to_owned()),
            ..About::default()
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let about = About {
            user: Some("J\u{fc}rgen \"<b>\"".to_owned()),
            subprotocol: Some("chat.v1".to_owned()),
            origin: None,
            path: Some("/a/b\n".to_owned()),
            is_tls: true,
            is_compressed: false,
        };
        assert_eq!(written(&about).about, about);
        assert_eq!(written(&About::default()).about, About::default());
        let empty = of("");
        assert_eq!(written(&empty).about, empty);
    }

    #[test]
    fn what_has_no_room_is_cut_between_characters() {
        let long = Some("\u{fc}".repeat(300));
        let about = About {
            user: long.clone(),
            subprotocol: long.clone(),
            origin: long.clone(),
            path: long,
            ..About::default()
        };
        let read = written(&about).about;
        for (text, bytes) in [
            (read.user, MOST_USER),
            (read.subprotocol, MOST_SUBPROTOCOL),
            (read.origin, MOST_ORIGIN),
            (read.path, ROOM - MOST_USER - MOST_SUBPROTOCOL - MOST_ORIGIN),
        ] {
            assert_eq!(text.unwrap(), "\u{fc}".repeat(bytes / 2) + "\u{2026}");
        }
    }

    #[test]
    fn a_user_is_no_other_whose_name_begins_alike() {
        let (short, long) = ("a".repeat(MOST_USER), "a".repeat(MOST_USER + 1));
        let other = "a".repeat(MOST_USER) + "b";
        for (user, asked, is_it) in [
            (&short, &short, true),
            (&short, &long, false),
            (&long, &long, true),
            (&long, &short, false),
            (&long, &other, false),
        ] {
            assert_eq!(written(&of(user)).is_of(asked), is_it, "{user} {asked}");
        }
        let cut = "a".repeat(MOST_USER) + "\u{2026}";
        assert!(!written(&of(&long)).is_of(&cut));
        assert!(!written(&About::default()).is_of(""));
        assert!(written(&of("")).is_of(""));
    }
}
