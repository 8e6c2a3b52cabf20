//! Messages that say who has sent them, and whether they arrive as they left.

use websocket_proto::MessageKind;

/// Who sends: each has an order of its own.
pub type Origin = u16;

/// The peer.
pub const PEER: Origin = 0xff;
/// The application's callbacks, which never overlap.
pub const CALLBACKS: Origin = 0;

/// The bytes that say which message it is: ASCII, so that any of them can be a text.
const HEAD: usize = 8;
const FILLER: &[u8; 16] = b"etaoinshrdlucmfw";

/// The message with a number, of at least `length` bytes.
pub fn write(origin: Origin, number: u32, length: usize) -> Vec<u8> {
    let mut bytes = format!("{origin:02x}{number:06x}").into_bytes();
    bytes.extend((HEAD..length).map(|index| filler(origin, number, index)));
    bytes
}

/// Whose message it is, and its number; `None` when it is not as it was written.
pub fn read(bytes: &[u8]) -> Option<(Origin, u32)> {
    let head = std::str::from_utf8(bytes.get(..HEAD)?).ok()?;
    let origin = Origin::from_str_radix(&head[..2], 16).ok()?;
    let number = u32::from_str_radix(&head[2..], 16).ok()?;
    let is_whole = (HEAD..bytes.len()).all(|index| bytes[index] == filler(origin, number, index));
    is_whole.then_some((origin, number))
}

/// A message is a text or not by its number, so that its kind is checked, too.
pub fn kind(number: u32) -> MessageKind {
    match number % 2 {
        0 => MessageKind::Text,
        _ => MessageKind::Binary,
    }
}

fn filler(origin: Origin, number: u32, index: usize) -> u8 {
    FILLER[(usize::from(origin) + number as usize + index) % FILLER.len()]
}
