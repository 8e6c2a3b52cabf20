use std::sync::Arc;

use super::compression::Compression;
use super::prepared::PreparedMessage;
use crate::close::CloseFrame;
use crate::error::LocalError;
use crate::extension::permessage_deflate::{Agreed, CodecPool, MessageDeflater};
use crate::frame::{FrameHeader, FrameHeaderBytes, Opcode, Role, apply_mask, encode_header};
use crate::message::{ControlPayload, MessageKind};
use crate::utf8::{self, Utf8Validator};

/// The outgoing half of an endpoint: messages → bytes.
///
/// Each `send_*` appends one whole frame to the buffer of bytes for the transport, or fails and
/// appends nothing. Drive it so: any number of messages, Pings and Pongs, then one Close, then
/// nothing any more.
#[derive(Debug)]
pub struct SendingHalf {
    /// The masking key, for a client.
    mask: Option<[u8; 4]>,
    is_close_sent: bool,
    /// When permessage-deflate is agreed on.
    deflater: Option<Box<MessageDeflater>>,
    /// A message whose last fragment has not been sent.
    unfinished: Option<Unfinished>,
}

#[derive(Clone, Debug)]
struct Unfinished {
    kind: MessageKind,
    utf8: Utf8Validator,
}

impl SendingHalf {
    /// A sender for a connection whose opening handshake is done.
    ///
    /// A client masks with the key 0 until it [sets another one](Self::set_mask_key).
    pub fn new(role: Role) -> SendingHalf {
        SendingHalf {
            mask: match role {
                Role::Server => None,
                Role::Client => Some([0; 4]),
            },
            is_close_sent: false,
            deflater: None,
            unfinished: None,
        }
    }

    /// This sender, with permessage-deflate agreed on: messages are compressed from the configured
    /// size on.
    ///
    /// Without context takeover its compressor is the pool's, and a message that would not become
    /// smaller goes uncompressed. With it, the compressor stays from the first compressed message
    /// on, and every message that has been through it goes compressed.
    pub fn with_permessage_deflate(
        mut self,
        agreed: &Agreed,
        pool: &Arc<CodecPool>,
    ) -> SendingHalf {
        // RFC 6455 §5.1: a client masks, a server does not.
        let role = match self.mask {
            Some(_) => Role::Client,
            None => Role::Server,
        };
        self.deflater = Some(Box::new(agreed.deflater(role, pool)));
        self
    }

    /// This sender with a masking key; see [`set_mask_key`](Self::set_mask_key).
    pub fn with_mask_key(mut self, key: [u8; 4]) -> SendingHalf {
        self.set_mask_key(key);
        self
    }

    /// Sets the masking key of a client's next frames; a server's frames stay unmasked.
    ///
    /// A client that faces real peers sets a fresh, unpredictable key before each frame (RFC 6455
    /// §5.3); this crate has no source of such keys.
    pub fn set_mask_key(&mut self, key: [u8; 4]) {
        // RFC 6455 §5.1: a server must not mask.
        if self.mask.is_some() {
            self.mask = Some(key);
        }
    }

    /// Sends a message as one frame, compressed by [default](Compression::Default). Text has to be
    /// UTF-8.
    pub fn send_message(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), LocalError> {
        self.send_message_with(kind, payload, Compression::Default, out)
    }

    /// Sends a message as one frame, compressed or not. Text has to be UTF-8.
    #[inline]
    pub fn send_message_with(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        compression: Compression,
        out: &mut Vec<u8>,
    ) -> Result<(), LocalError> {
        if self.is_plain()
            && let Ok(length) = u16::try_from(payload.len())
        {
            // The short way of most messages, which is there to be short.
            check_text(kind, payload)?;
            let [high, low] = length.to_be_bytes();
            let first = 0x80 | kind.opcode() as u8;
            out.reserve(4 + payload.len());
            match length {
                0..=125 => out.extend_from_slice(&[first, low]),
                _ => out.extend_from_slice(&[first, 126, high, low]),
            }
            out.extend_from_slice(payload);
            return Ok(());
        }
        let header = self.message_header(kind, payload.len())?;
        check_text(kind, payload)?;
        match (&mut self.deflater, compression) {
            (Some(_), Compression::Default) => self.append_deflated(kind, &header, payload, out),
            _ => self.append(&header, payload, out),
        }
        Ok(())
    }

