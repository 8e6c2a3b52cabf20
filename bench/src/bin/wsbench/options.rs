//! The command line.

use std::{str::FromStr, time::Duration};

use crate::hostile::Kind;

/// What a command is to do; each command reads what concerns it.
pub struct Options {
    pub command: String,
    pub port: u16,
    pub path: String,
    pub connections: usize,
    pub size: usize,
    pub depth: usize,
    pub binary: bool,
    pub raw: bool,
    /// Offer permessage-deflate, and send compressed messages.
    pub compress: bool,
    /// One message and its echo before the silence.
    pub speak: bool,
    pub tls: bool,
    /// A new connection for each request.
    pub fresh: bool,
    /// A room whose messages are published over HTTP, to this path.
    pub publish: Option<String>,
    /// Of a hostile client.
    pub kind: Option<Kind>,
    pub messages: u64,
    pub pid: Option<i32>,
    pub duration: Duration,
    pub warm_up: Duration,
}

impl Options {
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            command: words.next().ok_or("no command")?,
            port: 0,
            path: "/echo".to_owned(),
            connections: 1,
            size: 64,
            depth: 1,
            binary: false,
            raw: false,
            compress: false,
            speak: false,
            tls: false,
            fresh: false,
            publish: None,
            kind: None,
            messages: u64::MAX,
            pid: None,
            duration: Duration::from_secs(1),
            warm_up: Duration::ZERO,
        };
        if !["echo", "room", "idle", "hostile", "open", "get"].contains(&options.command.as_str()) {
            return Err(format!("unknown command {}", options.command));
        }
        while let Some(name) = words.next() {
            let value = words.next().ok_or_else(|| format!("{name} has no value"))?;
            options.set(&name, &value)?;
        }
        if options.port == 0 || options.connections == 0 || options.depth == 0 {
            return Err("--port, --connections and --depth must be positive".to_owned());
        }
        if options.size == 0 && (options.raw || options.compress) {
            return Err("--size must be positive with --raw or --compress".to_owned());
        }
        if options.tls && options.speak {
            return Err("--speak is not for TLS".to_owned());
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let yes = value == "yes";
        match name {
            "--port" => self.port = number(name, value)?,
            "--path" => self.path = value.to_owned(),
            "--publish" => self.publish = Some(value.to_owned()),
            "--connections" => self.connections = number(name, value)?,
            "--size" => self.size = number(name, value)?,
            "--depth" => self.depth = number(name, value)?,
            "--binary" => self.binary = yes,
            "--raw" => self.raw = yes,
            "--compress" => self.compress = yes,
            "--speak" => self.speak = yes,
            "--tls" => self.tls = yes,
            "--new" => self.fresh = yes,
            "--kind" => self.kind = Some(value.parse()?),
            "--messages" => self.messages = number(name, value)?,
            "--pid" => self.pid = Some(number(name, value)?),
            "--seconds" => self.duration = seconds(name, value)?,
            "--warm-up" => self.warm_up = seconds(name, value)?,
            _ => return Err(format!("unknown option {name}")),
        }
        Ok(())
    }
}

fn number<N: FromStr>(name: &str, value: &str) -> Result<N, String> {
    value
        .parse()
        .map_err(|_| format!("{name} {value}: not a number, or out of range"))
}

fn seconds(name: &str, value: &str) -> Result<Duration, String> {
    Duration::try_from_secs_f64(number(name, value)?).map_err(|error| format!("{name}: {error}"))
}
