//! What the configuration tells a plugin.

use core::ffi::{CStr, c_char};
use core::fmt::{self, Display};
use core::marker::PhantomData;
use core::ops::RangeInclusive;
use core::str::FromStr;
use core::time::Duration;
use std::ffi::CString;

use crate::abi::WebSocketOption;
use crate::host::Host;

/// The options that `WebSocketPluginOption` sets for a location.
///
/// [`Plugin::configure`](crate::Plugin::configure) gets those of each section of the
/// configuration, to check them, and [`Handshake::options`](crate::Handshake::options) has those
/// that hold for a client. Both use the same getters, and a value that the first accepts is one
/// that the second finds:
///
/// ```
/// use std::time::Duration;
/// use websocket_plugin::Options;
///
/// struct Settings {
///     greeting: String,
///     limit: u32,
///     pause: Duration,
///     is_loud: bool,
/// }
///
/// impl Settings {
///     fn read(options: &Options<'_>) -> Result<Self, String> {
///         Ok(Self {
///             greeting: options.get("greeting").unwrap_or("hello").to_owned(),
///             limit: options.number("limit", 1..=1000, 50)?,
///             pause: options.duration("pause", Duration::from_millis(50))?,
///             is_loud: options.flag("loud", false)?,
///         })
///     }
/// }
/// ```
///
/// Names are compared as they are, letter case included. The errors are sentences for whoever
/// writes the configuration: they name the option, its value and what would be right.
pub struct Options<'a> {
    source: Source<'a>,
    /// Not `Send` and not `Sync`.
    _thread: PhantomData<*const ()>,
}

enum Source<'a> {
    /// All there are, in `configure`.
    Listed(&'a [WebSocketOption]),
    /// Asked for one by one, in `on_connect`.
    Server(Host),
}

impl<'a> Options<'a> {
    /// The value of an option; `None` when it is not set.
    pub fn get(&self, name: &str) -> Option<&str> {
        match self.source {
            Source::Listed(list) => list
                .iter()
                // SAFETY: see `listed`.
                .map(|option| unsafe { (c_str(option.name), c_str(option.value)) })
                .find(|(listed, _)| listed.to_bytes() == name.as_bytes())
                .and_then(|(_, value)| value.to_str().ok()),
            Source::Server(host) => {
                let name = CString::new(name).ok()?;
                // SAFETY: the table is alive, see `asked`; the value lives longer than this.
                unsafe { host.option_get(&name) }?.to_str().ok()
            }
        }
    }

    /// The value as any type that can be read from text; `Ok(None)` when it is not set.
    pub fn parse<T>(&self, name: &str) -> Result<Option<T>, String>
    where
        T: FromStr,
        T::Err: Display,
    {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        match value.parse() {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(wrong(name, value, error)),
        }
    }

    /// The value as a number within `range`; `default` when it is not set.
    pub fn number<T>(&self, name: &str, range: RangeInclusive<T>, default: T) -> Result<T, String>
    where
        T: FromStr + PartialOrd + Display,
    {
        let Some(value) = self.get(name) else {
            return Ok(default);
        };
        match value.parse() {
            Ok(number) if range.contains(&number) => Ok(number),
            _ => Err(wrong(
                name,
                value,
                format_args!("not a number from {} to {}", range.start(), range.end()),
            )),
        }
    }

    /// The value as a switch, `On` or `Off` in any letter case; `default` when it is not set.
    pub fn flag(&self, name: &str, default: bool) -> Result<bool, String> {
        match self.get(name) {
            None => Ok(default),
            Some(value) if value.eq_ignore_ascii_case("on") => Ok(true),
            Some(value) if value.eq_ignore_ascii_case("off") => Ok(false),
            Some(value) => Err(wrong(name, value, "neither On nor Off")),
        }
    }

    /// The value as a time, digits and one of `ms`, `s`, `min` and `h` (without it, seconds);
    /// `default` when it is not set.
    pub fn duration(&self, name: &str, default: Duration) -> Result<Duration, String> {
        let Some(value) = self.get(name) else {
            return Ok(default);
        };
        duration(value).ok_or_else(|| wrong(name, value, "not a time such as 500ms, 30s or 5min"))
    }

    /// The names of all options that are set. Only `configure` knows them; elsewhere there are
    /// none.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let list = match self.source {
            Source::Listed(list) => list,
            Source::Server(_) => &[],
        };
        // SAFETY: see `listed`.
        let names = list.iter().map(|option| unsafe { c_str(option.name) });
        names.filter_map(|name| name.to_str().ok())
    }

    /// An error for the first option that is not one of `known`. For `configure`, so that a
    /// mistyped name is found when the configuration is tested.
    pub fn allow_only(&self, known: &[&str]) -> Result<(), String> {
        match self.names().find(|name| !known.contains(name)) {
            None => Ok(()),
            Some(unknown) if known.is_empty() => {
                Err(format!("unknown option \"{unknown}\": there are none"))
            }
            Some(unknown) => Err(format!(
                "unknown option \"{unknown}\": there are {}",
                known.join(", ")
            )),
        }
    }

    /// The options that `configure` got. They are checked to be UTF-8.
    ///
    /// # Safety
    /// All names and values are NULL or NUL-terminated, and live as long as the list.
    pub(crate) unsafe fn listed(list: &'a [WebSocketOption]) -> Result<Self, String> {
        for option in list {
            // SAFETY: as the caller says.
            let (name, value) = unsafe { (c_str(option.name), c_str(option.value)) };
            if name.to_str().is_err() || value.to_str().is_err() {
                let name = name.to_string_lossy();
                return Err(format!("option \"{name}\": the text is not UTF-8"));
            }
        }
        Ok(Self {
            source: Source::Listed(list),
            _thread: PhantomData,
        })
    }

    /// The options of a connection.
    ///
    /// # Safety
    /// The table of `host` is alive as long as `'a`.
    pub(crate) unsafe fn asked(host: Host) -> Self {
        Self {
            source: Source::Server(host),
            _thread: PhantomData,
        }
    }
}

impl fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the values: one may be a password.
        f.debug_struct("Options").finish_non_exhaustive()
    }
}

fn wrong(name: &str, value: &str, what: impl Display) -> String {
    format!("option {name}: \"{value}\" is {what}")
}

/// # Safety
/// `text` is NULL or NUL-terminated, and lives at least as long as the caller lets the result.
unsafe fn c_str<'a>(text: *const c_char) -> &'a CStr {
    if text.is_null() {
        return c"";
    }
    // SAFETY: as the caller says.
    unsafe { CStr::from_ptr(text) }
}

fn duration(text: &str) -> Option<Duration> {
    let end = text.find(|c: char| !c.is_ascii_digit());
    let (digits, unit) = text.split_at(end.unwrap_or(text.len()));
    let number: u64 = digits.parse().ok()?;
    let seconds = |unit| number.checked_mul(unit).map(Duration::from_secs);
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "" | "s" => seconds(1),
        "min" => seconds(60),
        "h" => seconds(60 * 60),
        _ => None,
    }
}
