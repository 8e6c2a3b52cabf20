use std::fmt;

/// The opcode of a frame (RFC 6455 §11.8); unknown ones have no value here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// 0x0: goes on with a fragmented message.
    Continuation = 0x0,
    /// 0x1: a text message, or its first fragment.
    Text = 0x1,
    /// 0x2: a binary message, or its first fragment.
    Binary = 0x2,
    /// 0x8: starts or answers the closing handshake.
    Close = 0x8,
    /// 0x9: asks for a Pong.
    Ping = 0x9,
    /// 0xa: answers a Ping, or is a sign of life.
    Pong = 0xa,
}

impl Opcode {
    /// The opcode in the low four bits of a frame's first byte.
    pub const fn from_wire(bits: u8) -> Option<Opcode> {
        match bits {
            0x0 => Some(Opcode::Continuation),
            0x1 => Some(Opcode::Text),
            0x2 => Some(Opcode::Binary),
            0x8 => Some(Opcode::Close),
            0x9 => Some(Opcode::Ping),
            0xa => Some(Opcode::Pong),
            _ => None,
        }
    }

    /// Whether frames of this opcode control the connection and carry no message (§5.5).
    pub const fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

impl fmt::Display for Opcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Opcode::Continuation => "continuation",
            Opcode::Text => "text",
            Opcode::Binary => "binary",
            Opcode::Close => "close",
            Opcode::Ping => "ping",
            Opcode::Pong => "pong",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opcodes_decode_and_encode_from_the_same_bits() {
        for bits in 0..=0xff {
            match Opcode::from_wire(bits) {
                Some(opcode) => assert_eq!(opcode as u8, bits),
                None => assert!(matches!(bits, 0x3..=0x7 | 0xb..=0xff)),
            }
        }
    }

    #[test]
    fn close_ping_and_pong_are_control_opcodes() {
        let controls: Vec<_> = (0..16)
            .filter_map(Opcode::from_wire)
            .filter(|opcode| opcode.is_control())
            .collect();
        assert_eq!(controls, [Opcode::Close, Opcode::Ping, Opcode::Pong]);
    }
}