    /// Sends a message that goes to many: gives the frame to be put behind what was appended, in the form that
    /// this connection takes.
    ///
    /// Its compressed form refers to nothing before it, which is right whatever the peer's window holds:
    /// context takeover is what a sender may do (RFC 7692 §7.1.1.1). The peer's window has it from then on, and
    /// this connection's own compressor has not: it begins anew with the next message of its own.
    pub fn send_prepared(&mut self, message: &PreparedMessage) -> Result<Arc<[u8]>, LocalError> {
        self.check_frame(message.payload().len())?;
        if self.unfinished.is_some() {
            return Err(LocalError::MessageUnfinished);
        }
        if self.mask.is_some() {
            // RFC 6455 §5.1: a client's frames are masked, each with a key of its own.
            let (kind, payload) = (message.kind(), message.payload());
            let mut frame = Vec::new();
            self.send_message_with(kind, payload, message.compression(), &mut frame)?;
            return Ok(frame.into());
        }
        let compressed = match (&mut self.deflater, message.compression()) {
            (Some(deflater), Compression::Default) => deflater
                .prepared(message.lengths(), |level, window_bits, pool| {
                    message.compressed(level, window_bits, pool)
                }),
            _ => None,
        };
        Ok(compressed.unwrap_or_else(|| message.plain()))
    }

    /// Whether a message goes out as it is, behind a header without a mask.
    #[inline]
    fn is_plain(&self) -> bool {
        !self.is_close_sent
            && self.unfinished.is_none()
            && self.mask.is_none()
            && self.deflater.is_none()
    }

    /// Sends one fragment of a message, uncompressed (RFC 6455 §5.4). The first one after a whole message
    /// begins it, and the one that `is_final` ends it; a text is UTF-8 over all of them.
    ///
    /// Until it has ended, control frames may be sent, but no other message. A fragment that is refused
    /// changes nothing: the message can go on with another one.
    pub fn send_fragment(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        is_final: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), LocalError> {
        let (opcode, mut message) = match &self.unfinished {
            Some(unfinished) if unfinished.kind != kind => return Err(LocalError::FragmentType),
            Some(unfinished) => (Opcode::Continuation, unfinished.clone()),
            None => {
                let utf8 = Utf8Validator::new();
                (kind.opcode(), Unfinished { kind, utf8 })
            }
        };
        let header = self.frame_header(opcode, is_final, payload.len())?;
        if kind == MessageKind::Text {
            let checked = message.utf8.push(payload);
            let checked = checked.and_then(|()| match is_final {
                true => message.utf8.finish(),
                false => Ok(()),
            });
            checked.map_err(|_| LocalError::InvalidUtf8)?;
        }
        self.unfinished = (!is_final).then_some(message);
        self.append(&header, payload, out);
        Ok(())
    }

    /// Whether a message has been begun by [`send_fragment`](Self::send_fragment) and not ended.
    pub fn is_message_unfinished(&self) -> bool {
        self.unfinished.is_some()
    }

    /// Whether a message that was prepared may be sent, now or when the unfinished one has ended.
    pub fn check_prepared(&self, message: &PreparedMessage) -> Result<(), LocalError> {
        self.check_frame(message.payload().len())
    }

    /// Whether a message may be sent, now or when the unfinished one has ended.
    pub fn check_message(&self, kind: MessageKind, payload: &[u8]) -> Result<(), LocalError> {
        self.frame_header(kind.opcode(), true, payload.len())?;
        check_text(kind, payload)
    }

    /// Only the frame header of an uncompressed message, for a caller that has the payload in a buffer of its
    /// own.
    ///
    /// The caller sends exactly `payload_len` bytes after it; that a text is UTF-8, and that a
    /// client's payload is masked, is the caller's to ensure.
    pub fn message_header(
        &self,
        kind: MessageKind,
        payload_len: usize,
    ) -> Result<FrameHeaderBytes, LocalError> {
        if self.unfinished.is_some() {
            return Err(LocalError::MessageUnfinished);
        }
        self.frame_header(kind.opcode(), true, payload_len)
    }

