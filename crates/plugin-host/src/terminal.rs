//! What is written on standard error: lines about connections, frames, and what the plugin logs.

use std::fmt;
use std::io::{IsTerminal, Write};

use server_functions::Level;
use websocket_proto::frame::{FrameHeader, Opcode, TracedFrame};

const RESET: &str = "\x1b[0m";
const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const BLUE: &str = "\x1b[34m";

/// Who writes there. Lines of several threads do not mix.
pub struct Terminal {
    is_colored: bool,
    has_frames: bool,
}

fn name(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warn",
        Level::Notice => "notice",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

fn color(level: Level) -> &'static str {
    match level {
        Level::Error => RED,
        Level::Warning => YELLOW,
        Level::Notice | Level::Info => "",
        Level::Debug | Level::Trace => DIM,
    }
}

/// Which way a frame goes.
#[derive(Clone, Copy)]
pub enum Direction {
    In,
    Out,
}

impl Terminal {
    /// `color`: `None` to look whether it is a terminal, where `NO_COLOR` forbids it.
    pub fn new(color: Option<bool>, has_frames: bool) -> Self {
        let may = || std::env::var_os("NO_COLOR").is_none() && std::io::stderr().is_terminal();
        Terminal {
            is_colored: color.unwrap_or_else(may),
            has_frames,
        }
    }

    /// A line about the process.
    pub fn say(&self, level: Level, text: &dyn fmt::Display) {
        self.line(color(level), &format_args!("[{}] {text}", name(level)));
    }

    /// A line about a connection.
    pub fn tell(&self, number: u64, level: Level, text: &dyn fmt::Display) {
        let line = format_args!("[{}] #{number} {text}", name(level));
        self.line(color(level), &line);
    }

    /// Whether frames are to be told.
    pub fn has_frames(&self) -> bool {
        self.has_frames
    }

    /// A frame of a connection.
    pub fn frame(&self, number: u64, direction: Direction, frame: &TracedFrame) {
        let (color, arrow) = match direction {
            Direction::In => (GREEN, "->"),
            Direction::Out => (BLUE, "<-"),
        };
        let more = match frame.header.payload_length > frame.prefix.len() as u64 {
            true => "...",
            false => "",
        };
        let header = Described(&frame.header);
        let payload = Payload(frame);
        self.line(
            color,
            &format_args!("#{number} {arrow} {header} {payload}{more}"),
        );
    }

    fn line(&self, color: &str, text: &dyn fmt::Display) {
        // One write for each line. Control characters of a plugin's or a client's would move the cursor.
        let text = text.to_string();
        let text: String = text.chars().map(printable).collect();
        let line = match self.is_colored && !color.is_empty() {
            true => format!("{color}{text}{RESET}\n"),
            false => format!("{text}\n"),
        };
        // Nobody is left to be told.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
}

fn printable(character: char) -> char {
    match character.is_control() && character != '\t' {
        true => '\u{fffd}',
        false => character,
    }
}

struct Described<'a>(&'a FrameHeader);

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0.opcode {
            Opcode::Continuation => "continuation",
            Opcode::Text => "text",
            Opcode::Binary => "binary",
            Opcode::Close => "close",
            Opcode::Ping => "ping",
            Opcode::Pong => "pong",
        })?;
        if !self.0.fin {
            f.write_str(" (more follows)")?;
        }
        write!(f, " {}", self.0.payload_length)
    }
}

/// The beginning of a payload: as text, or escaped.
struct Payload<'a>(&'a TracedFrame);

impl fmt::Display for Payload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = &self.0.prefix[..];
        match (self.0.header.opcode, prefix) {
            (_, []) => Ok(()),
            (Opcode::Close, [high, low, reason @ ..]) => {
                let code = u16::from_be_bytes([*high, *low]);
                write!(f, "{code} \"{}\"", String::from_utf8_lossy(reason))
            }
            (Opcode::Text, _) => write!(f, "\"{}\"", String::from_utf8_lossy(prefix)),
            _ => write!(f, "\"{}\"", prefix.escape_ascii()),
        }
    }
}
