//! What waits to be sent: in order, up to a limit, and nothing behind a Close.

use std::sync::Arc;

use session::Buffers;
use session::limits::HELD_UP_OVERHEAD;
use session::limits::{CORK_LIMIT, GATHER, SHARED, SLACK};
use session::outbox::{Outbox, Outgoing, Refused, SentBy};
use session::pieces::{MOST, Piece, Pieces};
use websocket_proto::extension::permessage_deflate::{
    CodecPool, PermessageDeflateConfig, negotiate,
};
use websocket_proto::{
    Compression, ControlPayload, Event, LocalError, MessageBudget, MessageKind, PreparedMessage,
    ReceivingConfig, ReceivingHalf, ReservedCloseCodes, Role, SendingHalf,
};

const LIMIT: usize = 1000;

fn buffers() -> Arc<Buffers> {
    Arc::new(Buffers::new(Arc::new(MessageBudget::new(1 << 20))))
}

fn outbox() -> Outbox {
    Outbox::new(LIMIT, SendingHalf::new(Role::Server), buffers())
}

fn message(payload: &[u8]) -> Outgoing<'_> {
    Outgoing::Message(MessageKind::Binary, Compression::Default, payload)
}

fn fragment(payload: &[u8], is_final: bool) -> Outgoing<'_> {
    Outgoing::Fragment {
        kind: MessageKind::Binary,
        payload,
        is_final,
    }
}

/// The payload of a ping that has come.
fn pinged(payload: &[u8]) -> ControlPayload {
    let mut frame = Vec::new();
    let mut peer = SendingHalf::new(Role::Client);
    peer.send_ping(payload, &mut frame).unwrap();
    let mut receiver = ReceivingHalf::new(ReceivingConfig {
        role: Role::Server,
        max_message_size: 1000,
        reserved_close_codes: ReservedCloseCodes::Refuse,
    });
    match receiver.receive(&mut frame) {
        (_, Some(Event::Ping(payload))) => payload,
        _ => panic!("a ping is a ping"),
    }
}

/// Takes out what leaves in one write.
fn take(outbox: &mut Outbox) -> Option<Vec<Vec<u8>>> {
    if let Some(frames) = outbox.take(Vec::new()) {
        return Some(vec![frames]);
    }
    let mut pieces = Pieces::default();
    let is_some = outbox.take_pieces(&mut pieces);
    is_some.then(|| pieces.iter().map(|piece| piece.to_vec()).collect())
}

/// Takes everything out, and the transport has not taken it yet.
fn take_all(outbox: &mut Outbox) {
    while take(outbox).is_some() {}
}

/// Takes everything out, as if the transport had taken it; the first byte of each buffer's first frame.
fn drain(outbox: &mut Outbox) -> Vec<u8> {
    let mut first = Vec::new();
    while let Some(pieces) = take(outbox) {
        for frames in pieces {
            first.push(frames[0]);
            outbox.transmitted(frames.len());
        }
    }
    first
}

#[test]
fn small_frames_are_gathered_and_large_ones_are_not() {
    let mut outbox = Outbox::new(1 << 20, SendingHalf::new(Role::Server), buffers());
    for _ in 0..3 {
        outbox.push(message(b"small"), SentBy::Thread).unwrap();
    }
    outbox.push(message(&[0; 40_000]), SentBy::Thread).unwrap();
    assert_eq!(outbox.queued(), 3 * 7 + 40_004);
    let pieces = take(&mut outbox).unwrap();
    let lengths: Vec<usize> = pieces.iter().map(Vec::len).collect();
    assert_eq!(lengths, [3 * 7, 40_004], "in one write");
    assert!(take(&mut outbox).is_none());
    assert!(outbox.queued() > 0, "taken out is not yet transmitted");
}

#[test]
fn threads_have_the_limit_and_callbacks_as_much_again() {
    let mut outbox = outbox();
    let payload = [0; 96];
    let push = |outbox: &mut Outbox, sent_by| outbox.push(message(&payload), sent_by);
    while push(&mut outbox, SentBy::Thread).is_ok() {}
    assert!((LIMIT..LIMIT + 100).contains(&outbox.queued()));
    assert_eq!(push(&mut outbox, SentBy::Thread), Err(Refused::Full));
    while push(&mut outbox, SentBy::Callback).is_ok() {}
    assert!((2 * LIMIT..2 * LIMIT + 100).contains(&outbox.queued()));
    assert_eq!(push(&mut outbox, SentBy::Callback), Err(Refused::Full));
    assert_eq!(push(&mut outbox, SentBy::Thread), Err(Refused::Full));
}

