//! What becomes of calls to topics, and what a plugin hears of them.

mod mock;

use std::ffi::{c_int, c_uint};
use std::mem::{offset_of, size_of};
use std::sync::Mutex;

use mock::{Call, Loaded, Mock};
use websocket_plugin::abi::*;
use websocket_plugin::{
    Delivery, Handshake, Message, News, Plugin, Process, Publish, Rejection, Sender, Subscribe,
    Subscribed, TopicError, TopicEvent, export_plugin,
};

/// Gives its sender and its process away, and remembers what has happened.
struct Open;

static SENDER: Mutex<Option<Sender>> = Mutex::new(None);
static PROCESS: Mutex<Option<Process>> = Mutex::new(None);
static EVENTS: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// These tests share the plugin.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

impl Plugin for Open {
    type Connection = ();

    fn child_start(&self, process: &Process) {
        *PROCESS.lock().unwrap() = Some(process.clone());
    }

    fn connect(&self, handshake: &Handshake<'_>) -> Result<(), Rejection> {
        *SENDER.lock().unwrap() = Some(handshake.sender().clone());
        Ok(())
    }

    fn message(&self, (): &mut (), _: &Sender, _: Message<'_>) {}

    fn topic(&self, (): &mut (), _: &Sender, event: &TopicEvent<'_>) -> Delivery {
        let TopicEvent {
            topic, id, news, ..
        } = event;
        let line = format!("{topic} {id} {news:?}");
        EVENTS.lock().unwrap().push(line);
        match news {
            News::Message(Message::Text("skip")) => Delivery::Skip,
            _ => Delivery::Pass,
        }
    }
}

export_plugin!(open_init, Open);

fn with(mock: Mock, test: impl FnOnce(&Mock, &Sender, &Loaded, *mut std::ffi::c_void)) {
    let _turn = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let plugin = Loaded::new(open_init);
    let private = plugin.connect(&mock);
    let sender = SENDER.lock().unwrap().take().unwrap();
    test(&mock, &sender, &plugin, private);
    plugin.disconnect(private, &mock);
    assert_eq!(sender.unsubscribe("/a"), Err(TopicError::Closed));
    assert_eq!(sender.topics().count("/a"), Err(TopicError::Closed));
}

#[test]
fn what_is_asked_for_is_what_the_server_gets() {
    with(Mock::new(), |mock, sender, _, _| {
        mock.set_topic_answer(WEBSOCKET_TOPIC_DONE);
        let plain = sender.subscribe("/a", &Subscribe::new());
        assert_eq!(plain, Ok(Subscribed::Whole));
        let wanted = Subscribe::new()
            .last(50)
            .member("Ada")
            .unique()
            .watched()
            .presence();
        sender.subscribe("/b", &wanted).unwrap();
        mock.set_topic_answer(WEBSOCKET_TOPIC_LOST);
        let since = Subscribe::new().since("00000000000000aa-3").json();
        assert_eq!(sender.subscribe("/c", &since), Ok(Subscribed::Lost));
        mock.set_topic_answer(WEBSOCKET_TOPIC_DONE);
        assert_eq!(sender.unsubscribe("/c"), Ok(true));
        let topics = sender.topics();
        let id = topics.publish("/a", Message::Text("x"));
        assert_eq!(id.as_deref(), Ok("00000000000000aa-7"));
        let all = Publish::new()
            .exclude_self()
            .volatile()
            .retain()
            .uncompressed();
        topics
            .publish_with("/a", Message::Binary(&[0, 255]), all)
            .unwrap();
        mock.set_topic_answer(2);
        assert_eq!(topics.count("/a"), Ok(2));
        assert_eq!(topics.count_here("/a"), Ok(2));
        let members = topics.members("/a").unwrap();
        assert_eq!(members, ["member 0", "member 1"]);
        mock.set_topic_answer(0);
        assert_eq!(sender.unsubscribe("/c"), Ok(false));
        let text = |text: &str| Some(text.to_owned());
        let expected = [
            Call::Subscribe("/a".into(), None, None, 0),
            Call::Subscribe("/b".into(), text("last:50"), text("Ada"), 1 | 4 | 8),
            Call::Subscribe("/c".into(), text("00000000000000aa-3"), None, 2),
            Call::Unsubscribe("/c".into()),
            Call::Publish("/a".into(), MESSAGE_TYPE_TEXT, b"x".into(), 0),
            Call::Publish(
                "/a".into(),
                MESSAGE_TYPE_BINARY,
                vec![0, 255],
                1 | 2 | 4 | 8,
            ),
            Call::TopicCount("/a".into(), WEBSOCKET_TOPIC_HOST),
            Call::TopicCount("/a".into(), WEBSOCKET_TOPIC_CHILD),
            Call::TopicMembers("/a".into()),
            Call::Unsubscribe("/c".into()),
        ];
        assert_eq!(mock.calls(), expected);
    });
}

#[test]
fn each_refusal_has_its_error() {
    with(Mock::new(), |mock, sender, _, _| {
        for (answer, error) in [
            (WEBSOCKET_TOPIC_CLOSED, TopicError::Closed),
            (WEBSOCKET_TOPIC_INVALID, TopicError::Invalid),
            (WEBSOCKET_TOPIC_UNAVAILABLE, TopicError::Unavailable),
            (WEBSOCKET_TOPIC_FULL, TopicError::Full),
            (WEBSOCKET_TOPIC_TAKEN, TopicError::Taken),
            (WEBSOCKET_TOPIC_TOO_LARGE, TopicError::TooLarge),
            (-99, TopicError::Invalid),
        ] {
            mock.set_topic_answer(answer);
            let topics = sender.topics();
            assert_eq!(sender.subscribe("/a", &Subscribe::new()), Err(error));
            assert_eq!(sender.unsubscribe("/a"), Err(error));
            assert_eq!(topics.publish("/a", Message::Text("")), Err(error));
            assert_eq!(topics.count("/a"), Err(error));
            assert_eq!(topics.members("/a"), Err(error));
        }
        let before = mock.calls().len();
        let nul = sender.subscribe("a\0b", &Subscribe::new());
        assert_eq!(nul, Err(TopicError::Invalid));
        let nul = sender.subscribe("/a", &Subscribe::new().member("a\0b"));
        assert_eq!(nul, Err(TopicError::Invalid));
        assert_eq!(mock.calls().len(), before);
        assert_eq!(size_of::<TopicError>(), 1);
    });
}

#[test]
fn an_older_server_has_no_topics() {
    // Up to each member that was ever last, and in the middle of one.
    let ends = [
        WEBSOCKET_SERVER_SIZE_VERSION_1,
        offset_of!(WebSocketServer, subscribe),
        offset_of!(WebSocketServer, subscribe) + 4,
    ];
    for size in ends {
        with(Mock::new().cut(size), |mock, sender, _, _| {
            let topics = sender.topics();
            let old = TopicError::Unsupported;
            assert_eq!(sender.subscribe("/a", &Subscribe::new()), Err(old));
            assert_eq!(sender.unsubscribe("/a"), Err(old));
            assert_eq!(topics.publish("/a", Message::Text("")), Err(old));
            assert_eq!(topics.count("/a"), Err(old));
            assert_eq!(topics.members("/a"), Err(old));
            assert!(mock.calls().is_empty());
            // Everything else works.
            sender.send_text("x").unwrap();
            assert_eq!(mock.calls(), [Call::Send(MESSAGE_TYPE_TEXT, b"x".into())]);
        });
    }
}

#[test]
fn a_process_publishes_until_it_stops() {
    let _turn = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let plugin = Loaded::new(open_init);
    let mock = Mock::new();
    mock.set_topic_answer(1);
    plugin.child_start(&mock);
    let process = PROCESS.lock().unwrap().take().unwrap();
    process.topics().publish("/a", Message::Text("x")).unwrap();
    assert_eq!(process.topics().count("/a"), Ok(1));
    assert_eq!(mock.calls().len(), 2);
    plugin.child_stop(true);
    let late = process.topics().publish("/a", Message::Text("x"));
    assert_eq!(late, Err(TopicError::Closed));
}

fn event(kind: c_uint, message_type: c_int, buffer: &[u8], count: u64) -> WebSocketTopicEvent {
    WebSocketTopicEvent {
        size: size_of::<WebSocketTopicEvent>() as c_uint,
        kind,
        topic: c"/a".as_ptr(),
        id: c"00000000000000aa-7".as_ptr(),
        message_type,
        buffer: buffer.as_ptr(),
        buffer_size: buffer.len(),
        count: count as _,
    }
}

#[test]
fn what_happens_to_a_subscription_comes_to_the_plugin() {
    with(Mock::new(), |mock, _, plugin, private| {
        EVENTS.lock().unwrap().clear();
        let text = MESSAGE_TYPE_TEXT;
        for (event, passes, told) in [
            (event(0, text, b"x", 0), 1, "Message(Text(\"x\"))"),
            (event(0, text, b"skip", 0), 0, "Message(Text(\"skip\"))"),
            (
                event(0, MESSAGE_TYPE_BINARY, &[255], 0),
                1,
                "Message(Binary([255]))",
            ),
            (
                event(1, text, b"Ada", 2),
                1,
                "Joined { member: \"Ada\", members: 2 }",
            ),
            (
                event(2, text, b"Ada", 1),
                1,
                "Left { member: \"Ada\", members: 1 }",
            ),
            (event(3, text, b"", 7), 1, "Members(7)"),
            (event(4, text, b"", 9), 1, "Dropped(9)"),
            (event(5, text, b"", 0), 1, "Missing"),
        ] {
            assert_eq!(plugin.topic(private, mock, &event), passes, "{told}");
            let last = EVENTS.lock().unwrap().pop().unwrap();
            assert_eq!(last, format!("/a 00000000000000aa-7 {told}"));
        }
        // What cannot be, or is of a later server's, does not come.
        let unknown = event(99, text, b"", 0);
        let not_utf8 = event(0, text, b"\xff", 0);
        let short = WebSocketTopicEvent {
            size: 8,
            ..event(0, text, b"x", 0)
        };
        let no_topic = WebSocketTopicEvent {
            topic: std::ptr::null(),
            ..event(0, text, b"x", 0)
        };
        for event in [unknown, not_utf8, short, no_topic] {
            assert_eq!(plugin.topic(private, mock, &event), 0);
        }
        assert!(EVENTS.lock().unwrap().is_empty());
    });
}
