//! Messages out, echoes back.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Read, Write},
    time::{Duration, Instant},
};

use bench::Epoll;

use crate::{
    latency::Latencies,
    messages::Messages,
    options::Options,
    server_cpu::ServerCpu,
    tls::{Stream, Tls},
    websocket::{self, PATIENCE, Receiver, failure},
};

pub fn run(options: &Options) -> io::Result<()> {
    bench::raise_file_limit()?;
    let mut epoll = Epoll::new()?;
    let tls = options.tls.then(Tls::new).transpose()?;
    let mut connections = Vec::with_capacity(options.connections);
    for number in 0..options.connections {
        let connection = Connection::open(options, tls.as_ref(), number)?;
        epoll.add_edges(&connection.socket, number)?;
        connections.push(connection);
    }
    let mut load = Load::new(options)?;
    if !options.warm_up.is_zero() {
        load.run(&mut epoll, &mut connections, options.warm_up)?;
        load.forget();
    }

    let cpu = ServerCpu::begin(options)?;
    let start = Instant::now();
    load.run(&mut epoll, &mut connections, options.duration)?;
    if load.echoed == 0 {
        return Err(failure("no echo came back"));
    }
    let seconds = start.elapsed().as_secs_f64();
    let echoed = load.echoed as f64;
    let cpu = cpu.per(echoed)?;

    print!(
        "messages={echoed} seconds={seconds:.4} per_second={:.1} mb_per_second={:.3} {}",
        echoed / seconds,
        echoed * options.size as f64 / seconds / 1e6,
        load.latencies.summary()
    );
    if options.compress {
        let payload = connections
            .iter()
            .map(|connection| connection.receiver.payload);
        print!(
            " payload={:.1}",
            payload.sum::<usize>() as f64 / load.ever as f64
        );
    }
    println!("{cpu}");
    Ok(())
}

/// What is the same for all connections, and what is counted over all of them.
struct Load {
    messages: Messages,
    size: usize,
    depth: usize,
    raw: bool,
    most: u64,
    echoed: u64,
    /// Echoes since the connections were opened.
    ever: u64,
    latencies: Latencies,
    buffer: Vec<u8>,
}

impl Load {
    fn new(options: &Options) -> io::Result<Self> {
        Ok(Self {
            messages: Messages::new(options)?,
            size: options.size,
            depth: options.depth,
            raw: options.raw,
            most: options.messages,
            echoed: 0,
            ever: 0,
            latencies: Latencies::new(),
            buffer: vec![0; 256 << 10],
        })
    }

    fn forget(&mut self) {
        self.echoed = 0;
        self.latencies.clear();
    }

    fn run(
        &mut self,
        epoll: &mut Epoll,
        connections: &mut [Connection],
        duration: Duration,
    ) -> io::Result<()> {
        let mut ready = (0..connections.len()).collect::<Vec<_>>();
        let start = Instant::now();
        let mut last_echo = start;
        loop {
            let echoed = self.echoed;
            for &number in &ready {
                connections[number].receive(self)?;
                connections[number].send(self)?;
            }
            let now = Instant::now();
            if self.echoed > echoed {
                last_echo = now;
            }
            if now - start >= duration || self.echoed >= self.most {
                break;
            }
            if now - last_echo > PATIENCE {
                return Err(failure("no echo for a long time"));
            }
            epoll.wait(Some(Duration::from_millis(100)), &mut ready)?;
        }
        Ok(())
    }
}

struct Connection {
    socket: Stream,
    receiver: Receiver,
    /// The message under way, or the next, and how much of it is written.
    message: usize,
    sent: usize,
    /// When each message in flight was begun, the oldest first.
    begun: VecDeque<Instant>,
    /// Raw: bytes of the echo under way that are here.
    echoed: usize,
}

impl Connection {
    fn open(options: &Options, tls: Option<&Tls>, number: usize) -> io::Result<Self> {
        let mut socket = Stream::new(websocket::connect(options.port, number)?, tls)?;
        if !options.raw {
            websocket::send_request(&mut socket, options)?;
            websocket::receive_response(&mut socket, options)?;
        }
        socket.set_nonblocking()?;
        Ok(Self {
            socket,
            receiver: Receiver::default(),
            message: 0,
            sent: 0,
            begun: VecDeque::with_capacity(options.depth),
            echoed: 0,
        })
    }

    /// Writes until enough messages are in flight or the socket has no room: what is due goes out in one
    /// write, as a client does that has several messages to send.
    fn send(&mut self, load: &Load) -> io::Result<()> {
        loop {
            let under_way = usize::from(self.sent > 0);
            let end = self.message + under_way + load.depth - self.begun.len();
            let end = end.min(load.messages.count());
            let due = &load.messages.of(self.message..end)[self.sent..];
            if due.is_empty() {
                return Ok(());
            }
            let now = Instant::now();
            let written = match self.socket.write(due) {
                Ok(written) => self.sent + written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let (message, sent, begun) = load.messages.position(self.message, written);
            self.begun
                .extend(std::iter::repeat_n(now, begun - under_way));
            (self.message, self.sent) = (message, sent);
        }
    }

    fn receive(&mut self, load: &mut Load) -> io::Result<()> {
        loop {
            let got = match self.socket.read(&mut load.buffer) {
                Ok(0) => return Err(failure("the server closed a connection")),
                Ok(got) => got,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let messages = if load.raw {
                self.echoed += got;
                let messages = self.echoed / load.size;
                self.echoed %= load.size;
                messages
            } else {
                self.receiver
                    .receive(&load.buffer[..got], load.messages.expected)?
            };
            let now = Instant::now();
            for _ in 0..messages {
                let begun = self
                    .begun
                    .pop_front()
                    .ok_or_else(|| failure("more echoes than messages"))?;
                load.latencies.add(now - begun);
            }
            load.echoed += messages as u64;
            load.ever += messages as u64;
            // Less than asked for: the next input is a new edge.
            if got < load.buffer.len() && self.socket.reads_all() {
                return Ok(());
            }
        }
    }
}
