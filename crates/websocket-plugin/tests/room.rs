//! A room: who is in it hears what is said, and goes with its connection.

mod mock;

use std::sync::Mutex;

use mock::{Answer, Call, Loaded, Mock};
use websocket_plugin::abi::*;
use websocket_plugin::{Handshake, Message, Plugin, Rejection, Room, Seat, Sender, export_plugin};

struct Chat {
    room: Room<String>,
}

static ROOM: Mutex<Option<Room<String>>> = Mutex::new(None);

impl Chat {
    fn new() -> Self {
        let room = Room::new();
        *ROOM.lock().unwrap() = Some(room.clone());
        Chat { room }
    }
}

impl Plugin for Chat {
    type Connection = Seat<String>;

    fn connect(&self, handshake: &Handshake<'_>) -> Result<Self::Connection, Rejection> {
        let name = handshake.header("Name").unwrap_or_default();
        Ok(self.room.join(handshake.sender(), name.to_owned()))
    }

    fn message(&self, seat: &mut Self::Connection, _: &Sender, message: Message<'_>) {
        match message {
            Message::Text("panic") => self.room.for_each(|_, _| panic!("told to")),
            Message::Text("others") => assert_eq!(seat.send_to_others(message), 1),
            Message::Text(_) => {
                let mut slow = Vec::new();
                self.room
                    .send_or(message, |_, name| slow.push(name.clone()));
                websocket_plugin::log::info!("slow: {slow:?}");
            }
            Message::Binary(_) => {}
        }
    }
}

export_plugin!(room_chat_init, Chat::new());

fn heard(mock: &Mock) -> Vec<Call> {
    let calls = mock.calls().into_iter();
    calls
        .filter(|call| matches!(call, Call::Many(..) | Call::TrySend(..)))
        .collect()
}

fn said(text: &str, by: Who) -> Call {
    let is_sender = matches!(by, Who::ThisOne);
    Call::Many(MESSAGE_TYPE_TEXT, text.as_bytes().to_vec(), is_sender)
}

enum Who {
    ThisOne,
    Another,
}

// One test: they would share the room.
#[test]
fn who_is_in_the_room_hears() {
    who_is_in_the_room_hears_and_nobody_else();
    an_older_server_is_asked_for_each();
}

fn an_older_server_is_asked_for_each() {
    let plugin = Loaded::new(room_chat_init);
    let before = std::mem::offset_of!(WebSocketServer, send_many);
    let [ada, bob] = [(); 2].map(|()| Mock::new().cut(before));
    let privates = [plugin.connect(&ada), plugin.connect(&bob)];
    bob.set_answer(Answer::WouldBlock);
    plugin.text(privates[0], &ada, "hello");
    let tried = Call::TrySend(MESSAGE_TYPE_TEXT, b"hello".to_vec());
    assert_eq!(
        [heard(&ada), heard(&bob)],
        [vec![tried.clone()], vec![tried]]
    );
    assert!(
        ada.lines()
            .iter()
            .any(|(_, line)| line.contains(r#"slow: [""]"#))
    );
    plugin.disconnect(privates[0], &ada);
    plugin.disconnect(privates[1], &bob);
}

fn who_is_in_the_room_hears_and_nobody_else() {
    let plugin = Loaded::new(room_chat_init);
    let room = ROOM.lock().unwrap().clone().unwrap();
    let (ada, bob) = (
        Mock::new().with_header("Name", b"Ada"),
        Mock::new().with_header("Name", b"Bob"),
    );
    let (ada_private, bob_private) = (plugin.connect(&ada), plugin.connect(&bob));
    assert_eq!((room.len(), room.senders().len()), (2, 2));

    plugin.text(ada_private, &ada, "hello");
    assert_eq!(
        (heard(&ada), heard(&bob)),
        (
            vec![said("hello", Who::ThisOne)],
            vec![said("hello", Who::Another)]
        )
    );
    plugin.text(ada_private, &ada, "others");
    assert_eq!((heard(&ada).len(), heard(&bob).len()), (1, 2));

    bob.set_answer(Answer::WouldBlock);
    plugin.text(ada_private, &ada, "again");
    assert!(
        ada.lines()
            .iter()
            .any(|(_, line)| line.contains(r#"slow: ["Bob"]"#))
    );

    // A panic under the room's lock leaves it usable, and its connection leaves no ghost.
    plugin.text(ada_private, &ada, "panic");
    assert_eq!(room.len(), 2);
    plugin.disconnect(ada_private, &ada);
    assert_eq!(room.len(), 1);
    bob.set_answer(Answer::Yes);
    plugin.text(bob_private, &bob, "alone");
    assert_eq!(heard(&bob).last(), Some(&said("alone", Who::ThisOne)));
    plugin.disconnect(bob_private, &bob);
    assert!(room.is_empty());
}
