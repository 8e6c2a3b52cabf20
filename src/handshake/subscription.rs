//! A handshake with a Location for topics: what the client subscribes to.

use std::sync::{Arc, Weak};

use figures::form::{field, fields};
use httpd::request::Request;
use subscribers::{Form, Outlet, Subscribing, Terms};
use topics::{Token, Topic};
use websocket_proto::handshake::Accepted;

use super::refused_upgrade::*;
use crate::child::Child;
use crate::configuration::config::Config;
use crate::log::{Level, Tag};
use crate::topics::naming::{self, Unnamed};
use crate::websocket::connection::Connection;
use crate::websocket::listener::Listener;

/// The subprotocol in which a client is told of topics and ids.
const JSON: &str = "topics.json";
/// When a client that finds no room may come back, in seconds.
const RETRY_AFTER: &std::ffi::CStr = c"10";

/// What a client wants to hear.
pub struct Subscription {
    topics: Vec<Topic>,
    /// The last message that it knows of.
    since: Option<Token>,
    terms: Terms,
    may_publish: bool,
}

impl Subscription {
    /// What the request asks for.
    pub fn wanted(
        request: &Request<'_>,
        config: &Config,
        accepted: &Accepted<'_>,
    ) -> Result<Self, RefusedUpgrade> {
        let topics = naming::of_request(request, config).map_err(|unnamed| match unnamed {
            Unnamed::Bad(reason) => RefusedUpgrade::new(BAD_REQUEST, Tag::TopicsRefused, reason),
            Unnamed::Failed(reason) => {
                let reason = format!("WebSocketTopic fails: {reason}");
                RefusedUpgrade::new(INTERNAL_SERVER_ERROR, Tag::TopicsRefused, reason)
            }
            Unnamed::Refused(status, reason) => {
                RefusedUpgrade::new(status, Tag::TopicsRefused, reason)
            }
        })?;
        let form = match accepted.subprotocols.contains(&JSON) {
            true => Form::Json,
            false => Form::Plain,
        };
        Ok(Subscription {
            topics,
            since: since(request, form)?,
            terms: config.topic_terms(form),
            may_publish: config.topic_from_client(),
        })
    }

    /// The WebSocket's listener.
    pub fn listener(&self, child: &Child) -> Result<Listener, RefusedUpgrade> {
        let listener = Listener::new(child.exchange(), self.topics.clone(), self.may_publish);
        listener.map_err(|error| {
            RefusedUpgrade::new(SERVICE_UNAVAILABLE, Tag::TopicsRefused, error.to_string())
        })
    }

    /// Subscribes the WebSocket, which is then as good as open.
    pub fn begin(
        &self,
        request: &Request<'_>,
        connection: &Arc<Connection>,
    ) -> Result<(), RefusedUpgrade> {
        let Some(listener) = connection.purpose().listener() else {
            return Ok(());
        };
        let outlet: Weak<dyn Outlet> = {
            let connection: Weak<Connection> = Arc::downgrade(connection);
            connection
        };
        let subscribed = listener.subscribe(self.since, self.terms, outlet);
        subscribed.map_err(|error| {
            let status = match error {
                Subscribing::TooMany => BAD_REQUEST,
                Subscribing::Refused(_) | Subscribing::NoMember(_) => {
                    request.err_headers_out().set(c"Retry-After", RETRY_AFTER);
                    SERVICE_UNAVAILABLE
                }
            };
            RefusedUpgrade {
                // The server's memory is as large as the operator has made it.
                level: Level::Info,
                ..RefusedUpgrade::new(status, Tag::TopicsRefused, error.to_string())
            }
        })?;
        if self.terms.form == Form::Json {
            let headers = request.headers_out();
            headers.set_text(c"Sec-WebSocket-Protocol", JSON);
        }
        connection.accept_as_listener();
        Ok(())
    }
}

/// `?since=`, which only a client that gets ids can have.
fn since(request: &Request<'_>, form: Form) -> Result<Option<Token>, RefusedUpgrade> {
    let query = request.query().map(|query| query.to_string_lossy());
    let fields = fields(&query.unwrap_or_default());
    let Some(since) = field(&fields, "since") else {
        return Ok(None);
    };
    let bad = |reason: &str| RefusedUpgrade::new(BAD_REQUEST, Tag::TopicsRefused, reason);
    if form != Form::Json {
        return Err(bad("?since= is for the subprotocol topics.json"));
    }
    let token = since.parse();
    token
        .map(Some)
        .map_err(|_| bad("?since= is not an id that this server has given"))
}
