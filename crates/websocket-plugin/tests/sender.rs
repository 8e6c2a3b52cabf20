//! Senders: on other threads, after the end, and in parts.

mod mock;

use std::future::Future;
use std::io::{self, Write};
use std::pin::pin;
use std::sync::{Mutex, mpsc};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use mock::{Answer, Call, Loaded, Mock};
use websocket_plugin::abi::*;
use websocket_plugin::{
    Closing, Handshake, Message, Plugin, Rejection, SendError, Sender, export_plugin, send_many,
};

/// Gives its sender away, on which the tests call.
struct Leaky(mpsc::Sender<Sender>);

impl Plugin for Leaky {
    type Connection = Sender;

    fn connect(&self, handshake: &Handshake<'_>) -> Result<Sender, Rejection> {
        self.0.send(handshake.sender().clone()).unwrap();
        match handshake.header("X-Refuse") {
            None => Ok(handshake.sender().clone()),
            Some("panic") => panic!("told to"),
            Some(_) => Err(Rejection::forbidden()),
        }
    }

    fn message(&self, _: &mut Sender, _: &Sender, _: Message<'_>) {}

    fn closed(&self, sender: &mut Sender, _: &Closing<'_>) {
        let _ = sender.send_text("late");
    }

    fn disconnect(&self, sender: Sender) {
        assert_closed(&sender);
    }
}

macro_rules! leaky {
    ($init:ident, $senders:ident) => {
        static $senders: Mutex<Option<mpsc::Receiver<Sender>>> = Mutex::new(None);
        export_plugin!($init, {
            let (sender, receiver) = mpsc::channel();
            *$senders.lock().unwrap() = Some(receiver);
            Leaky(sender)
        });
    };
}

fn taken(senders: &Mutex<Option<mpsc::Receiver<Sender>>>) -> Sender {
    senders.lock().unwrap().as_ref().unwrap().recv().unwrap()
}

/// Every function, once the connection has ended.
fn assert_closed(sender: &Sender) {
    let closed = Err(SendError::Closed);
    assert_eq!(sender.send(Message::Text("x")), closed);
    assert_eq!(sender.send_text(""), closed);
    assert_eq!(sender.send_binary(b"x"), closed);
    assert_eq!(sender.send_uncompressed(Message::Text("x")), closed);
    assert_eq!(sender.try_send(Message::Text("x")), closed);
    assert_eq!(send_many([sender], Message::Text("x")), [closed]);
    assert_eq!(sender.ping(b""), closed);
    assert_eq!(sender.pong(b""), closed);
    assert_eq!(sender.close_with(1000, ""), closed);
    assert_eq!(sender.set_timer(Duration::from_secs(1)), closed);
    assert_eq!(sender.text_writer().map(drop), closed);
    assert_eq!(sender.binary_writer().map(drop), closed);
    assert_eq!(sender.buffered_amount(), 0);
    sender.clear_timer();
    sender.close();
}

// ---------------------------------------------------------------------------------- the end

leaky!(sender_outlive_init, OUTLIVE);
leaky!(sender_refused_init, REFUSED);
leaky!(sender_blocked_init, BLOCKED);
leaky!(sender_crowd_init, CROWD);

#[test]
fn a_sender_that_outlives_its_connection_says_closed_on_another_thread() {
    let (plugin, mock) = (Loaded::new(sender_outlive_init), Mock::new());
    let private = plugin.connect(&mock);
    let sender = taken(&OUTLIVE);
    let (sent, first) = mpsc::channel();
    let busy = thread::spawn(move || {
        let mut count = 0;
        while sender.send_binary(b"x").is_ok() {
            count += 1;
            let _ = sent.send(());
        }
        assert_closed(&sender);
        count
    });
    first.recv().unwrap();
    plugin.disconnect(private, &mock);
    assert_eq!(mock.lines(), []);
    let calls = mock.calls().len();
    // Whatever the thread still does, it does it without the server's table.
    drop(mock);
    drop(plugin);
    assert_eq!(busy.join().unwrap(), calls);
}

#[test]
fn a_sender_of_a_refused_handshake_says_closed() {
    let plugin = Loaded::new(sender_refused_init);
    for way in ["yes", "panic"] {
        let mock = Mock::new().with_header("X-Refuse", way.as_bytes());
        let private = plugin.connect_raw(mock.server());
        assert_eq!(private.is_null(), way == "yes");
        drop(mock);
        assert_closed(&taken(&REFUSED));
    }
}

#[test]
fn disconnect_waits_for_a_send_that_the_server_has_released() {
    let (plugin, mock) = (Loaded::new(sender_blocked_init), Mock::new());
    let private = plugin.connect(&mock);
    let sender = taken(&BLOCKED);
    mock.set_slow(true);
    let blocked = thread::spawn(move || sender.send_text("stuck"));
    mock.wait_until_a_send_blocks();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(50));
            mock.set_slow(false);
        });
        plugin.disconnect(private, &mock);
    });
    assert_eq!(blocked.join().unwrap(), Err(SendError::Closed));
}

