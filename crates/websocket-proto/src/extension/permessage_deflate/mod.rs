//! permessage-deflate (RFC 7692 §7): messages compressed one by one with DEFLATE (RFC 1951).
//!
//! Drive it so: [`negotiate`] with the client's Sec-WebSocket-Extensions; when that gives an
//! [`Agreed`], send its [response](Agreed::response) with the 101, and hand it to
//! [`ReceivingHalf::with_permessage_deflate`](crate::ReceivingHalf::with_permessage_deflate) and
//! [`SendingHalf::with_permessage_deflate`](crate::SendingHalf::with_permessage_deflate) together with a
//! [`CodecPool`], one for all connections.
//!
//! # Memory
//!
//! With context takeover a compressor and a decompressor stay with the connection, each from its
//! first compressed message on. Without, they are the pool's, and a connection has one only while
//! a message is compressed or has begun to arrive. Measured, in KiB each, the same at every level:
//!
//! | window bits | 9 | 10 | 11 | 12 | 13 | 14 | 15 |
//! |---|---|---|---|---|---|---|---|
//! | compressor | 245 | 247 | 251 | 259 | 275 | 307 | 371 |
//! | decompressor | 46 | 46 | 46 | 46 | 46 | 46 | 46 |
//!
//! Decompressors always have the largest window, which understands every smaller one: theirs is
//! allocated whole in any case.

mod compressor;
mod decompressor;
mod deflate;
mod inflate;
mod params;
mod pool;
mod values;

pub(crate) use decompressor::Inflated;
pub(crate) use deflate::MessageDeflater;
pub(crate) use inflate::MessageInflater;
pub use params::{Agreed, PermessageDeflateConfig, negotiate};
pub use pool::CodecPool;
pub use values::{CompressionLevel, WindowBits};

/// What a sync flush ends with: an empty block without compression. The sender drops it from the
/// end of each message, the receiver puts it back (RFC 7692 §7.2.1, §7.2.2).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
