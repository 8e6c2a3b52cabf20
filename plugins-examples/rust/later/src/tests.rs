//! The plugin in a world of `websocket_plugin::testing`. Its runtime has a thread and a clock of its own.

use websocket_plugin::testing::{Received, Request, World};

use super::later_init;

fn text(text: &str) -> Received {
    Received::Text(text.to_owned())
}

#[test]
fn a_text_comes_back_without_its_number() {
    let world = World::new(later_init);
    let client = world.connect(Request::to("/later")).unwrap();
    for wait in [0, 20] {
        client.send_text(&format!("{wait} tea"));
        assert_eq!(client.next(), text("tea"));
    }
}

#[test]
fn what_is_no_time_is_asked_for() {
    let world = World::new(later_init);
    let client = world.connect(Request::to("/later")).unwrap();
    for nonsense in ["tea", "60001 tea", "-1 tea", ""] {
        client.send_text(nonsense);
        assert_eq!(
            client.next(),
            text("how many milliseconds?"),
            "{nonsense:?}"
        );
    }
}

#[test]
fn who_waits_when_the_child_ends_gets_nothing_more() {
    let world = World::new(later_init);
    let client = world.connect(Request::to("/later")).unwrap();
    client.send_text("60000 tea");
    world.stop_child(true);
    assert!(!client.received().contains(&text("tea")));
}
