//! The plugin in a world of `websocket_plugin::testing`.

use std::time::Duration;

use serde_json::Value;
use websocket_plugin::testing::{Client, Received, Request, World};

use super::status_init;

fn updates(client: &Client<'_>) -> Vec<Value> {
    let received = client.received().into_iter();
    received
        .map(|received| match received {
            Received::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("{other:?} is no text"),
        })
        .collect()
}

#[test]
fn updates_come_at_once_and_then_in_their_time() {
    let world = World::with_options(status_init, &[("update-ms", "500")]).unwrap();
    let client = world.connect(Request::to("/status")).unwrap();
    let quick = world.connect(Request::to("/status?update-ms=100")).unwrap();
    let first = updates(&client);
    assert_eq!(first[0]["sent"], 1);
    assert_eq!(first[0]["pid"], std::process::id());
    world.advance(Duration::from_secs(1));
    let numbers: Vec<_> = updates(&client)
        .iter()
        .map(|update| update["sent"].clone())
        .collect();
    assert_eq!(numbers, [2, 3]);
    let quick = updates(&quick);
    assert_eq!(quick.len(), 11);
    assert_eq!(quick[10]["connections"], 2);
}

#[test]
fn a_slow_client_misses_updates() {
    let world = World::new(status_init);
    let client = world.connect(Request::to("/status")).unwrap();
    updates(&client);
    client.stop_reading();
    world.advance(Duration::from_secs(3));
    assert_eq!(updates(&client).len(), 0);
    client.read_again();
    world.advance(Duration::from_secs(1));
    assert_eq!(updates(&client)[0]["sent"], 2);
}

#[test]
fn a_bad_interval_is_told() {
    for value in ["99", "60001", "soon"] {
        let refused = World::with_options(status_init, &[("update-ms", value)]);
        assert!(refused.err().unwrap().contains("update-ms"), "{value}");
        let world = World::new(status_init);
        let path = format!("/status?update-ms={value}");
        assert_eq!(world.connect(Request::to(&path)).unwrap_err().status, 400);
    }
    let refused = World::with_options(status_init, &[("update", "1000")]);
    assert!(refused.is_err());
}
