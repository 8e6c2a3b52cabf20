//! What the command line says.

use std::collections::BTreeMap;
use std::ffi::{CString, OsString};
use std::path::PathBuf;

use lexopt::prelude::*;

/// The answer to `--help`.
pub const USAGE: &str = "\
plugin-host: serves one WebSocket plugin without httpd

    plugin-host FILE.so INIT [option]...

  -p, --port PORT          listen there, on 127.0.0.1; 0: a free one, which is said (8080)
      --listen ADDRESS     another address than 127.0.0.1
  -o, --option NAME=VALUE  as WebSocketPluginOption; as often as needed
      --variable NAME=VALUE  what variable_get finds, such as REMOTE_USER; as often as needed
  -w, --watch              load the file anew when it changes; WebSockets end with 1012
      --script FILE        play this conversation and end: 0 when it went so, else 1
      --max-message BYTES  as WebSocketMaxMessageSize (33554432)
      --send-buffer BYTES  as WebSocketSendBuffer (1048576)
      --reserved-codes     as WebSocketAllowReservedStatusCodes On
  -q, --quiet              no frames in the log
      --color WHEN         auto, always or never (auto)
  -h, --help               this
  -V, --version            the version

Each request is the plugin's, whatever its path and its Origin. Log: standard error.
SIGINT and SIGTERM end it well; a second one, or one to a script, at once, with the
status 128 and its number.
";

/// What the program is to do.
pub enum Asked {
    Help,
    Version,
    Serve(Box<Settings>),
}

/// How a plugin is served.
pub struct Settings {
    pub file: PathBuf,
    pub init: String,
    pub address: String,
    pub port: u16,
    pub options: Options,
    pub variables: BTreeMap<String, CString>,
    pub is_watched: bool,
    pub script: Option<PathBuf>,
    pub max_message_size: u64,
    pub send_buffer: usize,
    pub reserved_codes: bool,
    pub is_quiet: bool,
    /// `None`: when standard error is a terminal.
    pub color: Option<bool>,
}

/// The plugin's options, by name; the last value counts.
pub type Options = BTreeMap<CString, CString>;

/// Reads a command line, whose first word is the program.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Asked, lexopt::Error> {
    let mut file = None;
    let mut init: Option<String> = None;
    let mut settings = Settings {
        file: PathBuf::new(),
        init: String::new(),
        address: "127.0.0.1".to_owned(),
        port: 8080,
        options: Options::new(),
        variables: BTreeMap::new(),
        is_watched: false,
        script: None,
        max_message_size: 32 << 20,
        send_buffer: 1 << 20,
        reserved_codes: false,
        is_quiet: false,
        color: None,
    };
    let mut parser = lexopt::Parser::from_iter(words);
    while let Some(word) = parser.next()? {
        match word {
            Short('h') | Long("help") => return Ok(Asked::Help),
            Short('V') | Long("version") => return Ok(Asked::Version),
            Short('p') | Long("port") => settings.port = parser.value()?.parse()?,
            Long("listen") => settings.address = parser.value()?.string()?,
            Short('o') | Long("option") => {
                let (name, value) = pair(parser.value()?.string()?)?;
                settings.options.insert(c_string(name)?, c_string(value)?);
            }
            Long("variable") => {
                let (name, value) = pair(parser.value()?.string()?)?;
                settings.variables.insert(name, c_string(value)?);
            }
            Short('w') | Long("watch") => settings.is_watched = true,
            Long("script") => settings.script = Some(parser.value()?.into()),
            Long("max-message") => settings.max_message_size = parser.value()?.parse()?,
            Long("send-buffer") => settings.send_buffer = parser.value()?.parse()?,
            Long("reserved-codes") => settings.reserved_codes = true,
            Short('q') | Long("quiet") => settings.is_quiet = true,
            Long("color") => {
                settings.color = match parser.value()?.string()?.as_str() {
                    "auto" => None,
                    "always" => Some(true),
                    "never" => Some(false),
                    other => Err(format!("--color is auto, always or never, not {other:?}"))?,
                }
            }
            Value(value) if file.is_none() => file = Some(PathBuf::from(value)),
            Value(value) if init.is_none() => init = Some(value.string()?),
            _ => return Err(word.unexpected()),
        }
    }
    let (Some(file), Some(init)) = (file, init) else {
        return Err("wants the plugin's file and the name of its init function".into());
    };
    if settings.is_watched && settings.script.is_some() {
        return Err("--watch and --script do not go together".into());
    }
    Ok(Asked::Serve(Box::new(Settings {
        file,
        init,
        ..settings
    })))
}

fn pair(text: String) -> Result<(String, String), lexopt::Error> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is not NAME=VALUE").into()),
    }
}

fn c_string(text: String) -> Result<CString, lexopt::Error> {
    CString::new(text).map_err(|_| "a NUL in a text".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(line: &str) -> Result<Box<Settings>, String> {
        match parse(line.split(' ').map(OsString::from)) {
            Ok(Asked::Serve(settings)) => Ok(settings),
            Ok(_) => panic!("{line} asks for something else"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn the_last_value_of_an_option_counts() {
        let settings = settings("plugin-host a.so init -o a=1 --option=a=2=3 -p0").unwrap();
        assert_eq!(settings.options[c"a"], c"2=3".to_owned());
        assert_eq!((settings.port, settings.init.as_str()), (0, "init"));
    }

    #[test]
    fn a_mistake_is_told() {
        for (line, told) in [
            ("plugin-host a.so", "wants the plugin's file"),
            ("plugin-host a.so init third", "third"),
            ("plugin-host a.so init -o name", "not NAME=VALUE"),
            ("plugin-host a.so init --color red", "auto, always or never"),
            ("plugin-host a.so init --port 70000", "70000"),
            ("plugin-host a.so init -w --script x", "do not go together"),
        ] {
            let error = settings(line).err().unwrap();
            assert!(error.contains(told), "{line}: {error}");
        }
    }
}
