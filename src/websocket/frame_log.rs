//! Frames in the log, when LogLevel is trace4 (their headers) or trace8 (and the beginning of what is
//! in them).

use std::fmt;

use httpd::log::Subject;
use websocket_proto::Role;
use websocket_proto::frame::{FrameHeader, FrameTrace, Opcode};

use crate::log::{self, Level, Tag, scribe};

/// The log of what one connection reads and writes.
pub struct FrameLog {
    read: FrameTrace,
    written: FrameTrace,
}

impl FrameLog {
    /// A log, if LogLevel wants it. It does not change while a connection is open.
    pub fn new(subject: &Subject<'_>) -> Option<Box<Self>> {
        // Frames are told while the transport is held, where nothing may wait for a log.
        let is_wanted = log::is_logged(subject, Level::Trace4) && scribe::start().is_ok();
        is_wanted.then(|| {
            Box::new(FrameLog {
                read: FrameTrace::new(Role::Server),
                written: FrameTrace::new(Role::Client),
            })
        })
    }

    /// These bytes have been read.
    pub fn read(&mut self, subject: &Subject<'_>, bytes: &[u8]) {
        self.read.push(bytes, |frame| {
            write(subject, "in", &frame.header, &frame.prefix);
        });
    }

    /// These bytes are about to be written.
    pub fn written(&mut self, subject: &Subject<'_>, bytes: &[u8]) {
        self.written.push(bytes, |frame| {
            write(subject, "out", &frame.header, &frame.prefix);
        });
    }
}

fn write(subject: &Subject<'_>, direction: &str, header: &FrameHeader, prefix: &[u8]) {
    log::log(subject, Level::Trace4, Tag::Frame, || {
        format!("frame {direction}: {}", Described(header))
    });
    log::log(subject, Level::Trace8, Tag::Payload, || {
        let more = match header.payload_length > prefix.len() as u64 {
            true => " and so on",
            false => "",
        };
        format!("payload {direction}: \"{}\"{more}", prefix.escape_ascii())
    });
}

/// A header as the log says it: `text FIN RSV1, 5 bytes`.
struct Described<'a>(&'a FrameHeader);

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FrameHeader {
            fin,
            rsv1,
            rsv2,
            rsv3,
            opcode,
            payload_length,
            ..
        } = self.0;
        f.write_str(match opcode {
            Opcode::Continuation => "continuation",
            Opcode::Text => "text",
            Opcode::Binary => "binary",
            Opcode::Close => "close",
            Opcode::Ping => "ping",
            Opcode::Pong => "pong",
        })?;
        for (is_set, name) in [(fin, "FIN"), (rsv1, "RSV1"), (rsv2, "RSV2"), (rsv3, "RSV3")] {
            if *is_set {
                write!(f, " {name}")?;
            }
        }
        write!(f, ", {payload_length} bytes")
    }
}
