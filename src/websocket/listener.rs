//! A WebSocket that listens to topics, without a plugin.

use std::sync::{Arc, OnceLock, Weak};

use session::Receiver;
use subscribers::{Hub, Outlet, Subscriber, Subscribing, Terms};
use topics::{Kind, PublishError, Token, Topic};
use websocket_proto::{CloseCode, MessageKind};

use crate::topics::{Exchange, Unavailable};

/// What is asked of topics for one WebSocket.
pub struct Listener {
    exchange: Arc<Exchange>,
    hub: Arc<Hub>,
    topics: Vec<Topic>,
    /// `WebSocketTopicFromClient`.
    may_publish: bool,
    /// Once it is subscribed.
    subscriber: OnceLock<Arc<Subscriber>>,
}

/// Why a message of the client's is not published: what it is closed with.
pub type NotTaken = (CloseCode, &'static str);

impl Listener {
    /// What figures and log lines call such a WebSocket.
    pub const NAME: &str = "topics";

    /// One that is not subscribed yet.
    pub fn new(
        exchange: &Arc<Exchange>,
        topics: Vec<Topic>,
        may_publish: bool,
    ) -> Result<Self, Unavailable> {
        Ok(Listener {
            hub: exchange.hub()?,
            exchange: Arc::clone(exchange),
            topics,
            may_publish,
            subscriber: OnceLock::new(),
        })
    }

    /// Subscribes: what the client gets waits for the 101.
    pub fn subscribe(
        &self,
        since: Option<Token>,
        terms: Terms,
        outlet: Weak<dyn Outlet>,
    ) -> Result<(), Subscribing> {
        let topics = self.topics.clone();
        let subscriber = self.hub.subscribe(topics, since, terms, outlet)?;
        // Called once, so that it is not set already.
        let _ = self.subscriber.set(subscriber);
        Ok(())
    }

    /// There is room again.
    pub fn go_on(&self) {
        if let Some(subscriber) = self.subscriber.get() {
            self.hub.go_on(subscriber);
        }
    }

    /// The client has sent a message; `gather` as for [`Ringer::publish`](server_functions::Ringer::publish).
    pub fn publish(
        &self,
        kind: MessageKind,
        payload: &[u8],
        gather: &dyn Fn(Arc<dyn Receiver>) -> bool,
    ) -> Result<(), NotTaken> {
        if !self.may_publish {
            return Err((CloseCode::POLICY_VIOLATION, "no messages are taken here"));
        }
        let kind = match kind {
            MessageKind::Text => Kind::Text,
            MessageKind::Binary => Kind::Binary,
        };
        for topic in &self.topics {
            let published = self.exchange.publish(topic, kind, payload, None, gather);
            published.map_err(|error| match error {
                PublishError::TooLarge { .. } => {
                    (CloseCode::MESSAGE_TOO_BIG, "too large to be published")
                }
                _ => (CloseCode::TRY_AGAIN_LATER, "not published"),
            })?;
        }
        Ok(())
    }

    /// The WebSocket has ended.
    pub fn leave(&self) {
        if let Some(subscriber) = self.subscriber.get() {
            self.hub.leave(subscriber);
        }
    }
}