    /// The frame header of a message that leaves uncompressed and unmasked, for a caller that writes it from where it is;
    /// `None` where it does not, or may not be sent: [`send_message_with`](Self::send_message_with) says why.
    pub fn message_as_it_is(
        &self,
        kind: MessageKind,
        compression: Compression,
        payload: &[u8],
    ) -> Option<FrameHeaderBytes> {
        let is_compressed = self.deflater.is_some() && compression == Compression::Default;
        if is_compressed || self.mask.is_some() {
            return None;
        }
        let header = self.message_header(kind, payload.len()).ok()?;
        check_text(kind, payload).ok()?;
        Some(header)
    }

    /// Sends a Ping.
    pub fn send_ping(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), LocalError> {
        self.send_control(Opcode::Ping, payload, out)
    }

    /// Sends a Pong: the answer to a Ping has the Ping's payload (RFC 6455 §5.5.3).
    pub fn send_pong(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), LocalError> {
        self.send_control(Opcode::Pong, payload, out)
    }

    /// Sends the Close frame, the last of this endpoint: to start the closing handshake, to answer
    /// the peer's Close, or to tell the peer why the connection failed.
    pub fn send_close(
        &mut self,
        frame: Option<&CloseFrame>,
        out: &mut Vec<u8>,
    ) -> Result<(), LocalError> {
        let mut payload = Vec::new();
        if let Some(frame) = frame {
            frame.encode(&mut payload);
        }
        self.send_control(Opcode::Close, &payload, out)?;
        self.is_close_sent = true;
        Ok(())
    }

    /// Whether the Close frame has been sent.
    pub fn is_close_sent(&self) -> bool {
        self.is_close_sent
    }

    fn send_control(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), LocalError> {
        let header = self.frame_header(opcode, true, payload.len())?;
        // RFC 6455 §5.5.
        if payload.len() > ControlPayload::MAX_LEN {
            return Err(LocalError::ControlTooLong);
        }
        self.append(&header, payload, out);
        Ok(())
    }

    fn frame_header(
        &self,
        opcode: Opcode,
        fin: bool,
        payload_len: usize,
    ) -> Result<FrameHeaderBytes, LocalError> {
        self.check_frame(payload_len)?;
        Ok(encode_header(&FrameHeader {
            fin,
            mask: self.mask,
            ..FrameHeader::new(opcode, payload_len as u64)
        }))
    }

    /// Whether a frame of this length may be sent.
    #[inline]
    fn check_frame(&self, payload_len: usize) -> Result<(), LocalError> {
        // RFC 6455 §5.5.1: no frame follows a Close frame.
        if self.is_close_sent {
            return Err(LocalError::CloseSent);
        }
        // RFC 6455 §5.2: 63 bits.
        if payload_len as u64 > FrameHeader::MAX_PAYLOAD_LENGTH {
            return Err(LocalError::MessageTooLong);
        }
        Ok(())
    }

    /// Appends a message's frame, with its payload compressed when that is worth it.
    #[inline(never)]
    fn append_deflated(
        &mut self,
        kind: MessageKind,
        header: &FrameHeaderBytes,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) {
        if !self.append_compressed(kind, payload, out) {
            self.append(header, payload, out);
        }
    }

    /// Appends a message's frame with its payload compressed, or nothing when it is to go
    /// uncompressed; says which.
    fn append_compressed(&mut self, kind: MessageKind, payload: &[u8], out: &mut Vec<u8>) -> bool {
        let Some(deflater) = &mut self.deflater else {
            return false;
        };
        if !deflater.is_worth(payload.len()) {
            return false;
        }
        // The header's length follows from the payload's, which is not known yet.
        let start = out.len();
        let gap = FrameHeader::MAX_LEN;
        out.resize(start + gap, 0);
        if !deflater.deflate(payload, out) {
            out.truncate(start);
            return false;
        }
        let payload_at = start + gap;
        if let Some(key) = self.mask {
            apply_mask(&mut out[payload_at..], key, 0);
        }
        let header = encode_header(&FrameHeader {
            // RFC 7692 §6.1: RSV1 marks the first frame of a compressed message.
            rsv1: true,
            mask: self.mask,
            ..FrameHeader::new(kind.opcode(), (out.len() - payload_at) as u64)
        });
        let surplus = gap - header.len();
        out.copy_within(payload_at.., payload_at - surplus);
        out.truncate(out.len() - surplus);
        out[start..start + header.len()].copy_from_slice(&header);
        true
    }

