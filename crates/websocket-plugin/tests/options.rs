//! `configure`, and the getters of options.

mod mock;

use std::time::Duration;

use mock::{Loaded, Mock};
use websocket_plugin::{Handshake, Message, Options, Plugin, Rejection, Sender, export_plugin};

/// Reads one option of each kind, and takes no others.
struct Careful;

#[derive(Debug, PartialEq)]
struct Settings {
    greeting: Option<String>,
    port: Option<u16>,
    limit: u32,
    ratio: f64,
    is_loud: bool,
    pause: Duration,
}

fn read(options: &Options<'_>) -> Result<Settings, String> {
    Ok(Settings {
        greeting: options.get("greeting").map(str::to_owned),
        port: options.parse("port")?,
        limit: options.number("limit", 1..=1000, 50)?,
        ratio: options.number("ratio", 0.0..=1.0, 0.5)?,
        is_loud: options.flag("loud", false)?,
        pause: options.duration("pause", Duration::from_millis(50))?,
    })
}

const KNOWN: &[&str] = &["greeting", "port", "limit", "ratio", "loud", "pause"];

impl Plugin for Careful {
    type Connection = Settings;

    fn configure(&self, options: &Options<'_>) -> Result<(), String> {
        options.allow_only(KNOWN)?;
        if options.get("greeting") == Some("panic") {
            panic!("told to");
        }
        if options.get("greeting") == Some("names") {
            return Err(options.names().collect::<Vec<_>>().join(" "));
        }
        if options.get("greeting") == Some("nul") {
            return Err("a\0b".to_owned());
        }
        read(options).map(drop)
    }

    fn connect(&self, handshake: &Handshake<'_>) -> Result<Settings, Rejection> {
        Ok(read(&handshake.options())?)
    }

    fn message(&self, settings: &mut Settings, peer: &Sender, _: Message<'_>) {
        peer.send_text(&format!("{settings:?}")).unwrap();
    }
}

export_plugin!(options_careful_init, Careful);

fn complaint(options: &[(&str, &str)]) -> Option<String> {
    Loaded::new(options_careful_init).configure(options)
}

#[test]
fn good_options_are_no_error() {
    assert_eq!(complaint(&[]), None);
    assert_eq!(
        complaint(&[
            ("greeting", "grüß dich"),
            ("port", "8080"),
            ("limit", "1000"),
            ("ratio", "0.25"),
            ("loud", "oN"),
            ("pause", "5min"),
        ]),
        None
    );
}

#[test]
fn a_bad_option_is_an_error_that_names_it_and_what_would_be_right() {
    for (name, value, error) in [
        (
            "port",
            "80a",
            "option port: \"80a\" is invalid digit found in string",
        ),
        (
            "limit",
            "0",
            "option limit: \"0\" is not a number from 1 to 1000",
        ),
        (
            "limit",
            "1001",
            "option limit: \"1001\" is not a number from 1 to 1000",
        ),
        (
            "limit",
            "",
            "option limit: \"\" is not a number from 1 to 1000",
        ),
        (
            "ratio",
            "NaN",
            "option ratio: \"NaN\" is not a number from 0 to 1",
        ),
        ("loud", "yes", "option loud: \"yes\" is neither On nor Off"),
        (
            "pause",
            "5m",
            "option pause: \"5m\" is not a time such as 500ms, 30s or 5min",
        ),
    ] {
        assert_eq!(complaint(&[(name, value)]).as_deref(), Some(error));
    }
}

#[test]
fn an_unknown_option_is_an_error_that_names_those_there_are() {
    assert_eq!(
        complaint(&[("limit", "1"), ("colour", "red")]).as_deref(),
        Some("unknown option \"colour\": there are greeting, port, limit, ratio, loud, pause")
    );
    // Letter case counts.
    assert!(complaint(&[("Limit", "1")]).is_some());
}

#[test]
fn the_names_of_the_options_are_known_in_configure() {
    assert_eq!(
        complaint(&[("limit", "1"), ("greeting", "names")]).as_deref(),
        Some("limit greeting")
    );
}