#[test]
fn room_is_told_once_to_those_who_asked_and_when_half_is_free() {
    let mut outbox = outbox();
    let payload = [0; 96];
    while outbox.try_push(message(&payload), SentBy::Thread).is_ok() {}
    take_all(&mut outbox);
    assert!(
        !outbox.transmitted(400).is_wanted,
        "there is room, but not enough to tell"
    );
    assert!(outbox.transmitted(200).is_wanted);
    assert!(!outbox.transmitted(100).is_wanted, "once");
    assert_eq!(outbox.try_push(message(&payload), SentBy::Thread), Ok(()));
}

#[test]
fn nothing_goes_in_behind_a_close() {
    let mut outbox = outbox();
    outbox.push(message(b"before"), SentBy::Thread).unwrap();
    outbox.push_close(None).unwrap();
    assert!(outbox.is_close_sent() && outbox.has_ended());
    assert_eq!(
        outbox.push(message(b"x"), SentBy::Callback),
        Err(Refused::Ended)
    );
    assert_eq!(
        outbox.push(Outgoing::Ping(b""), SentBy::Callback),
        Err(Refused::Ended)
    );
    assert_eq!(outbox.push_close(None), Err(Refused::Ended));
    outbox.push_pong(pinged(b"late"));
    let frames = outbox.take(Vec::new()).unwrap();
    assert_eq!(frames, b"\x82\x06before\x88\x00");
    assert!(outbox.take(Vec::new()).is_none());
}

#[test]
fn a_close_goes_in_whatever_the_limit() {
    let mut outbox = outbox();
    while outbox.push(message(&[0; 96]), SentBy::Callback).is_ok() {}
    assert_eq!(outbox.push_close(None), Ok(()));
}

#[test]
fn only_the_latest_ping_is_answered_while_there_is_no_room() {
    let mut outbox = outbox();
    while outbox.push(message(&[0; 96]), SentBy::Callback).is_ok() {}
    let queued = outbox.queued();
    for payload in [b"1", b"2", b"3"] {
        outbox.push_pong(pinged(payload));
    }
    assert_eq!(outbox.queued(), queued, "a flood of pings takes no memory");
    assert_eq!(
        drain(&mut outbox)[..2],
        [0x8a, 0x82],
        "the answer goes first"
    );
}

#[test]
fn a_message_waits_for_the_end_of_one_in_parts() {
    let mut outbox = outbox();
    outbox.push(fragment(b"a", false), SentBy::Thread).unwrap();
    outbox.push(message(b"between"), SentBy::Thread).unwrap();
    assert_eq!(outbox.buffered(), 3 + 7);
    outbox.push(fragment(b"b", true), SentBy::Thread).unwrap();
    let frames = outbox.take(Vec::new()).unwrap();
    assert_eq!(frames, b"\x02\x01a\x80\x01b\x82\x07between");
    assert_eq!(outbox.buffered(), frames.len());
}

#[test]
fn what_waits_behind_a_message_in_parts_has_a_limit() {
    let mut outbox = outbox();
    outbox.push(fragment(b"a", false), SentBy::Thread).unwrap();
    outbox.push(message(&[0; LIMIT]), SentBy::Thread).unwrap();
    assert_eq!(
        outbox.push(message(b"x"), SentBy::Thread),
        Err(Refused::Full)
    );
    assert_eq!(
        outbox.try_push(message(b"x"), SentBy::Thread),
        Err(Refused::Full)
    );
    outbox.push(message(&[0; LIMIT]), SentBy::Callback).unwrap();
    let unfinished = Err(Refused::Invalid(LocalError::MessageUnfinished));
    assert_eq!(outbox.push(message(b"x"), SentBy::Callback), unfinished);
    assert_eq!(
        outbox.try_push(message(b"x"), SentBy::Callback),
        Err(Refused::Full),
        "one that does not wait may try again"
    );
}

