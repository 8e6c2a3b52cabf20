//! The plugin in a world of `websocket_plugin::testing`.

use std::time::Duration;

use websocket_plugin::testing::{Received, Request, World};

use super::{SUBPROTOCOL, dumb_increment_init};

fn texts(numbers: &[u32]) -> Vec<Received> {
    let texts = numbers.iter().map(ToString::to_string);
    texts.map(Received::Text).collect()
}

fn request() -> Request {
    Request::to("/dumb-increment").subprotocols(&["other", SUBPROTOCOL])
}

#[test]
fn a_number_comes_each_50_ms() {
    let world = World::new(dumb_increment_init);
    let client = world.connect(request()).unwrap();
    assert_eq!(client.subprotocol().as_deref(), Some(SUBPROTOCOL));
    world.advance(Duration::from_millis(49));
    assert_eq!(client.received(), []);
    world.advance(Duration::from_millis(1));
    assert_eq!(client.received(), texts(&[0]));
    world.advance(Duration::from_millis(100));
    assert_eq!(client.received(), texts(&[1, 2]));
    client.send_text("reset\n");
    world.advance(Duration::from_millis(50));
    assert_eq!(client.received(), texts(&[0]));
}

#[test]
fn a_slow_client_gets_every_number_later() {
    let world = World::new(dumb_increment_init);
    let client = world.connect(request()).unwrap();
    client.stop_reading();
    world.advance(Duration::from_secs(1));
    assert_eq!(client.received(), []);
    client.read_again();
    world.advance(Duration::from_millis(50));
    assert_eq!(client.received(), texts(&[0, 1]));
}

#[test]
fn who_does_not_offer_the_subprotocol_is_refused() {
    let world = World::new(dumb_increment_init);
    let refusal = world.connect(Request::to("/dumb-increment")).unwrap_err();
    assert_eq!(refusal.status, 403);
}
