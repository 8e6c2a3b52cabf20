//! WebSockets that are open and silent.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Read, Write},
    net::TcpStream,
    os::fd::AsFd,
    time::{Duration, Instant},
};

use bench::Epoll;

use crate::{
    messages::Messages,
    options::Options,
    tls::Tls,
    websocket::{self, Expected, PONG_FRAME, Receiver, failure},
};

/// Handshakes under way at a time.
const WINDOW: usize = 64;
const STDIN: usize = usize::MAX;

/// Opens as many as the server takes, prints how many and in what time, holds them, and prints how many
/// the server has kept.
pub fn run(options: &Options) -> io::Result<()> {
    bench::raise_file_limit()?;
    let start = Instant::now();
    let mut sockets = Vec::with_capacity(options.connections);
    let refusal = match options.tls {
        true => open_tls(options, &mut sockets),
        false => open_plain(options, &mut sockets),
    };
    let seconds = start.elapsed().as_secs_f64();
    if options.speak {
        speak(options, &mut sockets)?;
    }
    println!("opened={} seconds={seconds:.4}", sockets.len());
    if let Err(error) = refusal {
        eprintln!("wsbench: after {} WebSockets: {error}", sockets.len());
    }
    println!("kept={}", hold(sockets, start + options.duration)?);
    Ok(())
}

fn open_plain(options: &Options, sockets: &mut Vec<TcpStream>) -> io::Result<()> {
    let mut opening = VecDeque::with_capacity(WINDOW);
    for number in 0..options.connections {
        if opening.len() == WINDOW {
            sockets.extend(opened(&mut opening, options)?);
        }
        let mut socket = websocket::connect(options.port, number)?;
        websocket::send_request(&mut socket, options)?;
        opening.push_back(socket);
    }
    while !opening.is_empty() {
        sockets.extend(opened(&mut opening, options)?);
    }
    Ok(())
}

/// Completes the oldest handshake.
fn opened(opening: &mut VecDeque<TcpStream>, options: &Options) -> io::Result<Option<TcpStream>> {
    let Some(mut socket) = opening.pop_front() else {
        return Ok(None);
    };
    websocket::receive_response(&mut socket, options)?;
    Ok(Some(socket))
}

fn open_tls(options: &Options, sockets: &mut Vec<TcpStream>) -> io::Result<()> {
    let tls = Tls::new()?;
    for number in 0..options.connections {
        let mut socket = websocket::connect(options.port, number)?;
        let mut stream = tls.connect(&mut socket)?;
        websocket::send_request(&mut stream, options)?;
        websocket::receive_response(&mut stream, options)?;
        // The client's half of the TLS state is not needed: nothing more will be said.
        drop(stream);
        sockets.push(socket);
    }
    Ok(())
}

/// One message and its echo on each.
fn speak(options: &Options, sockets: &mut [TcpStream]) -> io::Result<()> {
    let messages = Messages::new(options)?;
    let mut buffer = [0; 4096];
    for socket in sockets {
        socket.write_all(messages.of(0..1))?;
        let mut receiver = Receiver::default();
        let mut echoes = 0;
        while echoes == 0 {
            echoes = match socket.read(&mut buffer)? {
                0 => return Err(failure("the server closed a connection")),
                got => receiver.receive(&buffer[..got], messages.expected)?,
            };
        }
    }
    Ok(())
}

/// Answers pings until stdin ends or it is late; returns how many connections are still open.
fn hold(sockets: Vec<TcpStream>, until: Instant) -> io::Result<usize> {
    let mut epoll = Epoll::new()?;
    epoll.add_input(&io::stdin().as_fd(), STDIN)?;
    let mut connections = Vec::with_capacity(sockets.len());
    for (number, socket) in sockets.into_iter().enumerate() {
        socket.set_nonblocking(true)?;
        epoll.add_edges(&socket, number)?;
        connections.push(Some((socket, Receiver::default())));
    }
    let mut ready = Vec::new();
    let mut asked = true;
    while asked && Instant::now() < until {
        epoll.wait(Some(Duration::from_millis(200)), &mut ready)?;
        for &number in &ready {
            if number == STDIN {
                asked = io::stdin().read(&mut [0])? > 0;
            } else if let Some((socket, receiver)) = &mut connections[number]
                && answer(socket, receiver).is_err()
            {
                connections[number] = None;
            }
        }
    }
    Ok(connections.iter().flatten().count())
}

fn answer(socket: &mut TcpStream, receiver: &mut Receiver) -> io::Result<()> {
    let mut buffer = [0; 1024];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(got) => receiver.receive(&buffer[..got], Expected::Length(0))?,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        for _ in 0..std::mem::take(&mut receiver.pings) {
            socket.write_all(&PONG_FRAME)?;
        }
    }
}