#[test]
fn an_option_that_is_not_utf8_is_an_error() {
    let plugin = Loaded::new(options_careful_init);
    assert_eq!(
        plugin.configure_bytes(&[(b"greeting", b"\xff")]).as_deref(),
        Some("option \"greeting\": the text is not UTF-8")
    );
    assert_eq!(
        plugin.configure_bytes(&[(b"gr\xfc\xdfe", b"")]).as_deref(),
        Some("option \"gr\u{fffd}\u{fffd}e\": the text is not UTF-8")
    );
}

#[test]
fn a_panic_in_configure_is_an_error() {
    assert_eq!(
        complaint(&[("greeting", "panic")]).as_deref(),
        Some("the plugin panicked in configure")
    );
}

#[test]
fn an_error_is_a_c_string_whatever_is_in_it() {
    assert_eq!(complaint(&[("greeting", "nul")]).as_deref(), Some("a\\0b"));
}

#[test]
fn each_call_of_configure_has_a_result_of_its_own() {
    let plugin = Loaded::new(options_careful_init);
    assert!(plugin.configure(&[("limit", "0")]).is_some());
    assert_eq!(plugin.configure(&[]), None);
    assert!(plugin.configure(&[("limit", "0")]).is_some());
}

#[test]
fn a_connection_has_the_options_of_its_location() {
    let plugin = Loaded::new(options_careful_init);
    let mock = Mock::new()
        .with_option("greeting", "moin")
        .with_option("port", "1")
        .with_option("pause", "90");
    let private = plugin.connect(&mock);
    plugin.text(private, &mock, "");
    plugin.disconnect(private, &mock);
    let expected = Settings {
        greeting: Some("moin".into()),
        port: Some(1),
        limit: 50,
        ratio: 0.5,
        is_loud: false,
        pause: Duration::from_secs(90),
    };
    let sent = format!("{expected:?}").into_bytes();
    assert_eq!(mock.calls(), [mock::Call::Send(0, sent)]);
}

// ---------------------------------------------------------------------------------- durations

/// Says as an error what time it was given.
struct Clock;

impl Plugin for Clock {
    type Connection = ();

    fn configure(&self, options: &Options<'_>) -> Result<(), String> {
        let time = options.duration("time", Duration::ZERO)?;
        Err(format!("{} ms", time.as_millis()))
    }

    fn connect(&self, _: &Handshake<'_>) -> Result<(), Rejection> {
        Ok(())
    }

    fn message(&self, (): &mut (), _: &Sender, _: Message<'_>) {}
}

export_plugin!(options_clock_init, Clock);

#[test]
fn a_time_is_digits_and_a_unit() {
    let plugin = Loaded::new(options_clock_init);
    for (value, milliseconds) in [
        ("0", 0),
        ("7", 7_000),
        ("250ms", 250),
        ("30s", 30_000),
        ("5min", 300_000),
        ("2h", 7_200_000),
    ] {
        assert_eq!(
            plugin.configure(&[("time", value)]),
            Some(format!("{milliseconds} ms"))
        );
    }
    for value in [
        "",
        "s",
        "-1",
        "+1",
        "1.5s",
        "1 s",
        "1m",
        "1MS",
        "1s1",
        "1day",
        "99999999999999999999",
        "18446744073709551615h",
    ] {
        let error = plugin.configure(&[("time", value)]).unwrap();
        assert!(error.contains("is not a time"), "{value}: {error}");
    }
}

#[test]
fn a_plugin_that_knows_no_options_takes_none() {
    struct Plain;

    impl Plugin for Plain {
        type Connection = ();

        fn configure(&self, options: &Options<'_>) -> Result<(), String> {
            options.allow_only(&[])
        }

        fn connect(&self, _: &Handshake<'_>) -> Result<(), Rejection> {
            Ok(())
        }

        fn message(&self, (): &mut (), _: &Sender, _: Message<'_>) {}
    }

    export_plugin!(options_plain_init, Plain);

    let plugin = Loaded::new(options_plain_init);
    assert_eq!(plugin.configure(&[]), None);
    assert_eq!(
        plugin.configure(&[("a", "b")]).as_deref(),
        Some("unknown option \"a\": there are none")
    );
}
