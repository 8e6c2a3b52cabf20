//! The content handler: decline, an HTTP error, or an upgrade (RFC 6455 §4.2).

use std::ffi::{CStr, CString};
use std::sync::Arc;

use httpd::apr::Status;
use httpd::log::Subject;
use httpd::mpm;
use httpd::request::{HandlerResult, Request, RequestHandle};
use httpd::socket::{HeldSignals, SignalMask};
use httpd::upgraded::Upgraded;
use websocket_proto::ProtocolVersion;
use websocket_proto::extension::permessage_deflate::{self, Agreed, CodecPool};
use websocket_proto::handshake::{Accepted, SUPPORTED_VERSIONS};

use crate::board::{About, Callback, Location};
use crate::child::Child;
use crate::configuration::config::Config;
use crate::driver::blocking::BlockingDriver;
use crate::driver::event::EventDriver;
use crate::log::{self, Level, Tag};
use crate::plugin::{Plugin, PluginPrivate, Verdict};
use crate::symbol::websocket_module;
use crate::websocket::connection::{Connection, Opening, location_name, location_path};
use crate::websocket::driver::Driver;
use crate::websocket::listener::Listener;
use crate::websocket::place::Place;
use crate::websocket::purpose::Purpose;

use super::fields::Fields;
use super::origin;
use super::refused_upgrade::*;
use super::subscription::Subscription;

/// `SetHandler websocket-topics`.
const TOPICS: &CStr = c"websocket-topics";
/// When a client that is one too many may come back, in seconds.
const RETRY_AFTER: &CStr = c"10";

/// Answers a request for which `SetHandler websocket-handler` or `websocket-topics` holds, and declines every other.
pub fn handle(request: &Request<'_>) -> HandlerResult {
    if ![Some(c"websocket-handler"), Some(TOPICS)].contains(&request.handler()) {
        return HandlerResult::Declined;
    }
    // An error document is served even where the client may open no WebSocket; and what the server asks itself for wants a page.
    if request.is_error_document() || request.is_subrequest() {
        return HandlerResult::Declined;
    }
    let fields = Fields::of(request);
    if !fields.as_request().is_upgrade() {
        return answer_without_upgrade(request, &fields);
    }
    match upgrade(request, &fields) {
        Ok(result) => result,
        Err(refusal) => {
            if let Some(child) = Child::current() {
                let location = location(request, &child);
                let client = request.client_address();
                let reason = refusal.counts_as();
                child.board().refused(location, client, reason);
            }
            refusal.answer(request)
        }
    }
}

/// A request that asks for no WebSocket: httpd's, when there is a file to answer with; else 426.
fn answer_without_upgrade(request: &Request<'_>, fields: &Fields) -> HandlerResult {
    if request.maps_to_file() || request.is_options() {
        return HandlerResult::Declined;
    }
    log::log(
        &Subject::Request(request),
        Level::Info,
        Tag::NotAnUpgrade,
        || {
            format!(
                "no WebSocket for {}: the request is no upgrade, it lacks {}",
                request.uri(),
                fields.as_request().lacks().join(" and ")
            )
        },
    );
    request.err_headers_out().set(c"Upgrade", c"websocket");
    request.err_headers_out().set(c"Connection", c"Upgrade");
    if request.has_error_document(UPGRADE_REQUIRED) {
        return HandlerResult::HttpStatus(UPGRADE_REQUIRED);
    }
    // httpd's own page for this status speaks of SSL.
    request.respond(
        UPGRADE_REQUIRED,
        c"text/html; charset=utf-8",
        "<!DOCTYPE html>\n<html><head><title>426 Upgrade Required</title></head><body>\n\
         <h1>Upgrade Required</h1>\n<p>This address is a WebSocket: open it with a WebSocket client.</p>\n\
         </body></html>\n",
    );
    HandlerResult::Done
}

