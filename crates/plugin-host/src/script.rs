//! A conversation to be played (docs/plugin-guide.md, "Testing a plugin", has the format).

use std::fs;
use std::path::Path;
use std::time::Duration;

/// A script that has been read.
pub struct Script {
    /// The file's name, for what is said about it.
    pub name: String,
    pub lines: Vec<Line>,
}

/// One line of it.
#[derive(Debug, PartialEq)]
pub struct Line {
    /// From 1.
    pub number: usize,
    /// Who does it.
    pub client: String,
    pub step: Step,
}

/// What a client does, or what it must see.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// A header field of the next handshake.
    Header(String, String),
    /// A handshake that must succeed.
    Connect(String),
    /// A handshake that must be refused with this status.
    Refused(u16, String),
    /// A header field of the answer to the latest handshake.
    Response(String, String),
    SendText(Vec<u8>),
    SendBinary(Vec<u8>),
    /// A part of a text; the last one ends it.
    SendPart(Vec<u8>, bool),
    SendPing(Vec<u8>),
    /// A text that must come next.
    Text(Vec<u8>),
    /// A text that must come next, and be like this: `*` is anything.
    Like(Vec<u8>),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// Nothing may come for so long.
    Nothing(Duration),
    /// Sends a Close, and waits for the end.
    Close(Option<u16>, String),
    /// The server's Close must come next.
    Closed(Option<u16>, Option<String>),
    /// Goes without a Close.
    Drop,
    Wait(Duration),
}

impl Script {
    /// Reads a script; the error names the line.
    pub fn read(path: &Path) -> Result<Script, String> {
        let name = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
        let lines =
            parse(&text).map_err(|(number, defect)| format!("{name}:{number}: {defect}"))?;
        Ok(Script { name, lines })
    }
}

fn parse(text: &str) -> Result<Vec<Line>, (usize, String)> {
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if line.trim_end().is_empty() || line.starts_with('#') {
            continue;
        }
        let number = index + 1;
        let (client, rest) = split_client(line);
        let step = parse_step(rest).map_err(|defect| (number, defect))?;
        lines.push(Line {
            number,
            client: client.to_owned(),
            step,
        });
    }
    Ok(lines)
}

/// `alice: send hello` is what alice does; without a name it is the client's, who has none.
fn split_client(line: &str) -> (&str, &str) {
    let word = line.split_whitespace().next().unwrap_or_default();
    match word.strip_suffix(':') {
        Some(client) => (client, line[word.len()..].trim_start()),
        None => ("", line),
    }
}

fn parse_step(line: &str) -> Result<Step, String> {
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    let path = || match rest.starts_with('/') {
        true => Ok(rest.trim_end().to_owned()),
        false => Err(format!("{verb} wants a path, such as /chat?room=1")),
    };
    Ok(match verb.trim_end() {
        "header" => field(rest).map(|(name, value)| Step::Header(name, value))?,
        "connect" => Step::Connect(path()?),
        "refused" => {
            let (status, path) = rest.split_once(' ').unwrap_or((rest, "/"));
            let status = status.trim().parse();
            let status = status.map_err(|_| "refused wants a status, such as 403")?;
            Step::Refused(status, path.trim().to_owned())
        }
        "response" => field(rest).map(|(name, value)| Step::Response(name, value))?,
        "send" => Step::SendText(unescape(rest)?),
        "send-binary" => Step::SendBinary(hex(rest)?),
        "send-part" => Step::SendPart(unescape(rest)?, false),
        "send-last" => Step::SendPart(unescape(rest)?, true),
        "send-ping" => Step::SendPing(unescape(rest)?),
        "text" => Step::Text(unescape(rest)?),
        "like" => Step::Like(unescape(rest)?),
        "binary" => Step::Binary(hex(rest)?),
        "ping" => Step::Ping(unescape(rest)?),
        "pong" => Step::Pong(unescape(rest)?),
        "nothing" => Step::Nothing(milliseconds(rest)?),
        "wait" => Step::Wait(milliseconds(rest)?),
        "close" => {
            let (code, reason) = code(rest)?;
            Step::Close(code, reason.unwrap_or_default())
        }
        "closed" => code(rest).map(|(code, reason)| Step::Closed(code, reason))?,
        "drop" => Step::Drop,
        other => return Err(format!("unknown word {other:?}")),
    })
}

