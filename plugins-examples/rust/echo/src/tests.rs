//! The plugin in a world of `websocket_plugin::testing`.

use websocket_plugin::testing::{Received, Request, World};

#[test]
fn each_message_comes_back_to_its_client() {
    let world = World::new(super::echo_init);
    let (one, other) = (
        world.connect(Request::to("/echo")).unwrap(),
        world.connect(Request::to("/echo")).unwrap(),
    );
    one.send_text("hello");
    one.send_binary(&[0, 255]);
    assert_eq!(
        one.received(),
        [
            Received::Text("hello".into()),
            Received::Binary(vec![0, 255])
        ]
    );
    assert_eq!(other.received(), []);
}
