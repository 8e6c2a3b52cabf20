//! Timers by key, on the one of the server; pongs.

mod mock;

use std::time::Duration;

use mock::{Call, Loaded, Mock};
use websocket_plugin::abi::*;
use websocket_plugin::{Handshake, Message, Plugin, Pong, Rejection, Sender, export_plugin};

/// Two timers for each text, and what it has been called for.
struct Timed;

impl Plugin for Timed {
    type Connection = ();

    fn connect(&self, _: &Handshake<'_>) -> Result<(), Rejection> {
        Ok(())
    }

    fn message(&self, (): &mut (), peer: &Sender, message: Message<'_>) {
        match message {
            Message::Text("set") => {
                peer.set_timer_for(2, Duration::from_secs(60)).unwrap();
                peer.set_timer_for(1, Duration::from_millis(1)).unwrap();
                peer.set_timer(Duration::from_secs(90)).unwrap();
            }
            Message::Text("clear") => peer.clear_timer_for(2),
            Message::Text("set three") => {
                for key in [10, 11, 12] {
                    peer.set_timer_for(key, Duration::from_millis(1)).unwrap();
                }
            }
            other => panic!("{other:?}"),
        }
    }

    fn timer(&self, (): &mut (), peer: &Sender) {
        peer.send_text("plain").unwrap();
    }

    fn timer_for(&self, (): &mut (), peer: &Sender, key: u32) {
        peer.send_text(&format!("timer {key}")).unwrap();
        if key == 10 {
            peer.clear_timer_for(11);
            peer.set_timer_for(12, Duration::from_secs(60)).unwrap();
        }
    }

    fn pong(&self, (): &mut (), peer: &Sender, pong: &Pong<'_>) {
        peer.send_text(&format!("{:?} {:?}", pong.payload, pong.round_trip))
            .unwrap();
    }
}

export_plugin!(timers_timed_init, Timed);

#[test]
fn several_timers_share_the_one_of_the_server() {
    let (plugin, mock) = (Loaded::new(timers_timed_init), Mock::new());
    let private = plugin.connect(&mock);
    plugin.text(private, &mock, "set");
    // The third is later than what the server has been asked for, which is all but due.
    let expected = [60_000, 1].map(Call::SetTimer);
    assert_eq!(mock.calls(), expected);
    plugin.timer(private, &mock);
    assert_eq!(mock.texts(), ["timer 1"]);
    let Some(Call::SetTimer(rest)) = mock.calls().pop() else {
        panic!("no timer: {:?}", mock.calls());
    };
    assert!((1..60_000).contains(&rest), "{rest}");
    plugin.text(private, &mock, "clear");
    let Some(Call::SetTimer(rest)) = mock.calls().pop() else {
        panic!("no timer: {:?}", mock.calls());
    };
    assert!((60_000..90_000).contains(&rest), "{rest}");
    plugin.disconnect(private, &mock);
}

#[test]
fn a_timer_that_is_due_can_be_taken_back_by_one_that_was_due_before() {
    let (plugin, mock) = (Loaded::new(timers_timed_init), Mock::new());
    let private = plugin.connect(&mock);
    plugin.text(private, &mock, "set three");
    plugin.timer(private, &mock);
    assert_eq!(mock.texts(), ["timer 10"]);
    let Some(Call::SetTimer(rest)) = mock.calls().pop() else {
        panic!("no timer: {:?}", mock.calls());
    };
    assert!((2..=60_000).contains(&rest), "{rest}");
    plugin.disconnect(private, &mock);
}

#[test]
fn a_plugin_that_has_set_no_timer_is_not_called_for_one() {
    let (plugin, mock) = (Loaded::new(timers_timed_init), Mock::new());
    let private = plugin.connect(&mock);
    plugin.timer(private, &mock);
    assert_eq!(mock.calls(), []);
    plugin.disconnect(private, &mock);
}

#[test]
fn a_pong_has_its_round_trip_if_that_is_known() {
    let (plugin, mock) = (Loaded::new(timers_timed_init), Mock::new());
    let private = plugin.connect(&mock);
    plugin.pong(private, &mock, b"\x01", 1500);
    plugin.pong(private, &mock, b"", WEBSOCKET_ROUND_TRIP_UNKNOWN);
    assert_eq!(mock.texts(), ["[1] Some(1.5ms)", "[] None"]);
    plugin.disconnect(private, &mock);
}
