//! One message to many.

use core::ffi::c_int;

use crate::abi::WEBSOCKET_SEND_CLOSED;
use crate::callback::Callback;
use crate::message::Message;
use crate::sender::{SendError, Sender, message_type, outcome};

/// Sends one message to many, as [`Sender::try_send`] does to each of them, and never waits: who is slow misses it. Says what
/// each has answered, in their order.
///
/// The server makes its frame once for all of them, compresses it once for each window, and keeps no copy for those
/// who cannot take it at once. In a callback whose client has sent more messages already, what they give to others
/// leaves in one write for each when the last has been handled. An older server is asked for each receiver by itself.
///
/// A [`Room`](crate::Room) sends this way, and keeps the list.
///
/// ```
/// use websocket_plugin::{Message, SendError, Sender, send_many};
///
/// fn tell(players: &[Sender], text: &str) {
///     let results = send_many(players, Message::Text(text));
///     for (player, result) in players.iter().zip(results) {
///         if result == Err(SendError::WouldBlock) {
///             let _ = player.close_with(4008, "too slow");
///         }
///     }
/// }
/// ```
pub fn send_many<'s>(
    receivers: impl IntoIterator<Item = &'s Sender>,
    message: Message<'_>,
) -> Vec<Result<(), SendError>> {
    let receivers = receivers.into_iter();
    let most = receivers.size_hint().0;
    let (mut results, mut open) = (Vec::with_capacity(most), Vec::with_capacity(most));
    let (mut hosts, mut passes) = (Vec::with_capacity(most), Vec::with_capacity(most));
    for receiver in receivers {
        if let Some((host, pass)) = receiver.enter() {
            open.push((results.len(), receiver, receiver.room().ask()));
            hosts.push(host);
            passes.push(pass);
        }
        results.push(Err(SendError::Closed));
    }
    let Some(&first) = hosts.first() else {
        return results;
    };
    // Who sends: what a callback gives to others waits for the end of its input.
    let running = Callback::running().and_then(|callback| callback.host());
    let sender = running.unwrap_or(first);
    let (message_type, payload) = (message_type(message), message.as_bytes());
    let mut answers: Vec<c_int> = vec![WEBSOCKET_SEND_CLOSED; hosts.len()];
    // SAFETY: `passes` keeps the receivers' tables alive; a running callback's is, or `first` is one of them.
    if !unsafe { sender.send_many(&hosts, message_type, payload, &mut answers) } {
        for (host, answer) in hosts.iter().zip(&mut answers) {
            // SAFETY: as above.
            let result = unsafe { host.try_send(message_type, payload) };
            *answer = result.unwrap_or(WEBSOCKET_SEND_CLOSED);
        }
    }
    drop(passes);
    for ((place, receiver, asked), answer) in open.into_iter().zip(answers) {
        let result = outcome(Some(answer));
        if result == Err(SendError::WouldBlock) {
            receiver.room().lacks(asked);
        }
        results[place] = result;
    }
    results
}
