//! What a listener's messages go out by: its WebSocket.

use std::sync::Arc;

use session::Outgoing;
use subscribers::{Closing, Letter, Outlet, Refused};
use topics::Kind;
use websocket_proto::{CloseCode, Compression, MessageKind};

use crate::websocket::connection::Connection;

impl Outlet for Connection {
    fn take(&self, kind: Kind, may_compress: bool, payload: &[u8]) -> Result<(), Refused> {
        let kind = match kind {
            Kind::Text => MessageKind::Text,
            _ => MessageKind::Binary,
        };
        let compression = match may_compress {
            true => Compression::Default,
            false => Compression::Skip,
        };
        let message = Outgoing::Message(kind, compression, payload);
        let taken = self.session().gather(message);
        taken.map_err(|refused| match refused {
            session::Refused::Full => Refused::Full,
            _ => Refused::Ended,
        })
    }

    fn deliver(&self, letter: &Arc<Letter>) -> Result<(), Refused> {
        self.attendance().put(letter)
    }

    fn flush(&self) {
        if self.has_letters() {
            self.session().call();
        }
        self.session().flush();
    }

    fn has_ample_room(&self) -> bool {
        self.session().buffered() <= self.send_buffer() / 2
    }

    fn call_again(&self) {
        self.session().call();
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
