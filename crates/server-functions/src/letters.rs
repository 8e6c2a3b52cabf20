//! What a plugin is told of its subscriptions, in its connection's turns, so that it overlaps with no other callback.

use session::{Environment, Outgoing, Session};
use subscribers::{Attendance, Letter, Message, News, Refused};
use topics::Kind;
use websocket_proto::{Compression, MessageKind};

/// How many letters a turn takes before the client's own messages have theirs.
const MOST: usize = 64;

/// Goes on with a connection's subscriptions, as far as there is room. `on_topic` calls the plugin, and says whether the
/// message goes to the client. Only in a turn.
pub fn go_on<E: Environment>(
    session: &Session<E>,
    attendance: &Attendance,
    on_topic: impl Fn(&Letter) -> bool,
) {
    let mut is_full = false;
    for _ in 0..MOST {
        // What `on_topic` sends in a letter's place must find room as well.
        if !attendance.has_letters() || !session.has_room() {
            break;
        }
        let Some((letter, has_passed)) = attendance.next() else {
            break;
        };
        let passes = has_passed || on_topic(&letter);
        if passes && pass(session, &letter) == Err(Refused::Full) {
            attendance.keep(letter);
            // It is told of room, also where there is some for others: a message that waits for the end of one in parts needs more.
            is_full = true;
            break;
        }
    }
    session.flush();
    if !attendance.has_letters() {
        // They may have had no room for more.
        attendance.go_on();
    } else if !is_full && !session.has_ended() && session.has_room() {
        session.call();
    }
}

fn pass<E: Environment>(session: &Session<E>, letter: &Letter) -> Result<(), Refused> {
    match &letter.news {
        News::Message {
            kind,
            may_compress,
            payload,
        } => {
            let kind = match kind {
                Kind::Text => MessageKind::Text,
                _ => MessageKind::Binary,
            };
            let compression = match may_compress {
                true => Compression::Default,
                false => Compression::Skip,
            };
            gather(session, Message::ToOne(kind, compression, payload))
        }
        _ => Ok(()),
    }
}

/// Puts a message of a topic in, to go out with what follows.
pub fn gather<E: Environment>(session: &Session<E>, message: Message<'_>) -> Result<(), Refused> {
    let taken = session.gather(match message {
        Message::ToMany(message) => Outgoing::Prepared(message),
        Message::ToOne(kind, compression, payload) => Outgoing::Message(kind, compression, payload),
    });
    taken.map_err(|refused| match refused {
        session::Refused::Full => Refused::Full,
        _ => Refused::Ended,
    })
}
