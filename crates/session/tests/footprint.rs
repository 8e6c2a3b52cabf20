//! Where in memory a send goes.

mod table;

use session::footprint::addresses;
use table::{Scene, config, silent};

#[test]
fn it_is_the_session_and_behind_it_the_wire() {
    let scene = Scene::open(&config(), silent);
    let session = addresses(&*scene.session);
    let [outbox, turn, _] = scene.session.footprint();
    for part in [&outbox, &turn] {
        assert!(!part.is_empty());
        assert!(session.start <= part.start && part.end <= session.end);
    }
    let [wire, _] = scene.session.far_footprint().unwrap();
    let transport = scene
        .session
        .with_transport(|transport| addresses(transport))
        .unwrap();
    assert!(wire.start <= transport.start && transport.end <= wire.end);
}
