//! `POST` to the status handler: closes a connection, in whichever child it is.

use figures::form::{field, fields, is_own};
use figures::{CloseRequest, Posted};
use httpd::content::Body;
use httpd::log::Subject;
use httpd::request::{HandlerResult, Request};
use websocket_proto::{CloseCode, CloseReason, Host, ReservedCloseCodes};

use super::answer::{BAD_REQUEST, OK, SERVICE_UNAVAILABLE, answer};
use crate::child::Child;
use crate::handshake::host::is_servers;
use crate::log::{self, Level, Tag};

/// In bytes.
const LONGEST_BODY: usize = 1024;
const FORM: &str = "application/x-www-form-urlencoded";

const FORBIDDEN: u16 = 403;
const NOT_FOUND: u16 = 404;
const CONTENT_TOO_LARGE: u16 = 413;
const UNSUPPORTED_MEDIA_TYPE: u16 = 415;

/// A status and a sentence.
type Fault = (u16, &'static str);

/// Closes the connection that the request's form names.
pub fn close(request: &Request<'_>, child: &Child) -> HandlerResult {
    let wanted = match wanted(request) {
        Ok(wanted) => wanted,
        Err((status, text)) => {
            // What is left of the body is not worth reading.
            request.close_connection();
            return answer(request, status, text);
        }
    };
    match child.figures().post(&wanted) {
        Posted::Waits(_) => {
            log::log(
                &Subject::Request(request),
                Level::Info,
                Tag::CloseWanted,
                || {
                    let CloseRequest { id, code, .. } = wanted;
                    format!(
                        "WebSocket {id} is to be closed with {code}, as a client of {} wants",
                        request.uri()
                    )
                },
            );
            answer(
                request,
                OK,
                &format!("Connection {} is being closed.", wanted.id),
            )
        }
        Posted::NoSuchConnection => answer(
            request,
            NOT_FOUND,
            &format!("There is no open connection {}.", wanted.id),
        ),
        Posted::Full => {
            request.headers_out().set(c"Retry-After", c"1");
            answer(
                request,
                SERVICE_UNAVAILABLE,
                "Too many connections are being closed; try again.",
            )
        }
    }
}

fn wanted(request: &Request<'_>) -> Result<CloseRequest, Fault> {
    // That a page is this server's own says nothing when an attacker's name server decides what this server's name is.
    let is_own_host =
        |host: String| Host::parse(&host).is_ok_and(|host| is_servers(request, &host));
    if !request.host().is_none_or(is_own_host) {
        return Err((
            FORBIDDEN,
            "Host is none of this server's: a ServerName or ServerAlias, an address, or localhost.",
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
            "A page of another site may not close connections.",
        ));
    }
    let media_type = request.header_in("Content-Type").unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case(FORM) {
        return Err((
            UNSUPPORTED_MEDIA_TYPE,
            "The body is a form: application/x-www-form-urlencoded.",
        ));
    }
    let body = match request.read_body(LONGEST_BODY) {
        Body::Whole(body) => body,
        Body::TooLong => return Err((CONTENT_TOO_LARGE, "The form has more than 1024 bytes.")),
        Body::Broken => return Err((BAD_REQUEST, "The form did not arrive.")),
    };
    let form = fields(&String::from_utf8_lossy(&body));
    let id = field(&form, "id").and_then(|id| id.parse().ok());
    let id = id.ok_or((BAD_REQUEST, "id is the number of a connection."))?;
    let code = field(&form, "code").and_then(|code| code.parse().ok());
    let code = code.and_then(|code| CloseCode::from_wire(code, ReservedCloseCodes::Refuse));
    let code = code.ok_or((
        BAD_REQUEST,
        "code is a close code that may be sent: 1000 to 1003, 1007 to 1014, 3000 to 4999.",
    ))?;
    let reason = CloseReason::try_from(field(&form, "reason").unwrap_or_default());
    let reason = reason.map_err(|_| (BAD_REQUEST, "reason has more than 123 bytes."))?;
    Ok(CloseRequest {
        id,
        code: code.as_u16(),
        reason: reason.to_string(),
    })
}