    #[inline(always)]
    fn append(&self, header: &[u8], payload: &[u8], out: &mut Vec<u8>) {
        out.reserve(header.len() + payload.len());
        out.extend_from_slice(header);
        let start = out.len();
        out.extend_from_slice(payload);
        if let Some(key) = self.mask {
            apply_mask(&mut out[start..], key, 0);
        }
    }
}

/// RFC 6455 §5.6.
fn check_text(kind: MessageKind, payload: &[u8]) -> Result<(), LocalError> {
    match kind {
        MessageKind::Text => utf8::check_whole(payload).map_err(|_| LocalError::InvalidUtf8),
        MessageKind::Binary => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::CloseCode;

    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    fn server() -> (SendingHalf, Vec<u8>) {
        (SendingHalf::new(Role::Server), Vec::new())
    }

    #[test]
    fn a_server_sends_the_unmasked_hello_of_section_5_7() {
        let (mut sender, mut out) = server();
        sender
            .send_message(MessageKind::Text, b"Hello", &mut out)
            .unwrap();
        assert_eq!(out, b"\x81\x05Hello");
    }

    #[test]
    fn a_client_sends_the_masked_hello_of_section_5_7() {
        let mut sender = SendingHalf::new(Role::Client).with_mask_key(KEY);
        let mut out = Vec::new();
        sender
            .send_message(MessageKind::Text, b"Hello", &mut out)
            .unwrap();
        assert_eq!(out, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    }

    #[test]
    fn a_server_never_masks_whatever_key_it_is_given() {
        let mut sender = SendingHalf::new(Role::Server).with_mask_key(KEY);
        let mut out = Vec::new();
        sender.send_pong(b"Hello", &mut out).unwrap();
        assert_eq!(out, b"\x8a\x05Hello");
    }

    #[test]
    fn a_client_masks_each_frame_from_the_start_of_its_key() {
        let mut sender = SendingHalf::new(Role::Client).with_mask_key(KEY);
        let mut out = Vec::new();
        sender.send_ping(b"Hello", &mut out).unwrap();
        sender.send_pong(b"Hello", &mut out).unwrap();
        assert_eq!(out[2..11], out[13..22]);
    }

    #[test]
    fn the_header_alone_is_the_beginning_of_the_frame() {
        for len in [0, 125, 126, 65535, 65536] {
            let (mut sender, mut out) = server();
            let header = sender.message_header(MessageKind::Binary, len).unwrap();
            let payload = vec![7; len];
            sender
                .send_message(MessageKind::Binary, &payload, &mut out)
                .unwrap();
            assert_eq!(out, [&*header, &payload].concat());
        }
    }

    #[test]
    fn text_that_is_not_utf8_is_refused_and_nothing_is_appended() {
        let (mut sender, mut out) = server();
        let result = sender.send_message(MessageKind::Text, b"\xce", &mut out);
        assert_eq!(result, Err(LocalError::InvalidUtf8));
        assert_eq!(out, b"");
        sender
            .send_message(MessageKind::Binary, b"\xce", &mut out)
            .unwrap();
        assert_eq!(out, b"\x82\x01\xce");
    }

    #[test]
    fn control_frames_of_125_bytes_are_sent_and_longer_ones_refused() {
        let (mut sender, mut out) = server();
        sender.send_ping(&[0; 125], &mut out).unwrap();
        sender.send_pong(&[0; 125], &mut out).unwrap();
        assert_eq!(out.len(), 2 * 127);
        let too_long = Err(LocalError::ControlTooLong);
        assert_eq!(sender.send_ping(&[0; 126], &mut out), too_long);
        assert_eq!(sender.send_pong(&[0; 126], &mut out), too_long);
        assert_eq!(out.len(), 2 * 127);
    }

    #[test]
    fn a_close_frame_is_sent_with_and_without_a_code() {
        let (mut sender, mut out) = server();
        sender.send_close(None, &mut out).unwrap();
        assert_eq!(out, b"\x88\x00");

        let (mut sender, mut out) = server();
        let frame = CloseFrame::new(CloseCode::GOING_AWAY, "bye");
        sender.send_close(Some(&frame), &mut out).unwrap();
        assert_eq!(out, b"\x88\x05\x03\xe9bye");
    }

    #[test]
    fn the_longest_close_reason_fits_one_frame() {
        let (mut sender, mut out) = server();
        let frame = CloseFrame::new(CloseCode::GOING_AWAY, &"x".repeat(1000));
        sender.send_close(Some(&frame), &mut out).unwrap();
        assert_eq!(out.len(), 127);
    }

    #[test]
    fn nothing_is_sent_after_a_close_frame() {
        let (mut sender, mut out) = server();
        assert!(!sender.is_close_sent());
        sender.send_close(None, &mut out).unwrap();
        assert!(sender.is_close_sent());

        let sent = out.clone();
        let refused = Err(LocalError::CloseSent);
        assert_eq!(
            sender.send_message(MessageKind::Text, b"", &mut out),
            refused
        );
        assert_eq!(sender.send_ping(b"", &mut out), refused);
        assert_eq!(sender.send_pong(b"", &mut out), refused);
        assert_eq!(sender.send_close(None, &mut out), refused);
        let header = sender.message_header(MessageKind::Text, 0);
        assert_eq!(header.err(), Some(LocalError::CloseSent));
        assert_eq!(out, sent);
    }

    #[test]
    fn fragments_make_the_unmasked_hello_of_section_5_7() {
        let (mut sender, mut out) = server();
        let text = MessageKind::Text;
        sender.send_fragment(text, b"Hel", false, &mut out).unwrap();
        assert!(sender.is_message_unfinished());
        sender.send_fragment(text, b"lo", true, &mut out).unwrap();
        assert!(!sender.is_message_unfinished());
        assert_eq!(out, b"\x01\x03Hel\x80\x02lo");
    }

    #[test]
    fn between_fragments_there_are_control_frames_and_no_messages() {
        let (mut sender, mut out) = server();
        let text = MessageKind::Text;
        sender.send_fragment(text, b"Hel", false, &mut out).unwrap();
        sender.send_ping(b"", &mut out).unwrap();
        let sent = out.clone();
        assert_eq!(
            sender.send_message(text, b"no", &mut out),
            Err(LocalError::MessageUnfinished)
        );
        assert_eq!(sender.check_message(text, b"no"), Ok(()));
        let bad = Err(LocalError::InvalidUtf8);
        assert_eq!(sender.check_message(text, b"\xff"), bad);
        assert_eq!(
            sender.send_fragment(MessageKind::Binary, b"lo", true, &mut out),
            Err(LocalError::FragmentType)
        );
        assert_eq!(out, sent);
        sender.send_fragment(text, b"lo", true, &mut out).unwrap();
        sender.send_message(text, b"yes", &mut out).unwrap();
        assert_eq!(out, b"\x01\x03Hel\x89\x00\x80\x02lo\x81\x03yes");
    }

    #[test]
    fn a_character_may_lie_in_two_fragments_but_must_be_whole_in_the_end() {
        let (mut sender, mut out) = server();
        let text = MessageKind::Text;
        sender
            .send_fragment(text, b"\xc3", false, &mut out)
            .unwrap();
        let sent = out.clone();
        for (payload, is_final) in [(&b""[..], true), (b"\xc3", false), (b"x", true)] {
            assert_eq!(
                sender.send_fragment(text, payload, is_final, &mut out),
                Err(LocalError::InvalidUtf8)
            );
        }
        assert_eq!(out, sent);
        sender.send_fragment(text, b"\xa4", true, &mut out).unwrap();
        assert_eq!(out, b"\x01\x01\xc3\x80\x01\xa4");
    }
}
