//! Which topics a request is for.

use figures::form::fields;
use httpd::request::Request;
use subscribers::MOST_TOPICS;
use topics::{BadTopic, Topic};

use crate::configuration::config::Config;

/// Why a request's topics are not known.
pub enum Unnamed {
    /// What the client has sent names none.
    Bad(String),
    /// The configuration's expression fails.
    Failed(String),
}

/// The topics of a request: what `WebSocketTopic` says, or what is left of the path.
pub fn of_request(request: &Request<'_>, config: &Config) -> Result<Vec<Topic>, Unnamed> {
    let names = config.topics();
    if names.is_empty() {
        let path = match request.path_info().to_bytes() {
            b"/" => b"",
            path => path,
        };
        let topic = Topic::from_bytes(path);
        return Ok(vec![topic.map_err(|bad| unnamed("the path", bad))?]);
    }
    let topic = |name: &crate::configuration::config::TopicName| {
        let text = name.expression.evaluate(request);
        let text = text.map_err(|error| Unnamed::Failed(format!("{}: {error}", name.text)))?;
        Topic::from_bytes(text.to_bytes()).map_err(|bad| unnamed(&name.text, bad))
    };
    names.iter().map(topic).collect()
}

/// The topics of a request that may name them itself: by its path, or where that says nothing by `?topic=`.
pub fn of_request_or_query(request: &Request<'_>, config: &Config) -> Result<Vec<Topic>, Unnamed> {
    let query = request.query().map(|query| query.to_string_lossy());
    let fields = fields(&query.unwrap_or_default());
    let asked: Vec<&str> = fields
        .iter()
        .filter(|(name, _)| name == "topic")
        .map(|(_, value)| value.as_str())
        .collect();
    if asked.is_empty() {
        return of_request(request, config);
    }
    // Who may publish is decided by the path: a query must not lead elsewhere.
    if !config.topics().is_empty() || !matches!(request.path_info().to_bytes(), b"" | b"/") {
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
    asked.into_iter().map(topic).collect()
}

fn unnamed(what: &str, bad: BadTopic) -> Unnamed {
    Unnamed::Bad(format!("{what} names no topic: {bad}"))
}