fn upgrade(request: &Request<'_>, fields: &Fields) -> Result<HandlerResult, RefusedUpgrade> {
    if request.is_on_secondary_connection() {
        let reason = "WebSockets over HTTP/2 are not supported";
        return Err(RefusedUpgrade {
            level: Level::Info,
            ..RefusedUpgrade::new(NOT_IMPLEMENTED, Tag::SecondaryConnection, reason)
        });
    }
    let accepted = accept(request, fields)?;
    let Some(config) = request.config::<Config>(&websocket_module) else {
        return Err(RefusedUpgrade::new(
            INTERNAL_SERVER_ERROR,
            Tag::NoPlugin,
            "there is no configuration",
        ));
    };
    origin::check(request, config, accepted.version)
        .map_err(|reason| RefusedUpgrade::new(FORBIDDEN, Tag::OriginRefused, reason))?;
    let wanted = Wanted::by(request, config, &accepted)?;

    let Some(child) = Child::current() else {
        let reason = "the child process has not been started";
        return Err(RefusedUpgrade::new(
            INTERNAL_SERVER_ERROR,
            Tag::OpenFailed,
            reason,
        ));
    };
    let place = admit(request, config, &child)?;
    // Copied into the connection's pool: see `switch_protocols`.
    let number = place.entry().id().to_string();
    let number = request.connection_pool().strdup(&number);
    request.notes().set_uncopied(log::NUMBER, number);
    let compression = negotiate(request, config, accepted.version, &child);
    let is_compressed = compression.is_some();
    // A subprotocol is a token: it has no NUL.
    let subprotocols = accepted
        .subprotocols
        .iter()
        .filter_map(|&name| CString::new(name).ok());
    let connection = Connection::new(Opening {
        request: RequestHandle::new(request),
        purpose: wanted.purpose(&child)?,
        config,
        version: accepted.version,
        subprotocols: subprotocols.collect(),
        compression,
        buffers: child.buffers(),
        exchange: child.exchange(),
        place,
    });
    // prefork's handlers end the process, and its plugins with it, on this thread: from here to the WebSocket's end they
    // run only where its driver waits.
    let held = (!mpm::is_threaded()).then(HeldSignals::new);
    match &wanted {
        Wanted::Plugin(plugin) => {
            connection.accept(ask_plugin(request, plugin, &connection, &child)?);
        }
        Wanted::Topics(subscription) => subscription.begin(request, &connection)?,
    }
    // Before the client knows of it: when it then asks for the figures, it is in them.
    connection
        .entry()
        .opened(&about(request, &accepted, is_compressed));
    switch_protocols(request, &accepted);
    let signals = held.as_ref().map(HeldSignals::before);
    Ok(run(request, &connection, &child, signals))
}

/// Who is to have the WebSocket.
enum Wanted<'c> {
    Plugin(&'c Arc<Plugin>),
    Topics(Subscription),
}

impl<'c> Wanted<'c> {
    fn by(
        request: &Request<'_>,
        config: &'c Config,
        accepted: &Accepted<'_>,
    ) -> Result<Self, RefusedUpgrade> {
        if is_for_topics(request) {
            return Subscription::wanted(request, config, accepted).map(Wanted::Topics);
        }
        config.plugin().map(Wanted::Plugin).ok_or_else(|| {
            let reason = "no plugin is configured (is a WebSocketHandler directive missing?)";
            RefusedUpgrade::new(INTERNAL_SERVER_ERROR, Tag::NoPlugin, reason)
        })
    }

    fn purpose(&self, child: &Child) -> Result<Purpose, RefusedUpgrade> {
        match self {
            Wanted::Plugin(plugin) => Ok(Purpose::Plugin(Arc::clone(plugin))),
            Wanted::Topics(subscription) => subscription.listener(child).map(Purpose::Topics),
        }
    }
}

fn is_for_topics(request: &Request<'_>) -> bool {
    request.handler() == Some(TOPICS)
}

/// What the figures of a request's WebSockets are counted under.
fn location(request: &Request<'_>, child: &Child) -> Location {
    let config = request.config::<Config>(&websocket_module);
    let plugin = config.and_then(Config::plugin);
    let plugin = match is_for_topics(request) {
        true => Listener::NAME,
        false => plugin.map_or("", |plugin| plugin.name()),
    };
    let name = location_name(request, location_path(request, config));
    child.board().location(&name, plugin)
}

/// Judges the opening handshake.
fn accept<'f>(request: &Request<'_>, fields: &'f Fields) -> Result<Accepted<'f>, RefusedUpgrade> {
    let bad = |reason: String| RefusedUpgrade::new(BAD_REQUEST, Tag::BadHandshake, reason);
    let accepted = fields.as_request().accept().map_err(|error| {
        if error.is_unsupported_version() {
            // RFC 6455 §4.4.
            request
                .err_headers_out()
                .set_text(c"Sec-WebSocket-Version", SUPPORTED_VERSIONS);
        }
        bad(error.to_string())
    })?;
    if request.has_body() {
        // Where it ends and the first frame begins, client and server might see differently.
        return Err(bad("the request has a body".to_owned()));
    }
    Ok(accepted)
}

