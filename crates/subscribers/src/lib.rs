//! What one process delivers of the log of topics (the crate `topics`) to its subscribers. It knows no connection and no
//! httpd: a subscriber's [`Outlet`] is all that it sees of either.
//!
//! | file | what lives there |
//! |---|---|
//! | [`hub`] | the process's part: its seat at the log, who subscribes to what, one round of delivering |
//! | [`subscriber`] | where one subscriber is: live, or behind; what becomes of a slow one |
//! | [`outlet`] | what a subscriber's messages go out by |
//! | [`terms`] | what a subscriber is to get: as it is or as JSON, how far back, what when it is slow |
//! | [`footprint`] | where in memory a message goes, to be fetched while the one before is delivered |
//! | `tally` | what delivering comes to, counted of each topic and in all |
//! | `late` | what waits until the log's lock is to be had |
//! | [`attendance`] | the subscriptions of one connection that come and go, and the letters that wait for it |
//! | [`letter`] | what a connection is told that looks at everything itself |
//! | [`body`] | what a body is that comes over HTTP to be published |
//! | [`form`] | the messages of the subprotocol `topics.json` |
//! | `sync` | locks and atomics, which the simulation replaces |
//!
//! # What it promises
//!
//! | promise | because |
//! |---|---|
//! | A subscriber gets what is published to its topics in the log's order, over all of its topics; nothing twice | it is either *live*, and gets what the process's reader reads behind a position, or *behind*, and gets what the log has up to that position |
//! | What it does not get, it is told of before it gets anything later ([`form`]); one that cannot be told is closed | [`Terms::slow`] says which |
//! | With the last id that it knows of, it gets exactly what it has missed since, or is told first that it cannot | the log's promise ([`topics::History::resume`]) |
//! | A subscriber that is slow, or behind, holds up no other: the thread that delivers waits for nobody | its outlet refuses instead of blocking; a subscriber that another thread is at is passed by, and caught up with afterwards |
//! | A message is made once for all who are live, in each form that they want | [`Message::ToMany`] |
//! | A subscriber takes no memory for what it has not got yet | it is in the log, and read from there when there is room |

#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod attendance;
pub mod body;
pub mod footprint;
pub mod form;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod hub;
mod late;
pub mod letter;
pub mod outlet;
pub mod subscriber;
mod sync;
mod tally;
pub mod terms;

pub use attendance::{Attendance, NotSubscribed};
pub use hub::{Hub, MOST_TOPICS, Subscribing};
pub use letter::{Letter, News};
pub use outlet::{Closing, Message, Outlet, Refused};
pub use subscriber::Subscriber;
pub use terms::{Form, Since, Slow, Terms};