#[test]
fn every_function_may_be_called_by_a_crowd_while_the_connection_ends() {
    for _ in 0..if cfg!(miri) { 3 } else { 50 } {
        let (plugin, mock) = (Loaded::new(sender_crowd_init), Mock::new());
        let private = plugin.connect(&mock);
        let sender = taken(&CROWD);
        let crowd: Vec<_> = (0..4)
            .map(|_| {
                let sender = sender.clone();
                thread::spawn(move || {
                    while sender.send_text("x").is_ok() {
                        let _ = sender.try_send(Message::Binary(b"x"));
                        let _ = send_many([&sender, &sender], Message::Text("x"));
                        let _ = sender.set_timer(Duration::from_secs(1));
                        let _ = sender.close_with(1000, "");
                        let _ = sender.buffered_amount();
                        if let Ok(mut writer) = sender.text_writer() {
                            let _ = writer.write("x").and_then(|()| writer.finish());
                        }
                        sender.clear_timer();
                        sender.close();
                    }
                })
            })
            .collect();
        plugin.disconnect(private, &mock);
        assert_eq!(mock.lines(), []);
        drop(mock);
        for thread in crowd {
            thread.join().unwrap();
        }
    }
}

// ------------------------------------------------------------------------------ what is refused

leaky!(sender_refuses_init, REFUSES);
leaky!(sender_full_init, FULL);
leaky!(sender_old_init, OLD);

#[test]
fn a_send_that_is_refused_says_why() {
    let (plugin, mock) = (Loaded::new(sender_refuses_init), Mock::new());
    let private = plugin.connect(&mock);
    let sender = taken(&REFUSES);
    for (answer, result) in [
        (Answer::WouldBlock, Err(SendError::WouldBlock)),
        (Answer::Closed, Err(SendError::Closed)),
        (Answer::Invalid, Err(SendError::Invalid)),
        // Sent, and only once.
        (Answer::Late, Ok(())),
    ] {
        mock.set_answer(answer);
        let before = mock.calls().len();
        assert_eq!(sender.send_text("x"), result);
        assert_eq!(sender.send_uncompressed(Message::Binary(b"y")), result);
        assert_eq!(sender.ping(b"z"), result);
        let uncompressed = MESSAGE_TYPE_BINARY | MESSAGE_TYPE_UNCOMPRESSED;
        let sent = [
            (MESSAGE_TYPE_TEXT, b"x".to_vec()),
            (uncompressed, b"y".to_vec()),
            (MESSAGE_TYPE_PING, b"z".to_vec()),
        ];
        let calls = sent.into_iter().flat_map(|(message_type, payload)| {
            let first = Call::Send(message_type, payload.clone());
            [first, Call::TrySend(message_type, payload)]
        });
        assert_eq!(mock.calls()[before..], calls.collect::<Vec<_>>());
    }
    plugin.disconnect(private, &mock);
}

#[test]
fn who_had_no_room_for_a_send_is_told_of_some() {
    let (plugin, mock) = (Loaded::new(sender_full_init), Mock::new());
    let private = plugin.connect(&mock);
    let sender = taken(&FULL);
    let mut context = Context::from_waker(Waker::noop());
    let mut is_ready = || pin!(sender.ready()).poll(&mut context).is_ready();
    assert!(is_ready());
    mock.set_answer(Answer::WouldBlock);
    assert_eq!(sender.send_text("x"), Err(SendError::WouldBlock));
    assert!(!is_ready());
    plugin.writable(private, &mock);
    assert!(is_ready());
    plugin.disconnect(private, &mock);
}

