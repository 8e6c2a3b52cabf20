//! What directives have as values: times, numbers, sizes. An error says what would be right.

use std::time::Duration;

/// A time of at most a year, in the form of httpd's own directives: digits, then ms, s, min, h, d or nothing.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);
    let digits = text.trim_end_matches(|unit: char| unit.is_ascii_alphabetic());
    let milliseconds = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "ms" => Some(1),
        "" | "s" => Some(1000),
        "min" => Some(60 * 1000),
        "h" => Some(60 * 60 * 1000),
        "d" => Some(24 * 60 * 60 * 1000),
        _ => None,
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    let Some(unit) = milliseconds.filter(|_| is_number) else {
        return Err(format!(
            "'{text}' is not a time: a number of seconds, or one with ms, s, min, h or d"
        ));
    };
    let time = digits
        .parse()
        .ok()
        .and_then(|number: u64| number.checked_mul(unit));
    match time.map(Duration::from_millis) {
        Some(time) if time <= LONGEST => Ok(time),
        _ => Err(format!("'{text}' is more than a year (366d)")),
    }
}

/// [`parse_time`] for what a peer has to do.
pub fn parse_some_time(text: &str) -> Result<Duration, String> {
    match parse_time(text)? {
        Duration::ZERO => Err(format!("'{text}': a peer needs some time")),
        time => Ok(time),
    }
}

/// A number from 0 to `most`.
pub fn parse_number(text: &str, most: u32) -> Result<u32, String> {
    match text.parse() {
        // parse would take a sign.
        Ok(number) if number <= most && !text.starts_with('+') => Ok(number),
        _ => Err(format!("'{text}' is not a number from 0 to {most}")),
    }
}

/// A number of bytes, at least 1, that memory could hold: digits, then K, M, G or nothing.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|unit: char| unit.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" => Some(0),
        "K" => Some(10),
        "M" => Some(20),
        "G" => Some(30),
        _ => None,
    };
    let wrong =
        || format!("'{text}' is not a size: a number of bytes, at least 1, or one with K, M or G");
    let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    let shift = shift.filter(|_| is_number).ok_or_else(wrong)?;
    // It is a number: what does not fit is too large.
    let number = digits.parse().unwrap_or(u64::MAX);
    match number.saturating_mul(1 << shift) {
        0 => Err(wrong()),
        // A message is one buffer, and no buffer of Rust or C is longer.
        size if isize::try_from(size).is_err() => Err(format!(
            "'{text}' is more than memory can hold: the largest is {} bytes, or {}G",
            isize::MAX,
            isize::MAX >> 30
        )),
        size => Ok(size),
    }
}
