//! `SetHandler websocket-publish`.

use std::sync::Arc;

use httpd::log::Subject;
use httpd::request::{HandlerResult, Request};
use serde_json::{Value, json};
use subscribers::Form;
use topics::{Limits, LockError, PublishError, Published, RecordId, Token, Topic};

use super::answer::*;
use super::asked::of_request_or_query;
use super::draft::Draft;
use super::{page, rate};
use crate::child::Child;
use crate::configuration::config::Config;
use crate::log::{self, Level, Tag};
use crate::symbol::websocket_module;
use crate::topics::Exchange;
use crate::topics::naming::Unnamed;

/// How many ids a topic's figures have.
const MOST_IDS: usize = 100;

/// Answers a request for which `SetHandler websocket-publish` holds, and declines every other.
pub fn handle(request: &Request<'_>) -> HandlerResult {
    if request.handler() != Some(c"websocket-publish") || request.is_error_document() {
        return HandlerResult::Declined;
    }
    let served = match request.method().to_bytes() {
        b"POST" | b"PUT" => serve(request, publish),
        b"GET" | b"HEAD" => serve(request, show),
        b"DELETE" => serve(request, forget),
        b"OPTIONS" => return HandlerResult::Declined,
        _ => {
            let allowed = c"GET, HEAD, POST, PUT, DELETE";
            request.headers_out().set(c"Allow", allowed);
            let reason = "POST and PUT publish, GET shows a topic, DELETE forgets its messages";
            Err(Fault::new(METHOD_NOT_ALLOWED, reason))
        }
    };
    served.unwrap_or_else(|fault| {
        let level = match fault.status >= INTERNAL_SERVER_ERROR {
            true => Level::Error,
            false => Level::Info,
        };
        log::log(&Subject::Request(request), level, Tag::NotPublished, || {
            format!("{} for {}: {}", fault.status, request.uri(), fault.reason)
        });
        refuse(request, &fault)
    })
}

/// What all methods need.
struct Wanted<'r> {
    config: &'r Config,
    exchange: Arc<Exchange>,
    topics: Vec<Topic>,
}

fn serve(
    request: &Request<'_>,
    answer: fn(&Request<'_>, &Wanted<'_>) -> Result<HandlerResult, Fault>,
) -> Result<HandlerResult, Fault> {
    let missing = |what: &str| Fault::new(INTERNAL_SERVER_ERROR, what);
    let config = request.config::<Config>(&websocket_module);
    let config = config.ok_or_else(|| missing("there is no configuration"))?;
    let child = Child::current();
    let child = child.ok_or_else(|| missing("the child process has not been started"))?;
    if !matches!(request.method().to_bytes(), b"GET" | b"HEAD") {
        // A page of another origin must not publish with its visitor's cookies.
        page::check(request, config).map_err(|reason| Fault::new(FORBIDDEN, reason))?;
    }
    let asked = of_request_or_query(request, config).map_err(not_asked)?;
    rate::admit(request, config, &child, asked.topics.len())?;
    asked.may_be_had(request).map_err(not_asked)?;
    let exchange = Arc::clone(child.exchange());
    answer(
        request,
        &Wanted {
            config,
            exchange,
            topics: asked.topics,
        },
    )
}

fn publish(request: &Request<'_>, wanted: &Wanted<'_>) -> Result<HandlerResult, Fault> {
    let exchange = &wanted.exchange;
    let epoch = exchange.log().map_err(unavailable)?.epoch();
    let most = usize::try_from(wanted.config.max_message_size()).unwrap_or(usize::MAX);
    let draft = Draft::read(request, most.min(exchange.most_payload()))?;
    let mut all = Vec::new();
    for topic in &wanted.topics {
        let key = draft.key.as_deref();
        let at_once = |_| false;
        let published = exchange.publish(topic, draft.kind, &draft.payload, key, &at_once);
        all.push(published.map_err(not_published)?);
    }
    let status = match all.iter().any(|published| published.subscribers > 0) {
        true => CREATED,
        false => ACCEPTED,
    };
    let document = |published: &Published, topic: &Topic| {
        let token = Token {
            epoch,
            id: published.id,
        };
        json!({
            "topic": topic.as_str(),
            "id": token.to_string(),
            "subscribers": published.subscribers,
        })
    };
    let documents = all.iter().zip(&wanted.topics);
    let documents = documents.map(|(published, topic)| document(published, topic));
    Ok(answer(request, status, &one_or_all(documents.collect())))
}