#[test]
fn an_older_server_that_refuses_a_send_means_the_end() {
    let plugin = Loaded::new(sender_old_init);
    let mock = Mock::new().cut(WEBSOCKET_SERVER_SIZE_C_MODULE);
    let private = plugin.connect(&mock);
    let sender = taken(&OLD);
    assert_eq!(sender.send_text("x"), Ok(()));
    mock.set_answer(Answer::Late);
    assert_eq!(sender.send_text("x"), Err(SendError::Closed));
    plugin.disconnect(private, &mock);
}

// ------------------------------------------------------------------------------------------ many

leaky!(sender_many_init, MANY);

#[test]
fn what_goes_to_many_is_answered_by_each_in_their_order() {
    let plugin = Loaded::new(sender_many_init);
    let mocks: Vec<_> = (0..5).map(|_| Mock::new()).collect();
    let privates: Vec<_> = mocks.iter().map(|mock| plugin.connect(mock)).collect();
    let senders: Vec<_> = mocks.iter().map(|_| taken(&MANY)).collect();
    plugin.disconnect(privates[1], &mocks[1]);
    let answers = [Answer::WouldBlock, Answer::Closed, Answer::Invalid];
    for (mock, answer) in mocks[2..].iter().zip(answers) {
        mock.set_answer(answer);
    }
    let results = send_many(&senders, Message::Binary(b"all"));
    assert_eq!(
        results,
        [
            Ok(()),
            Err(SendError::Closed),
            Err(SendError::WouldBlock),
            Err(SendError::Closed),
            Err(SendError::Invalid)
        ]
    );
    let call = |is_sender| Call::Many(MESSAGE_TYPE_BINARY, b"all".to_vec(), is_sender);
    assert_eq!(mocks[0].calls(), [call(true)], "no callback runs");
    assert_eq!(mocks[1].calls(), []);
    assert_eq!(mocks[2].calls(), [call(false)]);
    assert_eq!(send_many([], Message::Text("nobody")), []);
    for (private, mock) in privates.into_iter().zip(&mocks) {
        if !std::ptr::eq(mock, &raw const mocks[1]) {
            plugin.disconnect(private, mock);
        }
    }
}

// ---------------------------------------------------------------------------------------- timers

leaky!(sender_timers_init, TIMERS);

#[test]
fn a_timer_that_is_set_while_the_next_one_is_asked_for_is_not_lost() {
    let (plugin, mock) = (Loaded::new(sender_timers_init), Mock::new());
    let private = plugin.connect(&mock);
    let sender = taken(&TIMERS);
    sender.set_timer_for(1, Duration::ZERO).unwrap();
    sender.set_timer_for(2, Duration::from_secs(60)).unwrap();

    // While the server is asked for the second one's call, another thread sets one that is earlier.
    let (done, is_done) = mpsc::channel();
    let other = sender.clone();
    mock.before_next_timer(move || {
        let (within, is_within) = mpsc::channel();
        let thread = thread::spawn(move || {
            other.set_timer_for(3, Duration::from_secs(1)).unwrap();
            // Nobody listens when it has waited, as it should.
            let _ = within.send(());
        });
        let _ = is_within.recv_timeout(Duration::from_millis(200));
        done.send(thread).unwrap();
    });
    plugin.timer(private, &mock);
    is_done.recv().unwrap().join().unwrap();

    // What the server has heard last is what counts for it.
    let Some(Call::SetTimer(last)) = mock.calls().pop() else {
        panic!("no timer: {:?}", mock.calls());
    };
    assert!(last <= 1000, "{:?}", mock.calls());
    plugin.disconnect(private, &mock);
}

// ---------------------------------------------------------------------------- messages in parts

leaky!(sender_parts_init, PARTS);
leaky!(sender_dropped_init, DROPPED);
leaky!(sender_failing_init, FAILING);
leaky!(sender_one_writer_init, ONE_WRITER);
leaky!(sender_late_writer_init, LATE_WRITER);

fn part(message_type: i32, payload: &[u8], is_final: i32) -> Call {
    Call::Fragment(message_type, payload.to_vec(), is_final)
}

