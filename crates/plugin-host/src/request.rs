//! The request of an opening handshake, as a plugin may ask for it.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::io::{self, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use websocket_proto::handshake;

/// The longest head of a request, in bytes.
const LONGEST_HEAD: usize = 32 * 1024;
const MOST_FIELDS: usize = 100;
/// How long a client may take to send it.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request without its body.
pub struct Request {
    method: String,
    is_http_1_1: bool,
    /// By name in small letters; several of one name joined with commas.
    headers: BTreeMap<String, CString>,
    variables: BTreeMap<String, CString>,
    /// What came behind the head.
    pub early: Vec<u8>,
}

impl Request {
    /// Reads one from a socket that blocks. `None`: the client has gone, was too slow or speaks no HTTP.
    pub fn read(
        socket: &mut TcpStream,
        more_variables: &BTreeMap<String, CString>,
    ) -> io::Result<Option<Request>> {
        let deadline = Instant::now() + PATIENCE;
        let mut head = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || head.len() > LONGEST_HEAD {
                return Ok(None);
            }
            socket.set_read_timeout(Some(left))?;
            let mut piece = [0; 4096];
            match socket.read(&mut piece)? {
                0 => return Ok(None),
                count => head.extend_from_slice(&piece[..count]),
            }
            let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
            let mut parsed = httparse::Request::new(&mut fields);
            match parsed.parse(&head) {
                Ok(httparse::Status::Partial) => {}
                Ok(httparse::Status::Complete(length)) => {
                    let mut request = Request::from_parsed(&parsed, head[length..].to_vec());
                    request.describe(parsed.path.unwrap_or_default(), socket)?;
                    request.variables.extend(more_variables.clone());
                    return Ok(Some(request));
                }
                Err(_) => return Ok(None),
            }
        }
    }

    fn from_parsed(parsed: &httparse::Request<'_, '_>, early: Vec<u8>) -> Request {
        let mut joined: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for field in parsed.headers.iter() {
            let name = field.name.to_ascii_lowercase();
            let value = joined.get(&name).map_or_else(Vec::new, |before| {
                let mut before = before.clone();
                before.extend_from_slice(b", ");
                before
            });
            joined.insert(name, [&value, field.value].concat());
        }
        let headers = joined.into_iter().filter_map(|(name, value)| {
            // The parser lets no NUL through.
            Some((name, CString::new(value).ok()?))
        });
        Request {
            method: parsed.method.unwrap_or_default().to_owned(),
            is_http_1_1: parsed.version >= Some(1),
            headers: headers.collect(),
            variables: BTreeMap::new(),
            early,
        }
    }

    /// The variables that a CGI program would get (RFC 3875), as far as they mean something here.
    fn describe(&mut self, target: &str, socket: &TcpStream) -> io::Result<()> {
        let (peer, local) = (socket.peer_addr()?, socket.local_addr()?);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let host = self.text("host").unwrap_or_default();
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let variables = [
            ("REMOTE_ADDR", peer.ip().to_string()),
            ("REMOTE_PORT", peer.port().to_string()),
            ("REQUEST_METHOD", self.method.clone()),
            ("REQUEST_SCHEME", "http".to_owned()),
            ("REQUEST_URI", target.to_owned()),
            ("QUERY_STRING", query.to_owned()),
            ("SCRIPT_NAME", decode(path)),
            ("SERVER_NAME", name.to_owned()),
            ("SERVER_ADDR", local.ip().to_string()),
            ("SERVER_PORT", local.port().to_string()),
            ("SERVER_PROTOCOL", "HTTP/1.1".to_owned()),
            (
                "SERVER_SOFTWARE",
                concat!("plugin-host/", env!("CARGO_PKG_VERSION")).to_owned(),
            ),
        ];
        self.variables = variables
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), CString::new(value).ok()?)))
            .collect();
        Ok(())
    }

    /// What the handshake depends on.
    pub fn as_handshake(&self) -> handshake::Request<'_> {
        handshake::Request {
            method_is_get: self.method == "GET",
            http_1_1_or_later: self.is_http_1_1,
            host: self.text("host"),
            upgrade: self.text("upgrade"),
            connection: self.text("connection"),
            key: self.text("sec-websocket-key"),
            version: self.text("sec-websocket-version"),
            protocol: self.text("sec-websocket-protocol"),
        }
    }

    /// Whether something follows the head that is no frame.
    pub fn has_body(&self) -> bool {
        let length = self.text("content-length");
        self.headers.contains_key("transfer-encoding") || length.is_some_and(|length| length != "0")
    }

    /// The path and the query, for the log.
    pub fn target(&self) -> &str {
        let target = self.variables.get("REQUEST_URI");
        target
            .and_then(|target| target.to_str().ok())
            .unwrap_or_default()
    }

    /// A header field, letter case of the name ignored.
    pub fn header(&self, name: &CStr) -> Option<&CStr> {
        let name = name.to_str().ok()?.to_ascii_lowercase();
        self.headers.get(&name).map(CString::as_c_str)
    }

    /// A CGI variable.
    pub fn variable(&self, name: &CStr) -> Option<&CStr> {
        let name = name.to_str().ok()?;
        let known = self.variables.get(name);
        known
            .or_else(|| {
                let field = name.strip_prefix("HTTP_")?.to_ascii_lowercase();
                self.headers.get(&field.replace('_', "-"))
            })
            .map(CString::as_c_str)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A path without its percent signs; what is wrong stays as it is.
fn decode(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, more @ ..] = rest {
        let digits = path_digits(first, more);
        bytes.push(digits.unwrap_or(*first));
        rest = match digits {
            Some(_) => &more[2..],
            None => more,
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn path_digits(first: &u8, more: &[u8]) -> Option<u8> {
    let digits = more.get(..2).filter(|_| *first == b'%')?;
    // A sign is no digit to a path.
    let are_digits = digits.iter().all(u8::is_ascii_hexdigit);
    are_digits.then(|| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_decoded() {
        assert_eq!(decode("/a%20b/%C3%BC"), "/a b/ü");
        assert_eq!(decode("/100%/%zz%2%+1"), "/100%/%zz%2%+1");
    }

    #[test]
    fn fields_of_one_name_are_joined() {
        let mut fields = [httparse::EMPTY_HEADER; 4];
        let mut parsed = httparse::Request::new(&mut fields);
        let head = b"GET / HTTP/1.1\r\nX-A: 1\r\nx-a:2 \r\nEmpty:\r\n\r\n";
        assert!(parsed.parse(head).unwrap().is_complete());
        let request = Request::from_parsed(&parsed, Vec::new());
        assert_eq!(request.header(c"X-a"), Some(c"1, 2"));
        assert_eq!(request.header(c"empty"), Some(c""));
        assert_eq!(request.variable(c"HTTP_X_A"), Some(c"1, 2"));
    }
}
