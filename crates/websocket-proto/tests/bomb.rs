//! A compressed message that inflates to far more than the limit takes no more memory than the
//! limit, and an idle connection without context takeover none.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flate2::{Compress, FlushCompress};
use websocket_proto::extension::permessage_deflate::{
    CodecPool, PermessageDeflateConfig, negotiate,
};
use websocket_proto::frame::{FrameHeader, Opcode, encode_header};
use websocket_proto::{
    Event, MessageKind, ProtocolError, Receiver, ReceiverConfig, ReservedCloseCodes, Role, Sender,
};

/// The system's allocator, with a count of what is in use and of the most that ever was.
struct Counting;

static USED: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let used = USED.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(used, Ordering::Relaxed);
        // SAFETY: the caller's obligations are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Ordering::Relaxed);
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

fn receiver(max_message_size: u64) -> Receiver {
    Receiver::new(ReceiverConfig {
        role: Role::Client,
        max_message_size,
        reserved_close_codes: ReservedCloseCodes::Refuse,
    })
}

// One test, because the count is everybody's.
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
        let before = USED.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        let (_, event) = receiver.receive(&mut input);
        assert_eq!(event, Some(Event::Failed(ProtocolError::MessageTooBig)));
        // The message, the buffer that it outgrew, and the decompressor.
        let most = 2 * limit as usize + (48 << 10);
        let taken = PEAK.load(Ordering::Relaxed) - before;
        assert!(taken <= most, "{taken} bytes for a limit of {limit}");
        assert_eq!(
            USED.load(Ordering::Relaxed),
            before - size_of_inflater(&agreed)
        );
    }

    // A hundred idle connections that have sent and received compressed messages.
    let mut connections = Vec::with_capacity(101);
    let mut out = Vec::with_capacity(2000);
    let mut before = 0;
    for i in 0..=100 {
        // The first one fills the pool.
        if i == 1 {
            before = USED.load(Ordering::Relaxed);
        }
        let mut sender = Sender::new(Role::Server).with_permessage_deflate(&agreed, &pool);
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
    let each = (USED.load(Ordering::Relaxed) - before) / 100;
    assert!(each < 500, "{each} bytes per idle connection");
}

/// What a receiver's half of the extension takes while it lies idle.
fn size_of_inflater(agreed: &websocket_proto::extension::permessage_deflate::Agreed) -> usize {
    let pool = Arc::new(CodecPool::new(1));
    let receiver = receiver(1);
    let before = USED.load(Ordering::Relaxed);
    let receiver = receiver.with_permessage_deflate(agreed, &pool);
    let size = USED.load(Ordering::Relaxed) - before;
    drop(receiver);
    size
}
