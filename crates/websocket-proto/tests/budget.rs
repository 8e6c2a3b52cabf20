//! Messages of many connections that share their memory until they are complete.

use std::sync::Arc;

use flate2::{Compress, FlushCompress};
use websocket_proto::extension::permessage_deflate::{
    CodecPool, PermessageDeflateConfig, negotiate,
};
use websocket_proto::frame::{FrameHeader, Opcode, encode_header};
use websocket_proto::{
    Event, MessageBudget, ProtocolError, ReceivingConfig, ReceivingHalf, ReservedCloseCodes, Role,
};

const BUDGET: usize = 1 << 20;
/// What is not counted of each message.
const FREE: usize = 16 << 10;

fn receiver(budget: &Arc<MessageBudget>) -> ReceivingHalf {
    let receiver = ReceivingHalf::new(ReceivingConfig {
        role: Role::Client,
        max_message_size: 32 << 20,
        reserved_close_codes: ReservedCloseCodes::Refuse,
    });
    receiver.with_message_budget(Arc::clone(budget))
}

fn frame(opcode: Opcode, fin: bool, rsv1: bool, payload: &[u8]) -> Vec<u8> {
    let header = encode_header(&FrameHeader {
        fin,
        rsv1,
        ..FrameHeader::new(opcode, payload.len() as u64)
    });
    [&*header, payload].concat()
}

/// Whether the receiver takes it all without failing, and gives no message.
fn takes(receiver: &mut ReceivingHalf, mut input: Vec<u8>) -> bool {
    let mut rest = &mut input[..];
    while !rest.is_empty() {
        let (consumed, event) = receiver.receive(rest);
        match event {
            None => rest = &mut rest[consumed..],
            Some(Event::Failed(ProtocolError::NoMemory)) => return false,
            Some(other) => panic!("{other:?}"),
        }
    }
    true
}

/// 16 MiB of zeros, in 16 KiB.
fn bomb() -> Vec<u8> {
    let mut compress = Compress::new(flate2::Compression::new(9), false);
    let mut out = Vec::with_capacity(64 << 10);
    compress
        .compress_vec(&vec![0; 16 << 20], &mut out, FlushCompress::Sync)
        .unwrap();
    out
}

#[test]
fn fragments_of_many_never_take_more_than_the_budget() {
    let budget = Arc::new(MessageBudget::new(BUDGET));
    let mut receivers: Vec<_> = (0..50).map(|_| receiver(&budget)).collect();
    for receiver in &mut receivers {
        assert!(takes(receiver, frame(Opcode::Binary, false, false, b"x")));
    }
    let mut failed = 0;
    for _ in 0..20 {
        for receiver in &mut receivers {
            let piece = frame(Opcode::Continuation, false, false, &[0; 10_000]);
            failed += u32::from(!takes(receiver, piece));
            assert!(budget.used() <= BUDGET);
        }
    }
    assert!(failed > 0);
    // Somebody else is served meanwhile, also with a message that is not whole at once.
    let mut small = receiver(&budget);
    assert!(takes(
        &mut small,
        frame(Opcode::Binary, false, false, &[0; FREE / 2])
    ));
    let mut end = frame(Opcode::Continuation, true, false, &[0; FREE / 2]);
    assert!(matches!(
        small.receive(&mut end).1,
        Some(Event::Message { .. })
    ));
    drop(receivers);
    assert_eq!(budget.used(), 0);
}

#[test]
fn what_a_small_compressed_frame_inflates_to_is_counted_before_it_is_there() {
    let config = PermessageDeflateConfig::default();
    let agreed = negotiate(["permessage-deflate"].into_iter(), &config).unwrap();
    let pool = Arc::new(CodecPool::new(1));
    let budget = Arc::new(MessageBudget::new(BUDGET));
    let bomb = bomb();
    for _ in 0..30 {
        let mut receiver = receiver(&budget).with_permessage_deflate(&agreed, &pool);
        assert!(!takes(
            &mut receiver,
            frame(Opcode::Binary, false, true, &bomb)
        ));
        // Who fails gives all of it back, though the connection is still there.
        assert_eq!(budget.used(), 0);
    }
}

#[test]
fn a_message_that_is_complete_leaves_the_budget_to_others() {
    let budget = Arc::new(MessageBudget::new(BUDGET));
    let mut receiver = receiver(&budget);
    for _ in 0..10 {
        assert!(takes(
            &mut receiver,
            frame(Opcode::Binary, false, false, &[0; BUDGET / 3])
        ));
        assert!(budget.used() >= BUDGET / 3 - FREE);
        let mut end = frame(Opcode::Continuation, true, false, b"");
        assert!(matches!(
            receiver.receive(&mut end).1,
            Some(Event::Message { .. })
        ));
        assert_eq!(budget.used(), 0);
    }
}
