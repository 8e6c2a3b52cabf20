//! What is said of a child that has died.

use figures::{Board, Call, Death};
use httpd::log::Subject;
use httpd::server::Server;

use super::calling::Callback;
use crate::log::{self, Level, Tag};

/// How many calls a line names.
const MOST_CALLS: usize = 16;

/// Says that a child has died, what was lost with it, and what it was calling.
pub fn tell(server: Server<'_>, board: Board<'_>, death: &Death) {
    log::log(
        &Subject::Server(server),
        Level::Error,
        Tag::ChildDied,
        || {
            let lost = match death.lost {
                0 => "no WebSocket was lost".to_owned(),
                1 => "1 WebSocket was lost".to_owned(),
                lost => format!("{lost} WebSockets were lost"),
            };
            format!(
                "the child process {} has died: {lost}; {}",
                death.pid,
                calls(board, &death.calls)
            )
        },
    );
}

fn calls(board: Board<'_>, calls: &[Call<u8>]) -> String {
    if calls.is_empty() {
        return "it was not calling any plugin".to_owned();
    }
    let named = calls.iter().take(MOST_CALLS).map(|call| told(board, call));
    let mut named: Vec<_> = named.collect();
    if let others @ 1.. = calls.len().saturating_sub(MOST_CALLS) {
        named.push(format!("{others} others"));
    }
    format!("it was calling {}", named.join(", "))
}

/// A call, for people.
pub fn told(board: Board<'_>, call: &Call<u8>) -> String {
    let callback = Callback::name_of(call);
    let plugin = board.plugin_name(call.plugin);
    let of = match call.id {
        0 => String::new(),
        id => format!(" (WebSocket {id})"),
    };
    format!("{callback} of {plugin}{of}")
}
