//! Which topics a request is for.

use httpd::request::Request;
use topics::{BadTopic, Topic};

use crate::configuration::config::Config;
use crate::topics::places::rest_of_path;

const FORBIDDEN: u16 = 403;

/// Why a request's topics are not known.
pub enum Unnamed {
    /// What the client has sent names none.
    Bad(String),
    /// The configuration's expression fails.
    Failed(String),
    /// The client may not have them: an HTTP status, and why.
    Refused(u16, String),
}

/// The topics of a request: what `WebSocketTopic` says, or what is left of the path.
pub fn of_request(request: &Request<'_>, config: &Config) -> Result<Vec<Topic>, Unnamed> {
    let names = config.topics();
    is_place_for_topics(request, config)?;
    if names.is_empty() {
        let topic = Topic::from_bytes(&rest_of_path(request));
        return Ok(vec![topic.map_err(|bad| unnamed("the path", bad))?]);
    }
    let topic = |name: &crate::configuration::config::TopicName| {
        let text = name.expression.evaluate(request);
        let text = text.map_err(|error| Unnamed::Failed(format!("{}: {error}", name.text)))?;
        Topic::from_bytes(text.to_bytes()).map_err(|bad| unnamed(&name.text, bad))
    };
    let topics = names.iter().map(topic).collect::<Result<Vec<_>, _>>()?;
    Ok(each_once(topics))
}

/// The same without those that come again.
pub fn each_once(topics: Vec<Topic>) -> Vec<Topic> {
    let mut once: Vec<Topic> = Vec::with_capacity(topics.len());
    for topic in topics {
        if !once.contains(&topic) {
            once.push(topic);
        }
    }
    once
}

/// Whether it is the server's administrator who wants topics here. They are those of all virtual hosts, which is not for
/// whoever may write an `.htaccess` file.
pub fn is_place_for_topics(request: &Request<'_>, config: &Config) -> Result<(), Unnamed> {
    if config.is_for_topics() || !request.has_htaccess() {
        return Ok(());
    }
    let reason = "an .htaccess file counts here, and may have chosen the handler; if topics are wanted, write \
                  WebSocketTopicFromClient Off, or another directive of topics, into the server's <Location> or \
                  <Directory>";
    Err(Unnamed::Refused(FORBIDDEN, reason.to_owned()))
}

/// What names no topic.
pub fn unnamed(what: &str, bad: BadTopic) -> Unnamed {
    Unnamed::Bad(format!("{what} names no topic: {bad}"))
}