fn field(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("wants Name: value")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    let number = text.trim().parse().map_err(|_| "wants milliseconds")?;
    Ok(Duration::from_millis(number))
}

fn code(text: &str) -> Result<(Option<u16>, Option<String>), String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok((None, None));
    }
    let (code, reason) = match text.split_once(' ') {
        Some((code, reason)) => (code, Some(reason.to_owned())),
        None => (text, None),
    };
    let code = code
        .parse()
        .map_err(|_| "wants a close code, such as 1000")?;
    Ok((Some(code), reason))
}

/// `\n`, `\r`, `\t`, `\\` and `\xHH`.
fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, more)) = rest.split_first() {
        if byte != b'\\' {
            bytes.push(byte);
            rest = more;
            continue;
        }
        let (byte, length) = match more {
            [b'n', ..] => (b'\n', 1),
            [b'r', ..] => (b'\r', 1),
            [b't', ..] => (b'\t', 1),
            [b'\\', ..] => (b'\\', 1),
            [b'x', digits @ ..] if digits.len() >= 2 => (hex_byte(&digits[..2])?, 3),
            _ => return Err(r"a backslash wants n, r, t, \ or xHH behind it".to_owned()),
        };
        bytes.push(byte);
        rest = &more[length..];
    }
    Ok(bytes)
}

fn hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    digits.chunks(2).map(hex_byte).collect()
}

fn hex_byte(digits: &[u8]) -> Result<u8, String> {
    let is_hex = digits.len() == 2 && digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits).unwrap_or_default();
    let byte = u8::from_str_radix(text, 16).ok().filter(|_| is_hex);
    byte.ok_or_else(|| "wants pairs of hexadecimal digits".to_owned())
}

/// Whether a text is like a pattern, in which each `*` is anything.
pub fn is_like(text: &[u8], pattern: &[u8]) -> bool {
    let mut parts = pattern.split(|&byte| byte == b'*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        let find = |rest: &[u8]| (0..=rest.len()).find(|&at| rest[at..].starts_with(part));
        match find(rest) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(line: &str) -> Step {
        parse(line).unwrap().remove(0).step
    }

    #[test]
    fn each_word_is_known() {
        assert_eq!(step("connect /a?b"), Step::Connect("/a?b".to_owned()));
        assert_eq!(step("refused 403 /x"), Step::Refused(403, "/x".to_owned()));
        assert_eq!(
            step(r"send a\x00\n b "),
            Step::SendText(b"a\0\n b ".to_vec())
        );
        assert_eq!(step("send"), Step::SendText(Vec::new()));
        assert_eq!(step("binary 00 fF"), Step::Binary(vec![0, 255]));
        assert_eq!(
            step("closed 1000 a b"),
            Step::Closed(Some(1000), Some("a b".to_owned()))
        );
        assert_eq!(step("closed"), Step::Closed(None, None));
        assert_eq!(step("drop"), Step::Drop);
    }

    #[test]
    fn a_star_is_anything() {
        for (text, pattern, expected) in [
            ("abc", "abc", true),
            ("abc", "ab", false),
            ("abc", "a*", true),
            ("abc", "*c", true),
            ("abc", "a*c*", true),
            ("ab", "a*bb", false),
            ("aba", "ab*ba", false),
            ("a1b2c", "a*b*c", true),
            ("", "*", true),
        ] {
            assert_eq!(
                is_like(text.as_bytes(), pattern.as_bytes()),
                expected,
                "{text} {pattern}"
            );
        }
    }

    #[test]
    fn a_name_before_the_word_is_the_clients() {
        let lines = parse("# a comment\n\n  alice: text a: b\n").unwrap();
        assert_eq!(lines.len(), 1);
        assert_eq!((lines[0].number, lines[0].client.as_str()), (3, "alice"));
        assert_eq!(lines[0].step, Step::Text(b"a: b".to_vec()));
    }

    #[test]
    fn a_mistake_is_told_with_its_line() {
        for line in [
            "shout x",
            "connect chat",
            r"send \q",
            "binary 0",
            "binary +1",
            "wait soon",
        ] {
            assert_eq!(parse(&format!("\n{line}")).unwrap_err().0, 2, "{line}");
        }
    }
}
