//! The plugin in a world of `websocket_plugin::testing`.

use websocket_plugin::Message;
use websocket_plugin::testing::{Client, Received, Request, World};

use super::mirror_init;

const CIRCLE: &str = r##"{"x": 0.5, "y": 0.5, "r": 0.1, "c": "#00ff00"}"##;

fn enter<'w>(world: &'w World, path: &str) -> Client<'w> {
    world.connect(Request::to(path)).unwrap()
}

fn members(count: usize) -> Received {
    let process = std::process::id();
    Received::Text(format!(r#"{{"members":{count},"process":{process}}}"#))
}

#[test]
fn a_room_shares_its_circles_and_no_other_has_them() {
    let world = World::new(mirror_init);
    let (one, two) = (enter(&world, "/?mirror=a"), enter(&world, "/?mirror=a"));
    let other = enter(&world, "/?mirror=b");
    one.send_text(CIRCLE);
    let circle = || Received::Text(CIRCLE.into());
    assert_eq!(one.received(), [members(1), members(2), circle()]);
    assert_eq!(two.received(), [members(2), circle()]);
    assert_eq!(other.received(), [members(1)]);
    two.vanish();
    assert_eq!(one.received(), [members(1)]);
}

#[test]
fn what_is_no_circle_closes_with_1008() {
    let world = World::new(mirror_init);
    for text in [
        "",
        "[0.5, 0.5, 0.1]",
        &CIRCLE.replace("0.1", "7"),
        &CIRCLE.replace('#', ""),
    ] {
        let client = enter(&world, "/");
        client.received();
        client.send_text(text);
        let close = Received::Close(Some(1008), "not a circle".into());
        assert_eq!(client.received(), [close], "{text}");
        assert!(!client.is_open());
    }
}

#[test]
fn what_is_drawn_elsewhere_is_seen_here() {
    let world = World::new(mirror_init);
    let client = enter(&world, "/?mirror=a");
    client.received();
    world.publish("mirror/a", Message::Text(CIRCLE));
    assert_eq!(client.received(), [Received::Text(CIRCLE.into())]);
}

#[test]
fn without_topics_there_are_no_rooms() {
    let world = World::new(mirror_init);
    world.set_topics(false);
    let refusal = world.connect(Request::to("/")).unwrap_err();
    assert_eq!(refusal.status, 503);
}

#[test]
fn a_bad_name_is_refused() {
    let world = World::new(mirror_init);
    let refusal = world.connect(Request::to("/?mirror=a%20b")).unwrap_err();
    assert_eq!(refusal.status, 400);
}
