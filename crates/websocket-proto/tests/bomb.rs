//! A compressed message that inflates to far more than the limit takes no more memory than the
//! limit, and an idle connection without context takeover none.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use flate2::{Compress, FlushCompress};
use websocket_proto::extension::permessage_deflate::{
    CodecPool, PermessageDeflateConfig, negotiate,
};
use websocket_proto::frame::{FrameHeader, Opcode, encode_header};
use websocket_proto::{
    Event, MessageKind, ProtocolError, ReceivingConfig, ReceivingHalf, ReservedCloseCodes, Role,
    SendingHalf,
};

/// The system's allocator, with a count for each thread of what it has in use and of the most that it ever had:
/// the test harness allocates on threads of its own meanwhile.
struct Counting;

thread_local! {
    static USED: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(size: isize) {
    // A thread that is ending counts no more.
    let _ = USED.try_with(|used| {
        used.set(used.get() + size);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(used.get())));
    });
}

// SAFETY: every call is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's obligations are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's obligations are the same.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// 1 GiB of zeros, which is about 1 MiB.
fn bomb() -> Vec<u8> {
    let zeros = vec![0; 1 << 20];
    let mut compress = Compress::new(flate2::Compression::new(9), false);
    let mut piece = Vec::with_capacity(2 << 10);
    let status = compress.compress_vec(&zeros, &mut piece, FlushCompress::Full);
    assert!(status.is_ok() && compress.total_in() == 1 << 20);
    // A full flush ends a piece that refers to nothing before it.
    piece.repeat(1024)
}

fn receiver(max_message_size: u64) -> ReceivingHalf {
    ReceivingHalf::new(ReceivingConfig {
        role: Role::Client,
        max_message_size,
        reserved_close_codes: ReservedCloseCodes::Refuse,
    })
}

#[test]
fn memory_follows_the_limit_and_leaves_an_idle_connection() {
    let offer = "permessage-deflate";
    let config = PermessageDeflateConfig {
        context_takeover: false,
        ..PermessageDeflateConfig::default()
    };
    let agreed = negotiate([offer].into_iter(), &config).unwrap();
    let pool = Arc::new(CodecPool::new(1));

    let payload = bomb();
    assert!((900 << 10..1200 << 10).contains(&payload.len()));
    let header = encode_header(&FrameHeader {
        rsv1: true,
        ..FrameHeader::new(Opcode::Binary, payload.len() as u64)
    });
    let mut input = [&*header, &payload].concat();
    drop(payload);
    for limit in [1000, 16 << 10, 1 << 20] {
        let mut receiver = receiver(limit).with_permessage_deflate(&agreed, &pool);
        let before = USED.get();
        PEAK.set(before);
        let (_, event) = receiver.receive(&mut input);
        assert_eq!(
            event,
            Some(Event::Failed(ProtocolError::MessageTooBig(None)))
        );
        // The message, the buffer that it outgrew, and the decompressor.
        let most = 2 * limit as isize + (48 << 10);
        let taken = PEAK.get() - before;
        assert!(taken <= most, "{taken} bytes for a limit of {limit}");
        assert_eq!(USED.get(), before - size_of_inflater(&agreed));
    }

    // A hundred idle connections that have sent and received compressed messages.
    let mut connections = Vec::with_capacity(101);
    let mut out = Vec::with_capacity(2000);
    let mut before = 0;
    for i in 0..=100 {
        // The first one fills the pool.
        if i == 1 {
            before = USED.get();
        }
        let mut sender = SendingHalf::new(Role::Server).with_permessage_deflate(&agreed, &pool);
        let mut receiver = receiver(5000).with_permessage_deflate(&agreed, &pool);
        out.clear();
        sender
            .send_message(MessageKind::Text, &[b'x'; 1000], &mut out)
            .unwrap();
        assert_eq!(out[0], 0xc1);
        assert!(matches!(
            receiver.receive(&mut out).1,
            Some(Event::Message { .. })
        ));
        connections.push((sender, receiver));
    }
    let each = (USED.get() - before) / 100;
    assert!(each < 500, "{each} bytes per idle connection");
}

/// What a receiver's half of the extension takes while it lies idle.
fn size_of_inflater(agreed: &websocket_proto::extension::permessage_deflate::Agreed) -> isize {
    let pool = Arc::new(CodecPool::new(1));
    let receiver = receiver(1);
    let before = USED.get();
    let receiver = receiver.with_permessage_deflate(agreed, &pool);
    let size = USED.get() - before;
    drop(receiver);
    size
}