/// A topic's figures.
fn show(request: &Request<'_>, wanted: &Wanted<'_>) -> Result<HandlerResult, Fault> {
    let log = wanted.exchange.log().map_err(unavailable)?;
    let terms = wanted.config.topic_terms(Form::Json);
    let limits = Limits {
        messages: terms.messages.min(MOST_IDS),
        age: terms.age,
        now: subscribers::terms::now(),
    };
    let mut documents = Vec::new();
    for topic in &wanted.topics {
        let history = log.history(topic).map_err(busy)?;
        let history = history.ok_or_else(|| no_such(topic))?;
        let token = |id: &RecordId| {
            let token = Token {
                epoch: log.epoch(),
                id: *id,
            };
            Value::from(token.to_string())
        };
        let recent = history.recent_ids(&limits);
        let counted = history.counted();
        documents.push(json!({
            "topic": topic.as_str(),
            "published": history.published(),
            "subscribers": history.subscribers(),
            "delivered": counted.delivered,
            "dropped": counted.dropped,
            "gaps": counted.gaps,
            "resumed": counted.resumed,
            "id": history.token().to_string(),
            "recent": recent.iter().map(token).collect::<Value>(),
        }));
    }
    Ok(answer(request, OK, &one_or_all(documents)))
}

fn forget(request: &Request<'_>, wanted: &Wanted<'_>) -> Result<HandlerResult, Fault> {
    let log = wanted.exchange.log().map_err(unavailable)?;
    let mut documents = Vec::new();
    let mut is_any_there = false;
    for topic in &wanted.topics {
        let is_there = log.forget(topic).map_err(busy)?;
        is_any_there |= is_there;
        documents.push(json!({ "topic": topic.as_str(), "forgotten": is_there }));
    }
    if let (false, Some(topic)) = (is_any_there, wanted.topics.first()) {
        return Err(no_such(topic));
    }
    Ok(answer(request, OK, &one_or_all(documents)))
}

/// Of one topic an object, of several an array of them.
fn one_or_all(mut documents: Vec<Value>) -> Value {
    match documents.len() {
        1 => documents.remove(0),
        _ => documents.into(),
    }
}

fn not_asked(unnamed: Unnamed) -> Fault {
    match unnamed {
        Unnamed::Bad(reason) => Fault::new(BAD_REQUEST, reason),
        Unnamed::Failed(reason) => Fault::new(INTERNAL_SERVER_ERROR, reason),
        Unnamed::Refused(status, reason) => Fault::new(status, reason),
    }
}

fn no_such(topic: &Topic) -> Fault {
    let reason = format!("nothing was published to {topic}, and nobody subscribes to it");
    Fault::new(NOT_FOUND, reason)
}

fn not_published(error: PublishError) -> Fault {
    let status = match error {
        PublishError::TooLarge { .. } => CONTENT_TOO_LARGE,
        PublishError::KeyReused => UNPROCESSABLE_CONTENT,
        _ => SERVICE_UNAVAILABLE,
    };
    Fault::new(status, error.to_string())
}

fn unavailable(error: crate::topics::Unavailable) -> Fault {
    Fault::new(SERVICE_UNAVAILABLE, error.to_string())
}

fn busy(error: LockError) -> Fault {
    Fault::new(SERVICE_UNAVAILABLE, error.to_string())
}