#[test]
fn a_message_in_parts_has_an_end() {
    let (plugin, mock) = (Loaded::new(sender_parts_init), Mock::new());
    let private = plugin.connect(&mock);
    let sender = taken(&PARTS);

    let mut text = sender.text_writer().unwrap();
    text.write("grü").unwrap();
    text.write("").unwrap();
    text.write("ße").unwrap();
    text.finish().unwrap();
    let mut binary = sender.binary_writer().unwrap();
    assert_eq!(io::copy(&mut &b"file"[..], &mut binary).unwrap(), 4);
    binary.flush().unwrap();
    binary.finish().unwrap();
    sender.text_writer().unwrap().finish().unwrap();
    let mut text = sender.text_writer().unwrap();
    text.write("two").unwrap();
    text.finish_with("frames").unwrap();
    let whole = sender.binary_writer().unwrap();
    whole.finish_with(b"whole").unwrap();

    plugin.disconnect(private, &mock);
    assert_eq!(
        mock.calls(),
        [
            part(MESSAGE_TYPE_TEXT, "grü".as_bytes(), 0),
            part(MESSAGE_TYPE_TEXT, "ße".as_bytes(), 0),
            part(MESSAGE_TYPE_TEXT, b"", 1),
            part(MESSAGE_TYPE_BINARY, b"file", 0),
            part(MESSAGE_TYPE_BINARY, b"", 1),
            part(MESSAGE_TYPE_TEXT, b"", 1),
            part(MESSAGE_TYPE_TEXT, b"two", 0),
            part(MESSAGE_TYPE_TEXT, b"frames", 1),
            part(MESSAGE_TYPE_BINARY, b"whole", 1),
        ]
    );
}

#[test]
fn a_writer_that_is_dropped_within_its_message_closes_with_1011() {
    let (plugin, mock) = (Loaded::new(sender_dropped_init), Mock::new());
    let private = plugin.connect(&mock);
    let sender = taken(&DROPPED);

    // Nothing was begun, nothing is broken.
    drop(sender.text_writer().unwrap());
    assert_eq!(mock.calls(), []);

    let mut writer = sender.text_writer().unwrap();
    writer.write("half").unwrap();
    drop(writer);
    plugin.disconnect(private, &mock);
    assert_eq!(
        mock.calls(),
        [
            part(MESSAGE_TYPE_TEXT, b"half", 0),
            Call::CloseWith(1011, "".into())
        ]
    );
}

#[test]
fn a_writer_whose_end_is_not_taken_closes_with_1011() {
    let (plugin, mock) = (Loaded::new(sender_failing_init), Mock::new());
    let private = plugin.connect(&mock);
    let mut writer = taken(&FAILING).binary_writer().unwrap();
    writer.write(b"half").unwrap();
    mock.set_answer(Answer::Closed);
    assert_eq!(writer.write(b"more"), Err(SendError::Closed));
    assert_eq!(writer.finish(), Err(SendError::Closed));
    plugin.disconnect(private, &mock);
    assert_eq!(mock.calls()[3], Call::CloseWith(1011, "".into()));
}

#[test]
fn a_connection_has_one_writer_at_a_time() {
    let (plugin, mock) = (Loaded::new(sender_one_writer_init), Mock::new());
    let private = plugin.connect(&mock);
    let sender = taken(&ONE_WRITER);
    let writer = sender.text_writer().unwrap();
    let other = sender.clone();
    thread::spawn(move || {
        let busy = Err(SendError::WouldBlock);
        assert_eq!(other.text_writer().map(drop), busy);
        assert_eq!(other.binary_writer().map(drop), busy);
    })
    .join()
    .unwrap();
    writer.finish().unwrap();
    sender.binary_writer().unwrap().finish().unwrap();
    plugin.disconnect(private, &mock);
}

#[test]
fn a_writer_that_outlives_its_connection_says_closed() {
    let (plugin, mock) = (Loaded::new(sender_late_writer_init), Mock::new());
    let private = plugin.connect(&mock);
    let mut writer = taken(&LATE_WRITER).binary_writer().unwrap();
    writer.write(b"half").unwrap();
    plugin.disconnect(private, &mock);
    drop(mock);
    drop(plugin);
    assert_eq!(writer.write(b"more"), Err(SendError::Closed));
    let error = Write::write(&mut writer, b"more").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    drop(writer);
}

#[test]
fn an_error_is_one_of_input_and_output_too() {
    for (error, kind) in [
        (SendError::Closed, io::ErrorKind::BrokenPipe),
        (SendError::Invalid, io::ErrorKind::InvalidInput),
        (SendError::WouldBlock, io::ErrorKind::WouldBlock),
    ] {
        let converted = io::Error::from(error);
        assert_eq!(converted.kind(), kind);
        assert_eq!(converted.to_string(), error.to_string());
    }
}
