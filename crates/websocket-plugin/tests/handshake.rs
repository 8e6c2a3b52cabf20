//! The opening handshake: what a plugin reads, and how it accepts and refuses.

mod mock;

use std::io;

use mock::{Call, Loaded, Mock};
use websocket_plugin::abi::*;
use websocket_plugin::{Handshake, Message, Plugin, Rejection, SendError, Sender, export_plugin};

// ------------------------------------------------------------------------------------- reading

struct Curious;

impl Plugin for Curious {
    type Connection = ();

    fn connect(&self, handshake: &Handshake<'_>) -> Result<(), Rejection> {
        assert_eq!(handshake.header("x-name"), Some("value"));
        assert_eq!(handshake.header("X-Latin1"), None);
        assert_eq!(handshake.header_bytes("X-Latin1"), Some(&b"gr\xfc\xdf"[..]));
        assert_eq!(handshake.header("X-Absent"), None);
        assert_eq!(handshake.header("X-Name\0"), None);

        assert_eq!(handshake.variable("REMOTE_ADDR"), Some("192.0.2.1"));
        assert_eq!(handshake.variable("REQUEST_URI"), None);
        assert_eq!(handshake.variable_bytes("REQUEST_URI"), Some(&b"/\xff"[..]));
        assert_eq!(handshake.variable("ABSENT"), None);
        assert_eq!(handshake.variable("REMOTE_ADDR\0"), None);

        assert_eq!(handshake.query("room").as_deref(), Some("blue & green"));
        assert_eq!(handshake.query("empty").as_deref(), Some(""));
        assert_eq!(handshake.query("absent"), None);

        assert_eq!(handshake.options().get("greeting"), Some("hello"));
        assert_eq!(handshake.options().number("limit", 1..=9, 5), Ok(7));
        assert_eq!(handshake.options().get("absent"), None);
        assert_eq!(handshake.options().get("greeting\0"), None);
        assert_eq!(handshake.options().names().count(), 0);

        assert!(handshake.set_header("X-Answer", "a\tb").is_ok());
        for (name, value) in [
            ("X-A", "1\r\nX-B: 2"),
            ("X-A", "\0"),
            ("X A", "1"),
            ("", "1"),
        ] {
            assert!(handshake.set_header(name, value).is_err());
        }

        assert_eq!(
            handshake.subprotocols().collect::<Vec<_>>(),
            ["chat", "superchat"]
        );
        assert!(!handshake.choose_subprotocol("CHAT"));
        assert!(handshake.choose_subprotocol("superchat"));
        assert_eq!(handshake.sender().send_text("early"), Ok(()));
        Ok(())
    }

    fn message(&self, (): &mut (), _: &Sender, _: Message<'_>) {}
}

export_plugin!(handshake_curious_init, Curious);

#[test]
fn a_handshake_is_read_and_answered() {
    let plugin = Loaded::new(handshake_curious_init);
    let mock = Mock::new()
        .with_header("X-Name", b"value")
        .with_header("X-Latin1", b"gr\xfc\xdf")
        .with_variable("REMOTE_ADDR", b"192.0.2.1")
        .with_variable("REQUEST_URI", b"/\xff")
        .with_variable("QUERY_STRING", b"empty=&room=blue+%26%20green")
        .with_option("greeting", "hello")
        .with_option("limit", "7")
        .with_subprotocols(&["chat", "superchat"]);
    let private = plugin.connect(&mock);
    plugin.disconnect(private, &mock);
    assert_eq!(
        mock.calls(),
        [
            Call::HeaderSet("X-Answer".into(), "a\tb".into()),
            Call::ProtocolSet("superchat".into()),
            Call::Send(MESSAGE_TYPE_TEXT, b"early".to_vec()),
        ]
    );
}

#[test]
fn a_request_without_a_query_string_has_no_parameters() {
    let mock = Mock::new().with_header("X-Refuse", b"query");
    assert_eq!(refused(&mock), [Call::Reject(404)]);
}

// ------------------------------------------------------------------------------------ refusing

/// Refuses in the way that a header field asks for.
struct Refusing;

impl Plugin for Refusing {
    type Connection = ();

    fn connect(&self, handshake: &Handshake<'_>) -> Result<(), Rejection> {
        Err(match handshake.header("X-Refuse") {
            Some("plain") => Rejection::default(),
            Some("challenge") => Rejection::unauthorized()
                .header("WWW-Authenticate", "Ticket")?
                .header("X-Reason", "too old")?,
            Some("status") => Rejection::new(200),
            Some("bad header") => Rejection::forbidden().header("X-A", "1\r\nX-B: 2")?,
            Some("options") => handshake
                .options()
                .number("limit", 1..=9, 5)?
                .into_rejection(),
            Some("io") => Err(io::Error::other("disk full"))?,
            Some("send") => Err(SendError::Closed)?,
            Some("query") => handshake
                .query("room")
                .map_or(Rejection::not_found(), |_| Rejection::bad_request()),
            other => panic!("{other:?}"),
        })
    }

    fn message(&self, (): &mut (), _: &Sender, _: Message<'_>) {}
}

trait IntoRejection {
    fn into_rejection(self) -> Rejection;
}

impl IntoRejection for i32 {
    fn into_rejection(self) -> Rejection {
        panic!("{self} was accepted")
    }
}

export_plugin!(handshake_refusing_init, Refusing);

fn refused(mock: &Mock) -> Vec<Call> {
    let plugin = Loaded::new(handshake_refusing_init);
    assert!(plugin.connect_raw(mock.server()).is_null());
    mock.calls()
}

fn refused_with(way: &str) -> (Vec<Call>, Vec<(i32, String)>) {
    let mock = Mock::new()
        .with_header("X-Refuse", way.as_bytes())
        .with_option("limit", "10");
    (refused(&mock), mock.lines())
}

#[test]
fn a_refusal_is_403_unless_it_says_otherwise() {
    assert_eq!(refused_with("plain"), (vec![Call::Reject(403)], vec![]));
}

#[test]
fn a_refusal_has_a_status_and_header_fields() {
    let field = |name: &str, value: &str| Call::HeaderSet(name.into(), value.into());
    assert_eq!(
        refused_with("challenge").0,
        [
            field("WWW-Authenticate", "Ticket"),
            field("X-Reason", "too old"),
            Call::Reject(401),
        ]
    );
}

#[test]
fn a_status_that_refuses_nothing_is_500() {
    assert_eq!(refused_with("status").0, [Call::Reject(500)]);
    for (status, is) in [(0, 500), (299, 500), (300, 300), (599, 599), (600, 500)] {
        assert_eq!(Rejection::new(status).status(), is);
    }
}

#[test]
fn the_named_statuses_are_those_of_http() {
    for (rejection, status) in [
        (Rejection::bad_request(), 400),
        (Rejection::unauthorized(), 401),
        (Rejection::forbidden(), 403),
        (Rejection::not_found(), 404),
        (Rejection::service_unavailable(), 503),
        (Rejection::default(), 403),
    ] {
        assert_eq!(rejection.status(), status);
    }
}

#[test]
fn an_error_of_the_plugins_own_is_500_and_a_line_in_the_log() {
    for (way, line) in [
        ("bad header", "this cannot stand in a header field"),
        (
            "options",
            "option limit: \"10\" is not a number from 1 to 9",
        ),
        ("io", "disk full"),
        ("send", "the WebSocket is closed"),
    ] {
        let line = format!("handshake_refusing_init: {line}");
        assert_eq!(
            refused_with(way),
            (vec![Call::Reject(500)], vec![(WEBSOCKET_LOG_ERROR, line)])
        );
    }
}
