//! Which connections a query or a form means: `user`, `location`, `client` and `child`, each of them exactly.

use figures::Filter;
use figures::form::field;

/// The fields that make a filter.
pub const FIELDS: [&str; 4] = ["user", "location", "client", "child"];

/// What the fields mean; the error says what would be right.
pub fn of(fields: &[(String, String)]) -> Result<Filter, &'static str> {
    let text = |name| field(fields, name).map(str::to_owned);
    let filter = Filter {
        user: text("user"),
        location: text("location"),
        client: match field(fields, "client") {
            Some(client) => Some(client.parse().map_err(|_| "client is an address.")?),
            None => None,
        },
        child: match field(fields, "child") {
            Some(child) => Some(child.parse().map_err(|_| "child is a process id.")?),
            None => None,
        },
    };
    let is_empty = |text: &Option<String>| text.as_deref() == Some("");
    if is_empty(&filter.user) || is_empty(&filter.location) {
        return Err("user and location are names, and not empty.");
    }
    Ok(filter)
}
