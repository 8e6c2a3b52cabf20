//! The topics of a world of `websocket_plugin::testing`: as a server has them, within the one process.

use websocket_plugin::testing::{Client, Received, Request, World};
use websocket_plugin::{
    Delivery, Handshake, Message, News, Plugin, Publish, Rejection, Sender, Subscribe, TopicError,
    TopicEvent, export_plugin,
};

/// Does what a message says, and answers with what has come of it.
struct Obedient;

impl Plugin for Obedient {
    type Connection = ();

    fn connect(&self, handshake: &Handshake<'_>) -> Result<(), Rejection> {
        if let Some(name) = handshake.query("name") {
            let wanted = Subscribe::new().member(&name).unique().watched().presence();
            let subscribed = handshake.sender().subscribe("a", &wanted);
            subscribed.map_err(|error| Rejection::new(409).because(error))?;
        }
        Ok(())
    }

    fn message(&self, (): &mut (), peer: &Sender, message: Message<'_>) {
        let Message::Text(text) = message else {
            return;
        };
        let topics = peer.topics();
        let said = Message::Text("said");
        let answer = match text {
            "subscribe" => format!("{:?}", peer.subscribe("a", &Subscribe::new())),
            "last" => format!("{:?}", peer.subscribe("a", &Subscribe::new().last(1))),
            "json" => format!("{:?}", peer.subscribe("a", &Subscribe::new().json())),
            "odd" => format!("{:?}", peer.subscribe("a", &Subscribe::new().presence())),
            "unsubscribe" => format!("{:?}", peer.unsubscribe("a")),
            "publish" => format!("{:?}", topics.publish("a", said)),
            "others" => {
                let how = Publish::new().exclude_self().volatile();
                format!("{:?}", topics.publish_with("a", said, how))
            }
            "retain" => format!(
                "{:?}",
                topics.publish_with("a", said, Publish::new().retain())
            ),
            "count" => format!("{:?} {:?}", topics.count("a"), topics.members("a")),
            since => format!("{:?}", peer.subscribe("a", &Subscribe::new().since(since))),
        };
        let _ = peer.send_text(&answer);
    }

    fn topic(&self, (): &mut (), peer: &Sender, event: &TopicEvent<'_>) -> Delivery {
        match event.news {
            News::Message(Message::Text("secret")) => Delivery::Skip,
            News::Message(_) => Delivery::Pass,
            news => {
                let _ = peer.send_text(&format!("{news:?}"));
                Delivery::Skip
            }
        }
    }
}

export_plugin!(topical_init, Obedient);

fn texts(client: &Client<'_>) -> Vec<String> {
    let received = client.received().into_iter();
    received
        .map(|received| match received {
            Received::Text(text) => text,
            other => format!("{other:?}"),
        })
        .collect()
}

fn ask(client: &Client<'_>, text: &str) -> Vec<String> {
    client.send_text(text);
    texts(client)
}

fn open<'w>(world: &'w World, path: &str) -> Client<'w> {
    world.connect(Request::to(path)).unwrap()
}

#[test]
fn what_is_published_comes_to_all_but_who_leaves_itself_out() {
    let world = World::new(topical_init);
    let (one, two) = (open(&world, "/"), open(&world, "/"));
    for client in [&one, &two] {
        assert_eq!(ask(client, "subscribe"), ["Ok(Whole)"]);
        assert_eq!(ask(client, "subscribe"), ["Err(Invalid)"], "twice");
    }
    assert_eq!(ask(&one, "publish"), ["said", "Ok(\"00000000000000aa-1\")"]);
    assert_eq!(ask(&one, "others"), ["Ok(\"00000000000000aa-2\")"]);
    world.publish("a", Message::Binary(&[1]));
    assert_eq!(texts(&two), ["said", "said", "Binary([1])"]);
    assert_eq!(texts(&one), ["Binary([1])"]);
    assert_eq!(ask(&one, "count"), ["Ok(2) Ok([])"]);
    assert_eq!(ask(&one, "unsubscribe"), ["Ok(true)"]);
    assert_eq!(ask(&one, "unsubscribe"), ["Ok(false)"]);
    two.vanish();
    assert_eq!(ask(&one, "count"), ["Ok(0) Ok([])"]);
    assert_eq!(ask(&one, "odd"), ["Err(Invalid)"]);
}

#[test]
fn who_comes_later_gets_what_it_asks_for() {
    let world = World::new(topical_init);
    let sender = open(&world, "/");
    ask(&sender, "retain");
    for text in ["one", "two"] {
        world.publish("a", Message::Text(text));
    }
    ask(&sender, "others");
    for (wanted, expected) in [
        ("subscribe", vec!["said"]),
        ("last", vec!["two"]),
        ("00000000000000aa-2", vec!["two"]),
        ("00000000000000ab-2", vec!["said"]),
        (
            "json",
            vec![r#"{"topic":"a","id":"00000000000000aa-4","data":"said"}"#],
        ),
        ("nonsense", vec![]),
    ] {
        let mut got = ask(&open(&world, "/"), wanted);
        let answer = match wanted {
            "00000000000000ab-2" => "Ok(Lost)",
            "nonsense" => "Err(Invalid)",
            _ => "Ok(Whole)",
        };
        assert_eq!(got.pop().unwrap(), answer, "{wanted}");
        assert_eq!(got, expected, "{wanted}");
    }
}

#[test]
fn members_are_told_of_and_messages_seen() {
    let world = World::new(topical_init);
    let ada = open(&world, "/?name=Ada");
    assert_eq!(texts(&ada), ["Joined { member: \"Ada\", members: 1 }"]);
    let taken = world.connect(Request::to("/?name=Ada")).unwrap_err();
    assert_eq!(taken.status, 409);
    let bob = open(&world, "/?name=Bob");
    world.publish("a", Message::Text("secret"));
    world.publish("a", Message::Text("open"));
    bob.close(1000, "");
    let expected = [
        "Joined { member: \"Bob\", members: 2 }",
        "open",
        "Left { member: \"Bob\", members: 1 }",
    ];
    assert_eq!(texts(&ada), expected);
    assert_eq!(ask(&ada, "count"), ["Ok(1) Ok([\"Ada\"])"]);
}

#[test]
fn a_slow_one_is_closed_and_without_topics_that_is_said() {
    let world = World::new(topical_init);
    let slow = open(&world, "/");
    ask(&slow, "subscribe");
    slow.stop_reading();
    world.publish("a", Message::Text("x"));
    assert_eq!(texts(&slow), ["Close(Some(1013), \"slow\")"]);
    world.set_topics(false);
    let client = open(&world, "/");
    let error = format!("Err({:?})", TopicError::Unavailable);
    for what in ["subscribe", "publish"] {
        assert_eq!(ask(&client, what), [error.as_str()]);
    }
    assert_eq!(ask(&client, "count"), [format!("{error} {error}")]);
}