/// Gives the connection a place in the child, if there is one left.
fn admit(
    request: &Request<'_>,
    config: &Config,
    child: &Arc<Child>,
) -> Result<Place, RefusedUpgrade> {
    let place = child.admit(
        config.max_connections(),
        location(request, child),
        request.client_address(),
    );
    let place = place.ok_or_else(|| {
        request.err_headers_out().set(c"Retry-After", RETRY_AFTER);
        let reason = format!(
            "the child holds {} WebSockets already (WebSocketMaxConnections)",
            config.max_connections()
        );
        RefusedUpgrade {
            level: Level::Notice,
            ..RefusedUpgrade::new(SERVICE_UNAVAILABLE, Tag::TooManyConnections, reason)
        }
    })?;
    let most = config.max_connections_per_location();
    if most > 0 && !child.board().is_within_location(place.entry(), most as u64) {
        request.err_headers_out().set(c"Retry-After", RETRY_AFTER);
        let reason = format!(
            "its Location holds {most} WebSockets already (WebSocketMaxConnectionsPerLocation)"
        );
        return Err(RefusedUpgrade {
            level: Level::Notice,
            ..RefusedUpgrade::new(SERVICE_UNAVAILABLE, Tag::TooManyInLocation, reason)
        });
    }
    let most = config.max_connections_per_client();
    if most == 0 || child.board().is_within(place.entry(), most as u64) {
        return Ok(place);
    }
    request.err_headers_out().set(c"Retry-After", RETRY_AFTER);
    let reason =
        format!("the client has {most} WebSockets already (WebSocketMaxConnectionsPerClient)");
    Err(RefusedUpgrade::new(
        TOO_MANY_REQUESTS,
        Tag::TooManyOfClient,
        reason,
    ))
}

/// Agrees on permessage-deflate, when it is configured and offered, and says so in the response (RFC 7692 §5).
fn negotiate(
    request: &Request<'_>,
    config: &Config,
    version: ProtocolVersion,
    child: &Child,
) -> Option<(Agreed, Arc<CodecPool>)> {
    // The drafts behind versions 8 and 7 knew other extensions.
    let deflate = config
        .permessage_deflate()
        .filter(|_| version == ProtocolVersion::V13)?;
    // httpd has joined the field's lines.
    let offers = request.header_in("Sec-WebSocket-Extensions")?;
    let agreed = permessage_deflate::negotiate(std::iter::once(offers.as_str()), &deflate)?;
    request
        .headers_out()
        .set_text(c"Sec-WebSocket-Extensions", &agreed.response());
    Some((agreed, Arc::clone(child.codecs())))
}

fn ask_plugin(
    request: &Request<'_>,
    plugin: &Plugin,
    connection: &Arc<Connection>,
    child: &Child,
) -> Result<PluginPrivate, RefusedUpgrade> {
    let verdict = child.while_opening(connection, || {
        connection.run(Callback::Connect, || {
            // SAFETY: the connection is new and lives for the call; nobody else runs its callbacks.
            unsafe { plugin.on_connect(connection.server()) }
        })
    });
    if let Verdict::Accepted(private) = verdict {
        if !connection.is_rejected() {
            return Ok(private);
        }
        // What it keeps for the connection must be given back all the same.
        connection.log_misuse(&"reject, and then a connection is accepted");
        connection.session().stop_sending();
        connection.end_attendance();
        connection.run(Callback::Disconnect, || {
            // SAFETY: as above; it is called once, and `private` is from this acceptance.
            unsafe { plugin.on_disconnect(private, connection.server()) }
        });
    }
    let chosen = connection.refuse(request);
    let who = format!("the plugin {} ({})", plugin.name(), plugin.init());
    let number = connection.entry().id();
    Err(match verdict {
        Verdict::Failed => {
            let reason = format!("{who} failed in on_connect of WebSocket {number}");
            RefusedUpgrade::new(INTERNAL_SERVER_ERROR, Tag::PluginFailed, reason)
        }
        _ => {
            let status = chosen.unwrap_or(FORBIDDEN);
            request.allow_status(status);
            let reason = format!("{who} refused WebSocket {number} with {status}");
            RefusedUpgrade {
                // A plugin's own 503 is no fault.
                level: Level::Info,
                body: connection.take_refusal_body(),
                ..RefusedUpgrade::new(status, Tag::RefusedByPlugin, reason)
            }
        }
    })
}

