//! Which topics a request to publish is for, when its query may say so.

use figures::form::fields;
use httpd::lookup::Lookup;
use httpd::request::Request;
use subscribers::MOST_TOPICS;
use topics::{BadTopic, Topic};

use super::answer::FORBIDDEN;
use super::page;
use crate::configuration::config::Config;
use crate::symbol::websocket_module;
use crate::topics::naming::{Unnamed, each_once, is_place_for_topics, of_request, unnamed};
use crate::topics::places::rest_of_path;

/// The topics of a request.
pub struct Asked {
    pub topics: Vec<Topic>,
    /// The query names them: whether the client may have them is not known yet.
    is_by_query: bool,
}

/// The topics of a request that may name them itself: by its path, or where that says nothing by `?topic=`.
pub fn of_request_or_query(request: &Request<'_>, config: &Config) -> Result<Asked, Unnamed> {
    let query = request.query().map(|query| query.to_string_lossy());
    let fields = fields(&query.unwrap_or_default());
    let asked: Vec<&str> = fields
        .iter()
        .filter(|(name, _)| name == "topic")
        .map(|(_, value)| value.as_str())
        .collect();
    if asked.is_empty() {
        return Ok(Asked {
            topics: of_request(request, config)?,
            is_by_query: false,
        });
    }
    is_place_for_topics(request, config)?;
    // Who may publish is decided by the path: a query must not lead elsewhere.
    if !config.topics().is_empty() || !rest_of_path(request).is_empty() {
        return Err(Unnamed::Bad(
            "the address names the topic, and ?topic= another".to_owned(),
        ));
    }
    if asked.len() > MOST_TOPICS {
        return Err(Unnamed::Bad(format!("more than {MOST_TOPICS} topics")));
    }
    let topic = |name: &str| match name.contains('\u{fffd}') {
        true => Err(unnamed("?topic=", BadTopic::NotUtf8)),
        false => Topic::new(name).map_err(|bad| unnamed("?topic=", bad)),
    };
    let topics = asked
        .into_iter()
        .map(topic)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Asked {
        topics: each_once(topics),
        is_by_query: true,
    })
}

impl Asked {
    /// Whether the client may have all of them. httpd looks at each as at a request of its own, passwords included.
    pub fn may_be_had(&self, request: &Request<'_>) -> Result<(), Unnamed> {
        let mut asked = self.topics.iter().filter(|_| self.is_by_query);
        asked.try_for_each(|topic| may_have(request, topic))
    }
}

/// Whether the client may have a topic by the path that names it: else a `Require` for that path would be got round.
fn may_have(request: &Request<'_>, topic: &Topic) -> Result<(), Unnamed> {
    let uri = request.uri();
    let base = uri.strip_suffix('/').unwrap_or(&uri);
    let name = topic.as_str();
    // An expression may name a topic that no path names: the one that differs by its slash stands for it.
    let slash = if name.starts_with('/') { "" } else { "/" };
    let path = format!("{base}{slash}{name}");
    let refused = |reason: &str| Unnamed::Refused(FORBIDDEN, format!("{path} {reason}"));
    let found = request.look_up(&path, |other| {
        if other.handler() != request.handler() {
            return Err(refused("has another handler"));
        }
        let own = || refused("is for topics of its own");
        let config = other.config::<Config>(&websocket_module).ok_or_else(own)?;
        // A file further down may have chosen the handler there.
        is_place_for_topics(other, config)?;
        if !config.topics().is_empty() {
            return Err(own());
        }
        if matches!(request.method().to_bytes(), b"GET" | b"HEAD") {
            return Ok(());
        }
        // Only the first request has the port that it was made to.
        page::check(request, config).map_err(|reason| refused(&format!("is not for it: {reason}")))
    });
    match found {
        Lookup::Allowed(found) => found,
        Lookup::Refused(status @ 400..=599) => {
            let reason = format!("{path} is refused with {status}");
            Err(Unnamed::Refused(status, reason))
        }
        Lookup::Refused(_) => Err(refused("is not served")),
        Lookup::NoPath => Err(Unnamed::Bad(format!(
            "?topic= is for topics that a path may name, and {name} is none"
        ))),
    }
}
