//! The plugin in a world of `websocket_plugin::testing`.

use serde_json::{Value, json};
use websocket_plugin::Message;
use websocket_plugin::testing::{Client, Received, Request, World};

use super::{HISTORY, TOPIC, chat_init};

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
        [json!({"type": "join", "nick": "Ada", "members": 1})]
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
    assert_eq!(news(&other).last().unwrap()["nick"], "Ada");
}

#[test]
fn who_joins_reads_the_last_messages_first() {
    let world = World::new(chat_init);
    let ada = enter(&world, "Ada");
    for number in 0..=HISTORY {
        ada.send_text(&json!({ "text": number.to_string() }).to_string());
    }
    let told = news(&enter(&world, "Bob"));
    let texts: Vec<_> = told
        .iter()
        .filter_map(|news| news["text"].as_str())
        .collect();
    let expected: Vec<_> = (1..=HISTORY).map(|number| number.to_string()).collect();
    assert_eq!(texts, expected);
    assert_eq!(
        told.last().unwrap(),
        &json!({"type": "join", "nick": "Bob", "members": 2})
    );
}

#[test]
fn what_is_said_elsewhere_is_heard_here() {
    let world = World::new(chat_init);
    let ada = enter(&world, "Ada");
    news(&ada);
    let said = json!({"type": "message", "nick": "Eve", "text": "Hello!", "time": 1.0});
    world.publish(TOPIC, Message::Text(&said.to_string()));
    let expected = json!({"type": "message", "nick": "Eve", "text": "Hello!"});
    assert_eq!(news(&ada), [expected]);
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
    let close = Received::Close(Some(1013), "slow".into());
    assert_eq!(slow.received(), [close]);
    assert_eq!(
        news(&ada)[1],
        json!({"type": "leave", "nick": "Slow", "members": 1})
    );
}

#[test]
fn without_topics_nobody_can_join_and_is_told() {
    let world = World::new(chat_init);
    world.set_topics(false);
    let ada = enter(&world, "Ada");
    let error = "there is no room here: this server has no topics";
    assert_eq!(news(&ada), [json!({"type": "error", "error": error})]);
    assert!(ada.is_open());
}
