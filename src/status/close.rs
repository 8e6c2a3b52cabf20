//! `POST` to the status handler: closes a connection, in whichever child it is, or drains or closes all that a filter means.

use std::time::Duration;

use figures::form::{field, fields, is_own};
use figures::{Filter, Posted, PostedForMany};
use httpd::content::Body;
use httpd::log::Subject;
use httpd::request::{HandlerResult, Request};
use websocket_proto::{CloseCode, CloseReason, Host, ReservedCloseCodes};

use super::answer::{BAD_REQUEST, OK, SERVICE_UNAVAILABLE, answer};
use super::{filter, guard};
use crate::board::{CloseRequest, Wish};
use crate::child::Child;
use crate::configuration::values::parse_time;
use crate::handshake::host::is_servers;
use crate::log::{self, Level, Tag};

/// In bytes: a filter of long names, percent-encoded, and a reason.
const LONGEST_BODY: usize = 4096;
const FORM: &str = "application/x-www-form-urlencoded";
/// All fields that a form with a filter may have. A name that is misspelt must not make it mean more.
const FIELDS: [&str; 4] = ["count", "code", "reason", "drain"];

const FORBIDDEN: u16 = 403;
const NOT_FOUND: u16 = 404;
const CONFLICT: u16 = 409;
const CONTENT_TOO_LARGE: u16 = 413;
const UNSUPPORTED_MEDIA_TYPE: u16 = 415;

/// A status and a sentence.
type Fault = (u16, String);

fn bad(text: impl Into<String>) -> Fault {
    (BAD_REQUEST, text.into())
}

/// What a form asks for.
enum Wanted {
    One(CloseRequest),
    Many(Many),
}

/// All that a filter means.
struct Many {
    filter: Filter,
    /// How many that are.
    count: u64,
    wish: Wish,
    /// Over which time.
    over: Duration,
}

/// Does what the request's form asks for.
pub fn close(request: &Request<'_>, child: &Child) -> HandlerResult {
    match wanted(request) {
        Ok(Wanted::One(one)) => close_one(request, child, &one),
        Ok(Wanted::Many(many)) => close_many(request, child, &many),
        Err((status, text)) => {
            // What is left of the body is not worth reading.
            request.close_connection();
            answer(request, status, &text)
        }
    }
}

fn close_one(request: &Request<'_>, child: &Child, wanted: &CloseRequest) -> HandlerResult {
    let CloseRequest { id, code, .. } = wanted;
    match child.board().post(wanted) {
        Posted::Waits(_) => {
            tell(request, || {
                format!("WebSocket {id} is to be closed with {code}")
            });
            answer(request, OK, &format!("Connection {id} is being closed."))
        }
        Posted::NoSuchConnection => answer(
            request,
            NOT_FOUND,
            &format!("There is no open connection {id}."),
        ),
        Posted::Full => too_many(request),
    }
}

fn close_many(request: &Request<'_>, child: &Child, wanted: &Many) -> HandlerResult {
    let Many {
        filter,
        count,
        wish,
        over,
    } = wanted;
    match child.board().post_for_many(filter, *count, wish, *over) {
        PostedForMany::Waits(_) => {
            tell(request, || {
                let what = match wish {
                    Wish::Close { code, .. } => format!("closed with {code}"),
                    Wish::Drain => format!("drained over {} s", over.as_secs_f64()),
                };
                format!(
                    "{count} WebSockets, all of {}, are to be {what}",
                    told(filter)
                )
            });
            let what = match wish {
                Wish::Close { .. } => "closed",
                Wish::Drain => "drained",
            };
            answer(
                request,
                OK,
                &format!("{count} connections are being {what}."),
            )
        }
        PostedForMany::OtherNumber(0) => answer(
            request,
            NOT_FOUND,
            "There is no open connection that the filter means.",
        ),
        PostedForMany::OtherNumber(other) => answer(
            request,
            CONFLICT,
            &format!("The filter means {other} connections, and not {count}: nothing was done."),
        ),
        PostedForMany::Full => too_many(request),
    }
}

fn too_many(request: &Request<'_>) -> HandlerResult {
    request.headers_out().set(c"Retry-After", c"1");
    answer(
        request,
        SERVICE_UNAVAILABLE,
        "Too many connections are being closed; try again.",
    )
}

/// Says what somebody wants, and who that is.
fn tell(request: &Request<'_>, what: impl FnOnce() -> String) {
    log::log_or_count(
        &Subject::Request(request),
        Level::Notice,
        Tag::CloseWanted,
        "requests to close a WebSocket",
        || {
            let user = request.user();
            let user = user.map_or_else(|| "somebody".to_owned(), |user| format!("user {user:?}"));
            let address = request.client_address();
            let address = address.map_or_else(|| "?".to_owned(), |address| address.to_string());
            format!(
                "{}, as {user} at {address} wants (POST {:?})",
                what(),
                request.uri()
            )
        },
    );
}

