//! The plugin in a world of `websocket_plugin::testing`.

use serde_json::{Value, json};
use websocket_plugin::testing::{Client, Received, Request, World};

use super::{MAX_HISTORY, chat_init};

fn enter<'w>(world: &'w World, nick: &str) -> Client<'w> {
    let client = world.connect(Request::to("/chat")).unwrap();
    client.send_text(&json!({ "nick": nick }).to_string());
    client
}

/// What a client has got, without the times.
fn news(client: &Client<'_>) -> Vec<Value> {
    let texts = client
        .received()
        .into_iter()
        .map(|received| match received {
            Received::Text(text) => text,
            other => panic!("{other:?} is no text"),
        });
    texts
        .map(|text| {
            let mut news: Value = serde_json::from_str(&text).unwrap();
            news.as_object_mut().unwrap().remove("time");
            news
        })
        .collect()
}

#[test]
fn everybody_hears_who_comes_speaks_and_goes() {
    let world = World::new(chat_init);
    let ada = enter(&world, " Ada ");
    assert_eq!(
        news(&ada),
        [
            json!({"type": "history", "messages": []}),
            json!({"type": "join", "nick": "Ada", "members": 1}),
        ]
    );
    let bob = enter(&world, "Bob");
    ada.send_text(r#"{"text": "Hello!"}"#);
    bob.close(1000, "");
    assert_eq!(
        news(&ada),
        [
            json!({"type": "join", "nick": "Bob", "members": 2}),
            json!({"type": "message", "nick": "Ada", "text": "Hello!"}),
            json!({"type": "leave", "nick": "Bob", "members": 1}),
        ]
    );
}

#[test]
fn a_nickname_is_one_persons_until_they_leave() {
    let world = World::new(chat_init);
    let ada = enter(&world, "Ada");
    let other = enter(&world, "Ada");
    let taken = json!({"type": "error", "error": "somebody has this nickname"});
    assert_eq!(news(&other), [taken]);
    ada.vanish();
    other.send_text(r#"{"nick": "Ada"}"#);
    assert_eq!(news(&other)[0]["type"], "history");
}

#[test]
fn history_has_the_last_messages() {
    let world = World::new(chat_init);
    let ada = enter(&world, "Ada");
    for number in 0..=MAX_HISTORY {
        ada.send_text(&json!({ "text": number.to_string() }).to_string());
    }
    let history = &news(&enter(&world, "Bob"))[0]["messages"];
    assert_eq!(history.as_array().unwrap().len(), MAX_HISTORY);
    assert_eq!(history[0]["text"], "1");
}

#[test]
fn who_reads_too_slowly_is_closed_and_leaves() {
    let world = World::new(chat_init);
    let (ada, slow) = (enter(&world, "Ada"), enter(&world, "Slow"));
    news(&ada);
    news(&slow);
    slow.stop_reading();
    ada.send_text(r#"{"text": "Hello!"}"#);
    assert!(!slow.is_open());
    let close = Received::Close(Some(1013), "too slow".into());
    assert_eq!(slow.received(), [close]);
    assert_eq!(
        news(&ada)[1],
        json!({"type": "leave", "nick": "Slow", "members": 1})
    );
}
