//! `SetHandler websocket-status`: the figures as a page, as JSON and as OpenMetrics text, and closing connections. And
//! their part of mod_status' page.

use std::ffi::CStr;

use figures::form::{escape_html, field, fields};
use figures::{Filter, Listing, Snapshot};
use httpd::content::server_banner;
use httpd::mod_status::{Form, StatusPage};
use httpd::mpm;
use httpd::random::random;
use httpd::request::{HandlerResult, Request};

use super::answer::{BAD_REQUEST, METHOD_NOT_ALLOWED, OK, SERVICE_UNAVAILABLE, answer, begin};
use super::{close, filter};
use crate::child::Child;

/// The live page. It asks for the JSON of its own address, and needs nothing else.
const PAGE: &str = include_str!("page.html");
/// How many topics are listed at once, at most and without being asked for: each is a time series for a monitor.
const MOST_TOPICS: usize = 1000;
const TOPICS: usize = 20;
/// What stands in the page where a response's nonce goes.
const NONCE: &str = "{nonce}";
/// What stands in it where the figures go for those who run no script.
const FIGURES: &str = "{figures}";

/// Answers a request for which `SetHandler websocket-status` holds, and declines every other.
pub fn handle(request: &Request<'_>) -> HandlerResult {
    if request.handler() != Some(c"websocket-status") || request.is_error_document() {
        return HandlerResult::Declined;
    }
    let Some(child) = Child::current() else {
        return answer(
            request,
            SERVICE_UNAVAILABLE,
            "The child process is not ready.",
        );
    };
    match request.method().to_bytes() {
        b"GET" | b"HEAD" => show(request, &child),
        b"POST" => close::close(request, &child),
        _ => {
            request.headers_out().set(c"Allow", c"GET, HEAD, POST");
            answer(
                request,
                METHOD_NOT_ALLOWED,
                "GET shows the figures, POST closes connections.",
            )
        }
    }
}

fn show(request: &Request<'_>, child: &Child) -> HandlerResult {
    let query = request
        .query()
        .map(CStr::to_string_lossy)
        .unwrap_or_default();
    let query = fields(&query);
    let Some(count) = topic_count(field(&query, "topics")) else {
        let text = format!("topics is how many to list, at most {MOST_TOPICS}.");
        return answer(request, BAD_REQUEST, &text);
    };
    match field(&query, "format") {
        None | Some("html") => {
            let snapshot = read(child, &Listing::default(), count);
            show_page(request, &snapshot);
            HandlerResult::Done
        }
        Some("json") => {
            let filter = match filter::of(&query) {
                Ok(filter) => filter,
                Err(text) => return answer(request, BAD_REQUEST, text),
            };
            let Some(listing) = listing(field(&query, "connections"), filter) else {
                let text = format!(
                    "connections is FROM,COUNT: the number to begin with, and how many, at most {}.",
                    Listing::LONGEST
                );
                return answer(request, BAD_REQUEST, &text);
            };
            let snapshot = read(child, &listing, count);
            begin(request, OK, "application/json");
            request.write(&figures::json(&snapshot, &server_banner(), &mpm::name()));
            HandlerResult::Done
        }
        Some("openmetrics") => {
            request.headers_out().set(c"Vary", c"Accept");
            match wants_older_text(request.header_in("Accept").as_deref()) {
                true => show_prometheus(request, child, count),
                false => {
                    let snapshot = read(child, &Listing::NONE, count);
                    begin(request, OK, figures::OPENMETRICS);
                    request.write(&figures::openmetrics(&snapshot));
                }
            }
            HandlerResult::Done
        }
        Some("prometheus") => {
            show_prometheus(request, child, count);
            HandlerResult::Done
        }
        Some(_) => answer(
            request,
            BAD_REQUEST,
            "format is html, json, openmetrics or prometheus.",
        ),
    }
}

/// The older text format.
fn show_prometheus(request: &Request<'_>, child: &Child, count: usize) {
    let snapshot = read(child, &Listing::NONE, count);
    begin(request, OK, figures::PROMETHEUS);
    request.write(&figures::prometheus(&snapshot));
}

/// Whether a reader takes plain text, and no OpenMetrics (RFC 9110 §12.5.1; what takes anything takes this, too).
fn wants_older_text(accept: Option<&str>) -> bool {
    let mut best = [0.0; 2];
    for range in accept.unwrap_or_default().split(',') {
        let mut parts = range.split(';').map(str::trim);
        let index = match parts
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase()
            .as_str()
        {
            "application/openmetrics-text" => 0,
            "text/plain" => 1,
            _ => continue,
        };
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        let weight: f64 = weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
        best[index] = weight.max(best[index]);
    }
    best[1] > best[0]
}

/// All figures: those of the board, and those of topics, so many of which are listed.
fn read(child: &Child, listing: &Listing, count: usize) -> Snapshot {
    Snapshot {
        topics: child.exchange().figures(count),
        ..child.board().read(listing)
    }
}

fn topic_count(text: Option<&str>) -> Option<usize> {
    let count = text.map_or(Some(TOPICS), |text| text.parse().ok())?;
    (count <= MOST_TOPICS).then_some(count)
}

/// `FROM,COUNT`, or the first hundred, of those that the filter means.
fn listing(text: Option<&str>, filter: Filter) -> Option<Listing> {
    let Some(text) = text else {
        return Some(Listing {
            filter,
            ..Listing::default()
        });
    };
    let (from, count) = text.split_once(',')?;
    let listing = Listing {
        from: from.parse().ok()?,
        count: count.parse().ok()?,
        filter,
    };
    (listing.count <= Listing::LONGEST).then_some(listing)
}

/// The page may run its own script, and nothing that has found its way into it.
fn show_page(request: &Request<'_>, snapshot: &Snapshot) {
    let nonce = format!("{:016x}{:016x}", random(), random());
    begin(request, OK, "text/html; charset=utf-8");
    request.headers_out().set_text(
        c"Content-Security-Policy",
        &format!(
            "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
             img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
    );
    let (before, behind) = PAGE.split_once(FIGURES).unwrap_or((PAGE, ""));
    request.write(&before.replace(NONCE, &nonce));
    // What is not ours is escaped in these, and nothing is replaced in it.
    request.write(&format!(
        "<p>mod_websocket {}</p>\n",
        escape_html(&snapshot.build)
    ));
    request.write(&figures::html(snapshot));
    request.write(&figures::connections(snapshot));
    request.write(&behind.replace(NONCE, &nonce));
}

/// mod_status' page.
pub struct Section;

impl StatusPage for Section {
    fn write(request: &Request<'_>, form: Form) {
        let Some(child) = Child::current() else {
            return;
        };
        let snapshot = read(&child, &Listing::NONE, TOPICS);
        request.write(&match form {
            Form::Html => figures::html(&snapshot),
            Form::HtmlWithoutTables => figures::pre(&snapshot),
            Form::Lines => figures::lines(&snapshot),
        });
    }
}