#[test]
fn empty_messages_behind_one_in_parts_have_a_limit_too() {
    let mut outbox = outbox();
    outbox.push(fragment(b"", false), SentBy::Thread).unwrap();
    let mut held_up = 0;
    for sent_by in [SentBy::Thread, SentBy::Callback] {
        while outbox.push(message(b""), sent_by).is_ok() {
            held_up += 1;
            assert!(
                held_up * HELD_UP_OVERHEAD < outbox.limit(sent_by) + HELD_UP_OVERHEAD,
                "{held_up} messages wait for {sent_by:?}"
            );
        }
        let is_full = outbox.push(message(b""), sent_by) == Err(Refused::Full);
        assert_eq!(is_full, sent_by == SentBy::Thread);
        assert_eq!(outbox.must_wait(message(b""), sent_by), is_full);
    }
    assert!(outbox.load() >= 2 * LIMIT, "a turn reads no further");
    assert_eq!(outbox.buffered(), 2, "what they have in bytes is told");
    outbox.push(fragment(b"", true), SentBy::Thread).unwrap();
    assert_eq!(outbox.load(), 2 + 2 + held_up * 2);
}

#[test]
fn input_goes_on_when_a_callback_may_end_what_others_wait_for() {
    let mut outbox = outbox();
    outbox.push(fragment(b"", false), SentBy::Callback).unwrap();
    while outbox.push(message(b""), SentBy::Callback).is_ok() {}
    assert_eq!(outbox.load(), 2);
}

#[test]
fn room_behind_a_message_in_parts_is_told_to_those_who_wait_there() {
    let mut outbox = outbox();
    let part = outbox.push(fragment(&[0; 600], false), SentBy::Thread);
    assert_eq!(part, Ok(()));
    outbox.push(message(&[0; 600]), SentBy::Thread).unwrap();
    assert!(outbox.must_wait(message(b"x"), SentBy::Thread));
    take_all(&mut outbox);
    assert!(outbox.transmitted(604).is_below_a_limit);
    assert!(!outbox.must_wait(message(b"x"), SentBy::Thread));
}

#[test]
fn room_for_a_message_behind_one_in_parts_is_told_before_that_has_ended() {
    let mut outbox = outbox();
    outbox
        .push(fragment(&[0; 900], false), SentBy::Thread)
        .unwrap();
    outbox.push(message(&[0; 200]), SentBy::Thread).unwrap();
    let refused = outbox.try_push(message(b"x"), SentBy::Thread);
    assert_eq!(refused, Err(Refused::Full));
    take_all(&mut outbox);
    assert!(!outbox.transmitted(500).is_wanted, "not enough to tell");
    assert!(outbox.transmitted(404).is_wanted);
    assert_eq!(outbox.try_push(message(b"x"), SentBy::Thread), Ok(()));
}

#[test]
fn room_for_a_part_is_told_however_much_waits_for_the_last_one() {
    let mut outbox = outbox();
    outbox.push(fragment(b"a", false), SentBy::Thread).unwrap();
    outbox.push(message(&[0; LIMIT]), SentBy::Thread).unwrap();
    outbox
        .push(fragment(&[0; LIMIT], false), SentBy::Thread)
        .unwrap();
    let refused = outbox.try_push(fragment(b"b", true), SentBy::Thread);
    assert_eq!(refused, Err(Refused::Full));
    take_all(&mut outbox);
    assert!(outbox.transmitted(outbox.queued()).is_wanted);
    assert_eq!(
        outbox.try_push(fragment(b"b", true), SentBy::Thread),
        Ok(())
    );
}

#[test]
fn a_message_that_is_none_is_refused_before_it_waits() {
    let mut outbox = outbox();
    outbox.push(fragment(b"a", false), SentBy::Thread).unwrap();
    let bad = Outgoing::Message(MessageKind::Text, Compression::Default, b"\xff");
    assert!(matches!(
        outbox.push(bad, SentBy::Thread),
        Err(Refused::Invalid(_))
    ));
    assert_eq!(outbox.buffered(), 3);
}

#[test]
fn a_callback_waits_for_what_the_transport_takes_and_for_nothing_else() {
    let mut outbox = outbox();
    let part = fragment(&[0; 2 * LIMIT], false);
    outbox
        .push(message(&[0; LIMIT - 100]), SentBy::Thread)
        .unwrap();
    outbox.push(part, SentBy::Thread).unwrap();
    assert_eq!(
        outbox.push(message(b"x"), SentBy::Callback),
        Err(Refused::Full)
    );
    assert!(outbox.must_wait(message(b"x"), SentBy::Callback));
    take_all(&mut outbox);
    outbox.transmitted(outbox.queued());
    outbox
        .push(message(&[0; 2 * LIMIT]), SentBy::Thread)
        .unwrap();
    assert!(
        !outbox.must_wait(message(b"x"), SentBy::Callback),
        "it may be what ends the message in parts"
    );
    assert!(outbox.must_wait(message(b"x"), SentBy::Thread));
}

