//! Lets in who has a ticket: a token that works once, and for a few seconds.
//!
//! A page that httpd has let in, by whatever means (a login form, a client certificate), gets a
//! token over HTTP, and opens its WebSocket with it. The tokens are handed out by a CGI script,
//! `plugins-examples/ticket.cgi`; a token is an empty file in a directory that both know.
//!
//! ```text
//! Define TICKETS /var/lib/tickets
//!
//! ScriptAlias "/ticket/token" "/usr/lib/cgi-bin/ticket.cgi"
//! <Location "/ticket/token">
//!   SetEnv TICKETS ${TICKETS}
//! </Location>
//! <LocationMatch "^/ticket$">
//!   SetHandler websocket-handler
//!   WebSocketHandler modules/mod_websocket_rust_ticket.so ticket_init
//!   WebSocketPluginOption tickets ${TICKETS}
//! </LocationMatch>
//! ```
//!
//! The script needs mod_alias, mod_env, and mod_cgid (mod_cgi with the prefork MPM). The directory
//! belongs to the user that httpd's children run as, and to nobody else: whoever can make a file in
//! it can make a token. Because tokens are files, one that a child process has taken is used up for
//! all of them.
//!
//! | option | default | |
//! |---|---|---|
//! | `tickets` | – | the directory, an absolute path |
//! | `max-age` | `10s` | how long a token is good; at most a minute, since the script removes old ones |
//!
//! `/ticket?token=…` opens the WebSocket; a token that is wrong, used, or too old is answered with
//! HTTP status 401. Then the server sends `welcome`, and echoes every message.

#![forbid(unsafe_code)]

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use websocket_plugin::{Handshake, Message, Options, Plugin, Rejection, Sender, export_plugin};

/// As many digits as the script writes.
const TOKEN_DIGITS: usize = 32;

struct Ticket;

impl Plugin for Ticket {
    type Connection = ();

    fn configure(&self, options: &Options<'_>) -> Result<(), String> {
        options.allow_only(&["tickets", "max-age"])?;
        Settings::read(options).map(drop)
    }

    fn connect(&self, handshake: &Handshake<'_>) -> Result<(), Rejection> {
        let options = handshake.options();
        let Settings { tickets, max_age } = Settings::read(&options)?;
        let is_good = match handshake.query("token") {
            Some(token) if is_token(&token) => take(&tickets.join(token), max_age)?,
            _ => false,
        };
        if !is_good {
            // RFC 9110 §15.5.2 wants this field on a 401. No browser has a dialogue for it.
            return Err(Rejection::unauthorized().header("WWW-Authenticate", "Ticket")?);
        }
        Ok(())
    }

    fn open(&self, (): &mut (), peer: &Sender) {
        let _ = peer.send_text("welcome");
    }

    fn message(&self, (): &mut (), peer: &Sender, message: Message<'_>) {
        let _ = peer.send(message);
    }
}

struct Settings<'a> {
    tickets: &'a Path,
    max_age: Duration,
}

impl<'a> Settings<'a> {
    fn read(options: &'a Options<'_>) -> Result<Self, String> {
        let tickets = Path::new(options.get("tickets").unwrap_or_default());
        if !tickets.is_absolute() {
            return Err("option tickets: needs the absolute path of a directory".to_owned());
        }
        let max_age = options.duration("max-age", Duration::from_secs(10))?;
        if max_age > Duration::from_secs(60) {
            return Err("option max-age: is more than a minute".to_owned());
        }
        Ok(Self { tickets, max_age })
    }
}

/// Nothing else becomes a part of a path.
fn is_token(text: &str) -> bool {
    text.len() == TOKEN_DIGITS
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Takes a token away, and says whether it was good.
fn take(token: &Path, max_age: Duration) -> io::Result<bool> {
    let modified = fs::metadata(token).and_then(|metadata| metadata.modified());
    // Of several that try to remove a file, one succeeds.
    let removed = modified.and_then(|modified| fs::remove_file(token).map(|()| modified));
    match removed {
        Ok(issued) => Ok(issued.elapsed().is_ok_and(|age| age <= max_age)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

export_plugin!(ticket_init, Ticket);

#[cfg(test)]
mod tests;
