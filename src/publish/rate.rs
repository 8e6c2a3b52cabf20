//! How often a client may publish over HTTP, or ask.

use std::hash::{DefaultHasher, Hash, Hasher};

use figures::Allowance;
use httpd::request::Request;

use super::answer::{Fault, TOO_MANY_REQUESTS};
use crate::child::Child;
use crate::configuration::config::Config;
use crate::websocket::connection::location_name;

/// Counts so many `topics` for the request's client, if it may have them now; before httpd looks at any of them.
pub fn admit(
    request: &Request<'_>,
    config: &Config,
    child: &Child,
    topics: usize,
) -> Result<(), Fault> {
    let Some(limit) = config.rate_limit() else {
        return Ok(());
    };
    let allowance = Allowance {
        rate: limit.rate,
        burst: limit.burst,
    };
    // All that the directive holds for is counted together, in each virtual host.
    let mut place = DefaultHasher::new();
    (location_name(request, ""), &limit.path).hash(&mut place);
    let count = u32::try_from(topics).unwrap_or(u32::MAX);
    let client = request.client_address();
    let admitted = child
        .board()
        .use_allowance(client, place.finish(), allowance, count);
    admitted.map_err(|wait| {
        let reason = format!(
            "more than a client may publish here: {} in a second and {} at once (WebSocketRateLimit)",
            limit.rate, limit.burst
        );
        Fault {
            retry_after: Some(wait.as_secs() + 1),
            ..Fault::new(TOO_MANY_REQUESTS, reason)
        }
    })
}