#[test]
fn a_peer_that_is_gone_gets_nothing_but_what_waits_and_the_close() {
    let mut outbox = outbox();
    outbox.push(fragment(b"a", false), SentBy::Thread).unwrap();
    outbox.push(message(&[0; LIMIT]), SentBy::Thread).unwrap();
    assert!(outbox.must_wait(message(b"x"), SentBy::Thread));
    assert!(outbox.peer_is_gone());
    assert!(!outbox.peer_is_gone(), "said once");
    assert!(!outbox.must_wait(message(b"x"), SentBy::Thread));
    assert_eq!(outbox.load(), 3, "input flows");
    assert_eq!(
        outbox.push(message(b"x"), SentBy::Thread),
        Err(Refused::Ended)
    );
    assert_eq!(outbox.push_close(None), Ok(()));
    assert!(outbox.has_output());
    outbox.end();
    assert!(!outbox.peer_is_gone() && outbox.has_ended());
}

#[test]
fn an_end_drops_what_waits() {
    let mut outbox = outbox();
    outbox.push(message(b"lost"), SentBy::Thread).unwrap();
    outbox.end();
    assert!(!outbox.has_output());
    assert!(outbox.take(Vec::new()).is_none());
    assert_eq!(outbox.push_close(None), Err(Refused::Ended));
    assert!(!outbox.must_wait(message(b"x"), SentBy::Thread));
}

#[test]
fn an_end_leaves_counted_what_is_on_its_way() {
    let mut outbox = outbox();
    outbox.push(message(b"leaves"), SentBy::Thread).unwrap();
    let leaving = outbox.take(Vec::new()).unwrap().len();
    outbox.push(message(b"lost"), SentBy::Thread).unwrap();
    outbox.end();
    assert_eq!(outbox.queued(), leaving);
    outbox.transmitted(leaving);
    assert_eq!(outbox.queued(), 0);
}

fn prepared(payload: &[u8]) -> PreparedMessage {
    PreparedMessage::new(MessageKind::Binary, payload, Compression::Default).unwrap()
}

#[test]
fn a_frame_for_many_waits_in_its_place_without_a_copy() {
    let frame_of = |message: &PreparedMessage| {
        let mut sender = SendingHalf::new(Role::Server);
        sender.send_prepared(message).unwrap().as_ptr()
    };
    let large = prepared(&[b'l'; SHARED]);
    let mut outbox = Outbox::new(1 << 20, SendingHalf::new(Role::Server), buffers());
    let small = prepared(b"small");
    for outgoing in [
        message(b"own"),
        Outgoing::Prepared(&small),
        Outgoing::Prepared(&large),
        message(b"behind"),
        Outgoing::Prepared(&large),
    ] {
        outbox.push(outgoing, SentBy::Thread).unwrap();
    }
    assert_eq!(outbox.queued(), 5 + 7 + 8 + 2 * (4 + SHARED));
    let mut pieces = Pieces::default();
    assert!(outbox.take_pieces(&mut pieces));
    let pieces: Vec<&Piece> = pieces.iter().collect();
    assert_eq!(&**pieces[0], b"\x82\x03own\x82\x05small");
    assert_eq!(&**pieces[2], b"\x82\x06behind");
    for place in [1, 3] {
        assert!(matches!(pieces[place], Piece::Shared(_)));
        assert_eq!(pieces[place].as_ptr(), frame_of(&large));
    }
    assert!(!outbox.has_output());
    outbox.transmitted(outbox.queued());
    assert_eq!(outbox.queued(), 0);
}

#[test]
fn one_write_takes_so_much_of_what_waits_for_it() {
    let mut outbox = Outbox::new(10 << 20, SendingHalf::new(Role::Server), buffers());
    let large = prepared(&[0; SHARED]);
    for _ in 0..MOST + 1 {
        outbox
            .push(Outgoing::Prepared(&large), SentBy::Thread)
            .unwrap();
    }
    assert_eq!(take(&mut outbox).map(|pieces| pieces.len()), Some(MOST));
    assert_eq!(take(&mut outbox).map(|pieces| pieces.len()), Some(1));
    let half = prepared(&[0; CORK_LIMIT / 2]);
    for _ in 0..3 {
        outbox
            .push(Outgoing::Prepared(&half), SentBy::Thread)
            .unwrap();
    }
    assert_eq!(take(&mut outbox).map(|pieces| pieces.len()), Some(2));
}

