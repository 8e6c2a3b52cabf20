//! Large messages leave from where the application has them, when nothing has to leave before them.

mod table;

use session::limits::THROUGH;
use session::outbox::{Outbox, Outgoing, SentBy};
use session::{Buffers, Config, Wait};
use std::sync::Arc;
use table::{Call, Misstep, Scene, config, silent, text};
use websocket_proto::extension::permessage_deflate::{
    CodecPool, PermessageDeflateConfig, negotiate,
};
use websocket_proto::{Compression, MessageBudget, MessageKind, Role, SendingHalf};

fn scene() -> Scene {
    let config = Config {
        send_buffer: 2 * THROUGH,
        ..config()
    };
    let mut scene = Scene::open(&config, silent);
    scene.turns();
    // Threads of the application send.
    scene.table().be_thread(2);
    scene
}

fn large() -> String {
    "x".repeat(THROUGH)
}

#[test]
fn they_are_not_copied() {
    let scene = scene();
    let large = large();
    scene.session.send(text(&large)).unwrap();
    assert_eq!(scene.ends().places.last(), Some(&large.as_ptr().addr()));
    assert_eq!(scene.ends().writes, 1, "with their header");
    scene.session.try_send(text(&large)).unwrap();
    assert_eq!(scene.ends().places.last(), Some(&large.as_ptr().addr()));
    assert_eq!(scene.sent(), [&large[..], &large]);
    assert_eq!(scene.session.buffered(), 0);
}

#[test]
fn small_ones_are() {
    let scene = scene();
    let small = "x".repeat(THROUGH - 1);
    scene.session.send(text(&small)).unwrap();
    assert_ne!(scene.ends().places.last(), Some(&small.as_ptr().addr()));
    assert_eq!(scene.sent(), [small]);
}

#[test]
fn what_the_transport_does_not_take_waits_in_its_place() {
    let large = large();
    let whole = THROUGH + 4;
    for room in [0, 1, 3, 4, 5, whole / 2, whole - 1, whole] {
        let mut scene = scene();
        scene.ends().room = Some(room);
        scene.session.send(text(&large)).unwrap();
        assert_eq!(scene.session.buffered(), whole - room, "{room}");
        scene.session.try_send(text("next")).unwrap();
        scene.session.send(text(&large)).unwrap();
        assert_ne!(scene.ends().places.last(), Some(&large.as_ptr().addr()));
        scene.ends().room = None;
        scene.table().be_thread(1);
        scene.session.resume();
        let wait = scene.turns();
        assert!(matches!(wait, Wait::For { output: false, .. }), "{wait:?}");
        assert_eq!(scene.sent(), [&large[..], "next", &large], "{room}");
    }
}

#[test]
fn a_panic_of_the_transport_loses_nothing_of_them() {
    let mut scene = scene();
    *scene.table().misstep.lock().unwrap() = Some(Misstep::Write);
    let large = large();
    let send = || scene.session.send(text(&large));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(send)).is_err());
    scene.table().be_thread(1);
    assert_eq!(scene.turns(), Wait::Ended);
    assert_eq!(scene.sent(), [&large[..], "close Some(1011)"]);
}

#[test]
fn an_answer_to_the_first_of_several_messages_leaves_behind_what_was_gathered() {
    let large = large();
    let answers = [large.clone(), "small".to_owned(), large.clone()];
    let of = answers.clone();
    let config = Config {
        send_buffer: 8 * THROUGH,
        ..config()
    };
    let mut scene = Scene::open(&config, move |session, call| {
        if let Call::Message(number) = call {
            let number: usize = number.parse().unwrap();
            session.send(text(&of[number])).unwrap();
        }
    });
    scene.receives(&["0", "1", "2"]);
    scene.turns();
    assert_eq!(scene.sent(), answers);
}

fn outbox(sender: SendingHalf) -> Outbox {
    let buffers = Buffers::new(Arc::new(MessageBudget::new(1 << 20)));
    Outbox::new(1 << 20, sender, Arc::new(buffers))
}

fn passes(outbox: &mut Outbox, compression: Compression, payload: &[u8]) -> bool {
    outbox
        .pass(MessageKind::Text, compression, payload)
        .is_some()
}

#[test]
fn nothing_passes_what_waits_or_may_not_be_sent() {
    let server = || outbox(SendingHalf::new(Role::Server));
    assert!(passes(&mut server(), Compression::Default, b"alone"));

    let mut waits = server();
    waits.push(text("first"), SentBy::Thread).unwrap();
    assert!(!passes(&mut waits, Compression::Default, b"second"));
    let taken = waits.take(Vec::new()).unwrap();
    assert!(!passes(&mut waits, Compression::Default, b"on its way"));
    waits.transmitted(taken.len());
    assert!(passes(&mut waits, Compression::Default, b"behind it"));

    let mut in_parts = server();
    let part = Outgoing::Fragment {
        kind: MessageKind::Text,
        payload: b"part",
        is_final: false,
    };
    in_parts.push(part, SentBy::Thread).unwrap();
    let taken = in_parts.take(Vec::new()).unwrap();
    in_parts.transmitted(taken.len());
    assert!(!passes(&mut in_parts, Compression::Default, b"between"));

    assert!(!passes(&mut server(), Compression::Default, b"\xff"));
    let mut ended = server();
    ended.push_close(None).unwrap();
    assert!(!passes(&mut ended, Compression::Default, b"late"));
}

#[test]
fn what_is_compressed_does_not_pass() {
    let agreed = negotiate(
        std::iter::once("permessage-deflate"),
        &PermessageDeflateConfig::default(),
    );
    let sender = SendingHalf::new(Role::Server)
        .with_permessage_deflate(&agreed.unwrap(), &Arc::new(CodecPool::new(1)));
    let mut outbox = outbox(sender);
    assert!(!passes(&mut outbox, Compression::Default, b"compressed"));
    assert!(passes(&mut outbox, Compression::Skip, b"as it is"));
}