/// A filter, for people. Its names are somebody's: quoted.
fn told(filter: &Filter) -> String {
    let parts = [
        filter.user.as_ref().map(|user| format!("user {user:?}")),
        filter
            .location
            .as_ref()
            .map(|name| format!("Location {name:?}")),
        filter.client.map(|client| format!("client {client}")),
        filter.child.map(|pid| format!("child {pid}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn wanted(request: &Request<'_>) -> Result<Wanted, Fault> {
    check_sender(request)?;
    check_guard(request)?;
    let form = read(request)?;
    let has_filter = filter::FIELDS
        .iter()
        .any(|name| field(&form, name).is_some());
    match field(&form, "id") {
        Some(_) if has_filter => Err(bad(
            "id stands alone: it is one connection, and a filter means many.",
        )),
        None if has_filter => many(&form).map(Wanted::Many),
        _ => one(&form).map(Wanted::One),
    }
}

/// That the form comes from nobody else's page.
fn check_sender(request: &Request<'_>) -> Result<(), Fault> {
    // That a page is this server's own says nothing when an attacker's name server decides what this server's name is.
    let is_own_host =
        |host: String| Host::parse(&host).is_ok_and(|host| is_servers(request, &host));
    if !request.host().is_none_or(is_own_host) {
        return Err((
            FORBIDDEN,
            "Host is none of this server's: a ServerName or ServerAlias, an address, or localhost."
                .to_owned(),
        ));
    }
    let (site, origin, host) = (
        request.header_in("Sec-Fetch-Site"),
        request.header_in("Origin"),
        request.header_in("Host"),
    );
    if !is_own(site.as_deref(), origin.as_deref(), host.as_deref()) {
        return Err((
            FORBIDDEN,
            "A page of another site may not close connections.".to_owned(),
        ));
    }
    Ok(())
}

/// That somebody has said who may do this.
fn check_guard(request: &Request<'_>) -> Result<(), Fault> {
    if guard::may_act(request) {
        return Ok(());
    }
    log::log(
        &Subject::Request(request),
        Level::Notice,
        Tag::ActionRefused,
        || {
            format!(
                "nobody may close WebSockets at {:?}, since everybody may ask for it: write a Require (other than all \
                 granted) into the <Location> of the status handler, or WebSocketStatusActions On",
                request.uri()
            )
        },
    );
    Err((
        FORBIDDEN,
        "The server's configuration does not say who may close connections here; its error log has more."
            .to_owned(),
    ))
}

fn read(request: &Request<'_>) -> Result<Vec<(String, String)>, Fault> {
    let media_type = request.header_in("Content-Type").unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case(FORM) {
        return Err((
            UNSUPPORTED_MEDIA_TYPE,
            "The body is a form: application/x-www-form-urlencoded.".to_owned(),
        ));
    }
    let body = match request.read_body(LONGEST_BODY) {
        Body::Whole(body) => body,
        Body::TooLong => {
            let text = format!("The form has more than {LONGEST_BODY} bytes.");
            return Err((CONTENT_TOO_LARGE, text));
        }
        Body::Broken => return Err(bad("The form did not arrive.")),
    };
    Ok(fields(&String::from_utf8_lossy(&body)))
}

/// A form with an id.
fn one(form: &[(String, String)]) -> Result<CloseRequest, Fault> {
    let id = field(form, "id").and_then(|id| id.parse().ok());
    let id = id.ok_or_else(|| bad("id is the number of a connection."))?;
    let (code, reason) = code_and_reason(form)?;
    Ok(CloseRequest { id, code, reason })
}

/// A form with a filter.
fn many(form: &[(String, String)]) -> Result<Many, Fault> {
    for (index, (name, _)) in form.iter().enumerate() {
        if !filter::FIELDS
            .iter()
            .chain(&FIELDS)
            .any(|known| known == name)
        {
            return Err(bad(format!(
                "{name:?} is no field of a form with a filter."
            )));
        }
        if form[..index].iter().any(|(other, _)| other == name) {
            return Err(bad(format!("{name} is there twice.")));
        }
    }
    let filter = filter::of(form).map_err(bad)?;
    let count = field(form, "count").and_then(|count| count.parse().ok());
    let count = count.ok_or_else(|| {
        bad("count is how many connections the filter means: \"matching\" in the JSON.")
    })?;
    let (wish, over) = match field(form, "drain") {
        None => {
            let (code, reason) = code_and_reason(form)?;
            (Wish::Close { code, reason }, Duration::ZERO)
        }
        Some(_) if field(form, "code").or(field(form, "reason")).is_some() => {
            return Err(bad("drain is with 1001: it has neither code nor reason."));
        }
        Some(over) => {
            let over = parse_time(over).map_err(|text| bad(format!("drain: {text}.")))?;
            (Wish::Drain, over)
        }
    };
    Ok(Many {
        filter,
        count,
        wish,
        over,
    })
}

fn code_and_reason(form: &[(String, String)]) -> Result<(u16, String), Fault> {
    let code = field(form, "code").and_then(|code| code.parse().ok());
    let code = code.and_then(|code| CloseCode::from_wire(code, ReservedCloseCodes::Refuse));
    let code = code.ok_or_else(|| {
        bad("code is a close code that may be sent: 1000 to 1003, 1007 to 1014, 3000 to 4999.")
    })?;
    let reason = CloseReason::try_from(field(form, "reason").unwrap_or_default());
    let reason = reason.map_err(|_| bad("reason has more than 123 bytes."))?;
    Ok((code.as_u16(), reason.to_string()))
}