#[test]
fn a_message_for_many_waits_for_the_end_of_one_in_parts() {
    let mut outbox = outbox();
    outbox.push(fragment(b"a", false), SentBy::Thread).unwrap();
    let message = prepared(&[b'm'; SHARED]);
    outbox
        .push(Outgoing::Prepared(&message), SentBy::Thread)
        .unwrap();
    assert_eq!(outbox.buffered(), 3 + SHARED);
    assert!(!outbox.must_wait(Outgoing::Prepared(&message), SentBy::Thread));
    outbox.push(fragment(b"b", true), SentBy::Thread).unwrap();
    let pieces = take(&mut outbox).unwrap();
    assert_eq!(pieces[0], b"\x02\x01a\x80\x01b");
    assert_eq!(pieces[1].len(), 4 + SHARED);
    let push = |outbox: &mut Outbox| outbox.push(Outgoing::Prepared(&message), SentBy::Thread);
    outbox.push(fragment(b"", false), SentBy::Thread).unwrap();
    while push(&mut outbox).is_ok() {}
    assert!(outbox.must_wait(Outgoing::Prepared(&message), SentBy::Thread));
    assert_eq!(
        outbox.try_push(Outgoing::Prepared(&message), SentBy::Thread),
        Err(Refused::Full)
    );
    outbox.push_close(None).unwrap();
    assert_eq!(push(&mut outbox), Err(Refused::Ended));
}

/// One whose peer has agreed on permessage-deflate.
fn deflating(limit: usize) -> Outbox {
    let agreed = negotiate(
        ["permessage-deflate"].into_iter(),
        &PermessageDeflateConfig::default(),
    );
    let pool = Arc::new(CodecPool::new(1));
    let sender = SendingHalf::new(Role::Server).with_permessage_deflate(&agreed.unwrap(), &pool);
    Outbox::new(limit, sender, buffers())
}

fn room(piece: &Piece) -> usize {
    match piece {
        Piece::Own(frames) => frames.capacity(),
        Piece::Shared(frame) => frame.len(),
    }
}

#[test]
fn what_waits_takes_about_as_much_memory_as_it_counts() {
    for size in [300, GATHER - 1, GATHER + 1, 64 << 10, 256 << 10] {
        let mut outbox = deflating(1 << 20);
        let zeros = vec![0; size];
        for _ in 0..100 {
            outbox.push(message(&zeros), SentBy::Thread).unwrap();
            // Behind which another buffer begins.
            let prepared =
                PreparedMessage::new(MessageKind::Binary, &[0; 2 * SHARED], Compression::Skip)
                    .unwrap();
            outbox
                .push(Outgoing::Prepared(&prepared), SentBy::Thread)
                .unwrap();
        }
        let queued = outbox.queued();
        let mut pieces = Pieces::default();
        let mut taken = 0;
        while outbox.take_pieces(&mut pieces) {
            taken += pieces.iter().map(room).sum::<usize>();
            outbox.transmitted(pieces.iter().map(|piece| piece.len()).sum());
            pieces = Pieces::default();
        }
        assert!(
            taken <= 2 * queued + 200 * SLACK + GATHER,
            "{taken} bytes for {queued}, messages of {size}"
        );
    }
}

#[test]
fn compressed_messages_are_gathered_by_what_is_left_of_them() {
    let mut outbox = deflating(1 << 20);
    for _ in 0..100 {
        outbox
            .push(message(&[0; 64 << 10]), SentBy::Thread)
            .unwrap();
    }
    let queued = outbox.queued();
    assert!(queued < GATHER, "{queued}");
    let pieces = take(&mut outbox).unwrap();
    assert_eq!(pieces.len(), 1, "one buffer");
}

#[test]
fn a_text_that_is_refused_leaves_its_buffer_to_others() {
    let buffers = buffers();
    buffers.give(Vec::with_capacity(64 << 10));
    let mut outbox = Outbox::new(LIMIT, SendingHalf::new(Role::Server), Arc::clone(&buffers));
    let bad = vec![0xff; 64 << 10];
    let text = Outgoing::Message(MessageKind::Text, Compression::Default, &bad);
    assert!(outbox.push(text, SentBy::Thread).is_err());
    assert!(buffers.take(64 << 10).capacity() >= 64 << 10);
}

#[test]
fn a_large_buffer_is_not_for_what_needs_less_than_half_of_it() {
    let buffers = buffers();
    buffers.give(Vec::with_capacity(2 << 20));
    assert_eq!(buffers.take(64 << 10).capacity(), 0);
    assert!(buffers.take(1 << 20).capacity() >= 1 << 20);
}
