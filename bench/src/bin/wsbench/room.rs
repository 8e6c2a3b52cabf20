//! One speaks, and everybody hears it.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use bench::Epoll;

use crate::{
    latency::Latencies,
    messages::Messages,
    options::Options,
    publisher::Publisher,
    server_cpu::ServerCpu,
    websocket::{self, PATIENCE, Receiver, failure},
};

/// The first connection sends, or a connection that publishes over HTTP; a message is in flight until the last has received
/// it.
pub fn run(options: &Options) -> io::Result<()> {
    bench::raise_file_limit()?;
    let mut room = Room::open(options)?;
    if !options.warm_up.is_zero() {
        room.run(options.warm_up, u64::MAX)?;
        room.arrived = 0;
        room.latencies.clear();
        room.to_the_last.clear();
    }
    let cpu = ServerCpu::begin(options)?;
    let start = Instant::now();
    room.run(options.duration, options.messages)?;
    if room.arrived == 0 {
        return Err(failure("no message has arrived"));
    }
    let seconds = start.elapsed().as_secs_f64();
    let arrived = room.arrived as f64;
    let last = room.to_the_last.summary();
    println!(
        "messages={arrived} seconds={seconds:.4} per_second={:.1} {} last_p50_us={:.1} last_p99_us={:.1}{}",
        arrived / seconds,
        room.latencies.summary(),
        last.p50,
        last.p99,
        cpu.per(arrived)?
    );
    // Nothing is left for whoever comes into the room next.
    room.depth = 0;
    room.run(PATIENCE, u64::MAX)
}

struct Room {
    epoll: Epoll,
    messages: Messages,
    depth: usize,
    members: Vec<Member>,
    /// Who sends, when it is none of them.
    publisher: Option<Publisher>,
    /// The messages that somebody has still to receive, the oldest first.
    in_flight: VecDeque<Flight>,
    /// How many messages everybody has received.
    done: usize,
    /// Of the message that the socket had no room for, how much is out.
    sent: usize,
    arrived: u64,
    latencies: Latencies,
    /// How long each message took to the last who has received it.
    to_the_last: Latencies,
    buffer: Vec<u8>,
}

/// A message on its way.
struct Flight {
    begun: Instant,
    /// How many have it.
    arrived: usize,
}

struct Member {
    socket: TcpStream,
    receiver: Receiver,
    /// Messages so far.
    received: usize,
}

impl Room {
    fn open(options: &Options) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        let mut members = Vec::with_capacity(options.connections);
        for number in 0..options.connections {
            let mut socket = websocket::connect(options.port, number)?;
            websocket::send_request(&mut socket, options)?;
            websocket::receive_response(&mut socket, options)?;
            socket.set_nonblocking(true)?;
            epoll.add_edges(&socket, number)?;
            members.push(Member {
                socket,
                receiver: Receiver::default(),
                received: 0,
            });
        }
        let publish = options.publish.as_ref();
        let publisher = publish.map(|path| Publisher::new(path, options));
        let publisher = publisher.transpose()?;
        if let Some(publisher) = &publisher {
            epoll.add_edges(publisher, members.len())?;
        }
        Ok(Self {
            epoll,
            publisher,
            messages: Messages::new(options)?,
            depth: options.depth,
            members,
            in_flight: VecDeque::with_capacity(options.depth),
            done: 0,
            sent: 0,
            arrived: 0,
            latencies: Latencies::new(),
            to_the_last: Latencies::new(),
            buffer: vec![0; 256 << 10],
        })
    }

    /// Until the time is over, so many have arrived, or nothing is in flight.
    fn run(&mut self, duration: Duration, most: u64) -> io::Result<()> {
        let mut ready = Vec::new();
        let start = Instant::now();
        let mut last = start;
        loop {
            self.send()?;
            let publisher = self.publisher.as_ref();
            if self.in_flight.is_empty() && publisher.is_none_or(Publisher::is_idle) {
                return Ok(());
            }
            self.epoll
                .wait(Some(Duration::from_millis(100)), &mut ready)?;
            let arrived = self.arrived;
            for &number in &ready {
                match &mut self.publisher {
                    Some(publisher) if number == self.members.len() => publisher.receive()?,
                    _ => self.receive(number)?,
                }
            }
            let now = Instant::now();
            if self.arrived > arrived {
                last = now;
            }
            if now - start >= duration || self.arrived >= most {
                return Ok(());
            }
            if now - last > PATIENCE {
                return Err(failure("a message has not reached everybody"));
            }
        }
    }

    /// What is due goes out in one write, as far as the socket has room.
    fn send(&mut self) -> io::Result<()> {
        if let Some(publisher) = &mut self.publisher {
            if self.depth > 0 && self.in_flight.is_empty() && publisher.is_idle() {
                let begun = Instant::now();
                publisher.publish()?;
                self.in_flight.push_back(Flight { begun, arrived: 0 });
            }
            return Ok(());
        }
        loop {
            let under_way = usize::from(self.sent > 0);
            let end = self.depth.saturating_sub(self.in_flight.len()) + under_way;
            let due = &self.messages.of(0..end.min(self.messages.count()))[self.sent..];
            if due.is_empty() {
                return Ok(());
            }
            let begun = Instant::now();
            let written = match self.members[0].socket.write(due) {
                Ok(written) => self.sent + written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let (_, sent, count) = self.messages.position(0, written);
            let flight = || Flight { begun, arrived: 0 };
            self.in_flight
                .extend(std::iter::repeat_with(flight).take(count - under_way));
            self.sent = sent;
        }
    }

    fn receive(&mut self, number: usize) -> io::Result<()> {
        let everybody = self.members.len();
        let member = &mut self.members[number];
        loop {
            let got = match member.socket.read(&mut self.buffer) {
                Ok(0) => return Err(failure("the server closed a connection")),
                Ok(got) => got,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let messages = member
                .receiver
                .receive(&self.buffer[..got], self.messages.expected)?;
            let now = Instant::now();
            for _ in 0..messages {
                let flight = self.in_flight.get_mut(member.received - self.done);
                let flight = flight.ok_or_else(|| failure("more messages than were sent"))?;
                self.latencies.add(now - flight.begun);
                flight.arrived += 1;
                member.received += 1;
                self.arrived += 1;
            }
            while let Some(Flight { arrived, begun }) = self.in_flight.front()
                && *arrived == everybody
            {
                self.to_the_last.add(now - *begun);
                self.in_flight.pop_front();
                self.done += 1;
            }
            // Less than asked for: the next input is a new edge.
            if got < self.buffer.len() {
                return Ok(());
            }
        }
    }
}
