//! The plugin in a world of `websocket_plugin::testing`.

use serde_json::Value;
use websocket_plugin::testing::{Client, Received, Request, World};

use super::{Checksum, MAX_MESSAGE, fraggle_init};

fn text(received: &Received) -> Value {
    match received {
        Received::Text(text) => serde_json::from_str(text).unwrap(),
        other => panic!("{other:?} is no text"),
    }
}

/// The bytes of a message in parts, and how many there were; then what is told of it.
fn exchange(client: &Client<'_>) -> (Vec<u8>, usize, Value) {
    let mut received = client.received();
    let told = text(&received.pop().unwrap());
    let count = received.len();
    let mut bytes = Vec::new();
    for (index, part) in received.into_iter().enumerate() {
        let Received::Part {
            is_text: false,
            payload,
            is_last,
        } = part
        else {
            panic!("{part:?} is no part of a binary message");
        };
        assert_eq!(is_last, index + 1 == count);
        bytes.extend(payload);
    }
    (bytes, count, told)
}

#[test]
fn a_message_in_parts_is_what_its_checksum_says() {
    let world = World::new(fraggle_init);
    let request = || Request::to("/fraggle?fragments=100&seed=7");
    let client = world.connect(request()).unwrap();
    let (bytes, count, told) = exchange(&client);
    let mut checksum = Checksum::default();
    checksum.add(&bytes);
    assert_eq!((count, &told["fragments"]), (100, &100.into()));
    assert_eq!(told["crc32"], checksum.crc32());
    assert_eq!(told["bytes"], bytes.len());
    let same = exchange(&world.connect(request()).unwrap());
    assert_eq!(same.0, bytes, "the same seed");
    client.send_text("again");
    assert_ne!(exchange(&client).0, bytes);
}

#[test]
fn a_checksum_of_the_clients_is_judged() {
    let world = World::new(fraggle_init);
    let client = world.connect(Request::to("/fraggle?fragments=1")).unwrap();
    client.received();
    for (claimed, is_right) in [("352441c2", true), ("352441c3", false)] {
        client.send_binary(b"abc");
        client.send_text(&format!(r#"{{"crc32": "{claimed}"}}"#));
        assert_eq!(text(&client.received()[0])["ok"], is_right);
    }
}

#[test]
fn who_does_not_keep_to_it_is_closed() {
    let world = World::new(fraggle_init);
    let said = |say: &dyn Fn(&Client<'_>)| {
        let client = world.connect(Request::to("/fraggle?fragments=1")).unwrap();
        client.received();
        say(&client);
        match &client.received()[..] {
            [Received::Close(Some(code), _)] => *code,
            other => panic!("{other:?} is no Close"),
        }
    };
    assert_eq!(said(&|client| client.send_text("nonsense")), 1008);
    assert_eq!(
        said(&|client| client.send_text(r#"{"crc32": "00000000"}"#)),
        1008
    );
    assert_eq!(
        said(&|client| client.send_binary(&vec![0; MAX_MESSAGE + 1])),
        1009
    );
}

#[test]
fn a_bad_query_is_refused() {
    let world = World::new(fraggle_init);
    for query in ["fragments=0", "fragments=1025", "seed=x"] {
        let request = Request::to(&format!("/fraggle?{query}"));
        assert_eq!(world.connect(request).unwrap_err().status, 400, "{query}");
    }
}
