//! What a listener's messages go out by: its WebSocket.

use session::Outgoing;
use subscribers::{Closing, Message, Outlet, Refused};
use websocket_proto::CloseCode;

use crate::websocket::connection::Connection;

impl Outlet for Connection {
    fn take(&self, message: Message<'_>) -> Result<(), Refused> {
        let message = match message {
            Message::ToMany(message) => Outgoing::Prepared(message),
            Message::ToOne(kind, compression, payload) => {
                Outgoing::Message(kind, compression, payload)
            }
        };
        let taken = self.session().gather(message);
        taken.map_err(|refused| match refused {
            session::Refused::Full => Refused::Full,
            _ => Refused::Ended,
        })
    }

    fn flush(&self) {
        self.session().flush();
    }

    fn has_ample_room(&self) -> bool {
        self.session().buffered() <= self.send_buffer() / 2
    }

    fn call_again(&self) {
        self.session().call_on_writable();
    }

    fn close(&self, why: Closing) {
        let reason = match why {
            Closing::Slow => "slow",
            Closing::Gap => "messages were lost",
            Closing::Unavailable => "topics are not available",
        };
        self.close_over_topics((CloseCode::TRY_AGAIN_LATER, reason));
    }
}
