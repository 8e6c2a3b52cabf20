//! A static file, over and over: what HTTP feels while WebSockets are open.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    net::TcpStream,
    time::Instant,
};

use crate::{
    latency::Latencies,
    options::Options,
    server_cpu::ServerCpu,
    websocket::{self, failure},
};

pub fn run(options: &Options) -> io::Result<()> {
    let mut latencies = Latencies::new();
    let cpu = ServerCpu::begin(options)?;
    let start = Instant::now();
    let requests = match options.fresh {
        true => on_new_connections(options, start, &mut latencies)?,
        false => on_one_connection(options, start, &mut latencies)?,
    };
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "requests={requests} seconds={seconds:.4} per_second={:.1} {}{}",
        requests as f64 / seconds,
        latencies.summary(),
        cpu.per(requests as f64)?
    );
    Ok(())
}

fn on_one_connection(
    options: &Options,
    start: Instant,
    latencies: &mut Latencies,
) -> io::Result<u64> {
    let mut socket = websocket::connect(options.port, 0)?;
    let mut requests = 0;
    while start.elapsed() < options.duration && requests < options.messages {
        let begun = Instant::now();
        send(&mut socket, options)?;
        receive(&mut socket)?;
        latencies.add(begun.elapsed());
        requests += 1;
    }
    Ok(requests)
}

fn on_new_connections(
    options: &Options,
    start: Instant,
    latencies: &mut Latencies,
) -> io::Result<u64> {
    let mut under_way: VecDeque<(TcpStream, Instant)> = VecDeque::with_capacity(options.depth);
    let mut requests = 0;
    loop {
        let goes_on = start.elapsed() < options.duration && requests < options.messages;
        if !goes_on || under_way.len() == options.depth {
            let Some((mut socket, begun)) = under_way.pop_front() else {
                return Ok(requests);
            };
            receive(&mut socket)?;
            latencies.add(begun.elapsed());
        }
        if goes_on {
            let begun = Instant::now();
            let mut socket = websocket::connect(options.port, 0)?;
            send(&mut socket, options)?;
            under_way.push_back((socket, begun));
            requests += 1;
        }
    }
}

fn send(socket: &mut TcpStream, options: &Options) -> io::Result<()> {
    let connection = if options.fresh { "close" } else { "keep-alive" };
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: {connection}\r\n\r\n",
        options.path, options.port
    );
    socket.write_all(request.as_bytes())
}

/// A whole response, which must be a 200.
fn receive(socket: &mut TcpStream) -> io::Result<()> {
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
            whole = length_of(&response, "http/1.1 200")?.unwrap_or(whole);
        }
    }
    Ok(())
}

/// The length of header and body, once the header is here; its status line begins so, in lower case.
pub fn length_of(response: &[u8], status: &str) -> io::Result<Option<usize>> {
    let Some(header) = response.windows(4).position(|part| part == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&response[..header]).to_ascii_lowercase();
    if !text.starts_with(status) {
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