/// What the list of connections says of it.
fn about(request: &Request<'_>, accepted: &Accepted<'_>, is_compressed: bool) -> About {
    let subprotocol = request.headers_out().get_text(c"Sec-WebSocket-Protocol");
    About {
        user: request.user(),
        subprotocol: subprotocol.map(|name| name.into_owned()),
        origin: request.header_in(accepted.version.origin_field()),
        path: Some(request.uri()),
        is_tls: request.is_tls(),
        is_compressed,
    }
}

/// RFC 6455 §4.2.2, item 5.
fn switch_protocols(request: &Request<'_>, accepted: &Accepted<'_>) {
    let headers = request.headers_out();
    // By now the request's pool has used up its first block, or nearly so, and the connection's has not: one more of 8 KiB
    // would be there for as long as the WebSocket.
    let accept = request.connection_pool().strdup(&accepted.accept);
    headers.set_uncopied(c"Upgrade", c"websocket");
    headers.set_uncopied(c"Connection", c"Upgrade");
    headers.set_uncopied(c"Sec-WebSocket-Accept", accept);
    if let Some(subprotocol) = headers.get(c"Sec-WebSocket-Protocol") {
        // For the access log, which sees nothing of the 101.
        request.notes().set(c"websocket-subprotocol", subprotocol);
    }
    // Whoever has asked a database whether the client may has had the answer.
    httpd::dbd::give_back(request);
    request.switch_protocols();
}

/// Gives the connection to a driver: the child's reactor, or this thread.
///
/// It is this thread in a child that has been told to stop. The MPM may have looked for connections, and found none,
/// before this one was taken from its queue of accepted sockets: then it waits for this thread only, and ends the
/// process, and a suspended connection with it, as soon as this thread is done. A connection that is counted before
/// the MPM stops is waited for.
fn run(
    request: &Request<'_>,
    connection: &Arc<Connection>,
    child: &Arc<Child>,
    signals: Option<SignalMask>,
) -> HandlerResult {
    let outcome = if request.is_aborted() {
        // The MPM would close it, not suspend it.
        Err("the client vanished".to_owned())
    } else if request.may_be_suspended() && !mpm::is_stopping() && child.start_reactor() {
        let suspended = EventDriver::suspend(request, child, connection);
        suspended
            .map(|()| HandlerResult::Suspended)
            .map_err(|status| status.to_string())
    } else {
        let ran = run_blocking(request, connection, child, signals);
        ran.map(|()| HandlerResult::Done)
            .map_err(|status| status.to_string())
    };
    outcome.unwrap_or_else(|reason| {
        log::log(
            &Subject::Request(request),
            Level::Info,
            Tag::OpenFailed,
            || format!("the WebSocket ended before it was open: {reason}"),
        );
        connection.session().fail_to_open();
        HandlerResult::Done
    })
}

/// Drives the connection on this thread until the WebSocket has ended; the MPM closes what is below.
fn run_blocking(
    request: &Request<'_>,
    connection: &Arc<Connection>,
    child: &Arc<Child>,
    signals: Option<SignalMask>,
) -> Result<(), Status> {
    // SAFETY: it is gone from `connection` before this function, and so the handler, returns.
    let mut upgraded = unsafe { Upgraded::new(request, &websocket_module) }?;
    if mpm::is_threaded() {
        upgraded.keep_socket()?;
    }
    let driver = Arc::new(BlockingDriver::new(upgraded.socket(), signals)?);
    let as_driver: Arc<dyn Driver> = driver.clone();
    connection.open(upgraded, Arc::downgrade(&as_driver));
    child.add(connection);
    driver.run(connection, child);
    if child.leaves() {
        // What follows waits for the peer's end, which nobody has the time for.
        driver.stop_reading();
    }
    if let Some(upgraded) = connection.take_upgraded() {
        upgraded.give_back();
    }
    Ok(())
}
