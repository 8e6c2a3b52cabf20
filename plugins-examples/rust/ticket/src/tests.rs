//! The plugin in a world of `websocket_plugin::testing`.

use std::fs;
use std::path::PathBuf;

use websocket_plugin::testing::{Received, Request, World};

use super::ticket_init;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A directory for tokens, which goes with it.
struct Tickets(PathBuf);

impl Tickets {
    fn new(name: &str) -> Self {
        let place = std::env::temp_dir().join(format!("tickets-{}-{name}", std::process::id()));
        fs::create_dir_all(&place).unwrap();
        Tickets(place)
    }

    fn issue(&self) {
        fs::write(self.0.join(TOKEN), "").unwrap();
    }

    fn world(&self) -> World {
        World::with_options(ticket_init, &[("tickets", self.0.to_str().unwrap())]).unwrap()
    }
}

impl Drop for Tickets {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn request(token: &str) -> Request {
    Request::to(&format!("/ticket?token={token}"))
}

#[test]
fn a_token_works_once() {
    let tickets = Tickets::new("once");
    let world = tickets.world();
    tickets.issue();
    let client = world.connect(request(TOKEN)).unwrap();
    client.send_text("hello");
    assert_eq!(
        client.received(),
        [
            Received::Text("welcome".into()),
            Received::Text("hello".into())
        ]
    );
    let refusal = world.connect(request(TOKEN)).unwrap_err();
    assert_eq!(refusal.status, 401);
    assert_eq!(
        refusal.headers,
        [("WWW-Authenticate".into(), "Ticket".into())]
    );
}

#[test]
fn a_token_that_is_too_old_is_refused() {
    let tickets = Tickets::new("old");
    tickets.issue();
    let world = tickets.world();
    let old = request(TOKEN).option("max-age", "0s");
    assert_eq!(world.connect(old).unwrap_err().status, 401);
}

#[test]
fn what_is_no_token_reaches_no_file() {
    let tickets = Tickets::new("bad");
    let world = tickets.world();
    for token in [
        "",
        "..",
        "../etc/passwd",
        &TOKEN.to_uppercase(),
        &TOKEN[1..],
    ] {
        assert_eq!(
            world.connect(request(token)).unwrap_err().status,
            401,
            "{token}"
        );
    }
}

#[test]
fn wrong_options_are_told() {
    for options in [
        &[("tickets", "relative")][..],
        &[("tickets", "/tmp"), ("max-age", "61s")],
        &[("ticket", "/tmp")],
        &[],
    ] {
        assert!(
            World::with_options(ticket_init, options).is_err(),
            "{options:?}"
        );
    }
}
