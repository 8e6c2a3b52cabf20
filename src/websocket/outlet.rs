//! What a listener's messages go out by: its WebSocket.

use std::ops::Range;
use std::sync::Arc;

use server_functions::letters;
use subscribers::footprint::STRETCHES;
use subscribers::{Closing, Letter, Message, Outlet, Refused};
use websocket_proto::CloseCode;

use crate::websocket::connection::Connection;

impl Outlet for Connection {
    fn take(&self, message: Message<'_>) -> Result<(), Refused> {
        letters::gather(self.session(), message)
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
        // Letters wait in the attendance, messages in the outbox.
        self.session().buffered() <= self.send_buffer() / 2 && self.has_ample_room_for_letters()
    }

    fn footprint(&self) -> Option<[Range<usize>; STRETCHES]> {
        let [outbox, turn, outside] = self.session().footprint();
        let [wire, figures] = self.session().far_footprint()?;
        Some([outbox, turn, outside, wire, figures])
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
