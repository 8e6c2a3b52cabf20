//! A static file, over and over: what HTTP feels while WebSockets are open.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::Instant,
};

use crate::{
    latency::Latencies,
    options::Options,
    websocket::{self, failure},
};

pub fn run(options: &Options) -> io::Result<()> {
    let mut latencies = Latencies::new();
    let mut kept = None;
    let mut requests = 0u64;
    let start = Instant::now();
    while start.elapsed() < options.duration && requests < options.messages {
        let begun = Instant::now();
        let mut socket = match kept.take() {
            Some(socket) => socket,
            None => websocket::connect(options.port, 0)?,
        };
        get(&mut socket, options)?;
        latencies.add(begun.elapsed());
        requests += 1;
        if !options.fresh {
            kept = Some(socket);
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "requests={requests} seconds={seconds:.4} per_second={:.1} {}",
        requests as f64 / seconds,
        latencies.summary()
    );
    Ok(())
}

/// One request and its whole response, which must be a 200.
fn get(socket: &mut TcpStream, options: &Options) -> io::Result<()> {
    let connection = if options.fresh { "close" } else { "keep-alive" };
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: {connection}\r\n\r\n",
        options.path, options.port
    );
    socket.write_all(request.as_bytes())?;
    let mut response = Vec::with_capacity(8192);
    let mut buffer = [0; 8192];
    let mut whole = usize::MAX;
    while response.len() < whole {
        match socket.read(&mut buffer)? {
            0 => {
                return Err(failure(
                    "the server closed the connection within a response",
                ));
            }
            got => response.extend_from_slice(&buffer[..got]),
        }
        if whole == usize::MAX {
            whole = length_of(&response)?.unwrap_or(whole);
        }
    }
    Ok(())
}

/// The length of header and body, once the header is here.
fn length_of(response: &[u8]) -> io::Result<Option<usize>> {
    let Some(header) = response.windows(4).position(|part| part == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&response[..header]).to_ascii_lowercase();
    if !text.starts_with("http/1.1 200") {
        return Err(failure(text.lines().next().unwrap_or_default()));
    }
    let body = text
        .lines()
        .find_map(|line| {
            line.strip_prefix("content-length:")?
                .trim()
                .parse::<usize>()
                .ok()
        })
        .ok_or_else(|| failure("a response without Content-Length"))?;
    Ok(Some(header + 4 + body))
}
