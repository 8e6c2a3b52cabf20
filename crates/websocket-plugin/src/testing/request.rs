//! A handshake, as a test writes it.

use std::collections::BTreeMap;
use std::ffi::CString;

/// The request of an opening handshake.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// By name in small letters.
    pub(super) headers: BTreeMap<String, CString>,
    pub(super) variables: BTreeMap<String, CString>,
    pub(super) options: BTreeMap<String, CString>,
    pub(super) subprotocols: Vec<CString>,
}

impl Request {
    /// A request for this path, such as `/chat?room=blue`, from 127.0.0.1.
    pub fn to(path: &str) -> Self {
        let (name, query) = path.split_once('?').unwrap_or((path, ""));
        Request::default()
            .variable("REMOTE_ADDR", "127.0.0.1")
            .variable("REQUEST_METHOD", "GET")
            .variable("REQUEST_SCHEME", "http")
            .variable("REQUEST_URI", path)
            .variable("SCRIPT_NAME", name)
            .variable("QUERY_STRING", query)
            .variable("SERVER_NAME", "localhost")
            .variable("SERVER_PROTOCOL", "HTTP/1.1")
            .header("Host", "localhost")
    }

    /// With this header field; those of one name are joined.
    ///
    /// # Panics
    /// As the others: when a text has a NUL.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let value = match self.headers.get(&name) {
            Some(before) => format!("{}, {value}", before.to_string_lossy()),
            None => value.to_owned(),
        };
        let variable = format!("HTTP_{}", name.to_ascii_uppercase().replace('-', "_"));
        self.headers.insert(name, text(&value));
        self.variable(&variable, &value)
    }

    /// With this variable, such as `REMOTE_USER`.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), text(value));
        self
    }

    /// With this option, besides those of the world: as in a section for this path.
    pub fn option(mut self, name: &str, value: &str) -> Self {
        self.options.insert(name.to_owned(), text(value));
        self
    }

    /// With an offer of these subprotocols, the preferred one first.
    pub fn subprotocols(mut self, names: &[&str]) -> Self {
        self.subprotocols = names.iter().map(|name| text(name)).collect();
        self.header("Sec-WebSocket-Protocol", &names.join(", "))
    }
}

pub(super) fn text(text: &str) -> CString {
    CString::new(text).expect("no text of a request has a NUL")
}
