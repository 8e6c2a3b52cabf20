//! WebSockets opened one after the other: what a crowd does that comes back at once.

use std::{collections::VecDeque, io, net::TcpStream, time::Instant};

use crate::{latency::Latencies, options::Options, server_cpu::ServerCpu, websocket};

/// Opens as many as it can; they stay open until the figures are taken, as those of such a crowd do.
pub fn run(options: &Options) -> io::Result<()> {
    bench::raise_file_limit()?;
    let mut latencies = Latencies::new();
    let mut opening: VecDeque<(TcpStream, Instant)> = VecDeque::with_capacity(options.depth);
    let mut open = Vec::new();
    let cpu = ServerCpu::begin(options)?;
    let start = Instant::now();
    let mut number = 0;
    loop {
        let goes_on = start.elapsed() < options.duration && (number as u64) < options.messages;
        if !goes_on || opening.len() == options.depth {
            let Some((mut socket, begun)) = opening.pop_front() else {
                break;
            };
            websocket::receive_response(&mut socket, options)?;
            latencies.add(begun.elapsed());
            open.push(socket);
        }
        if goes_on {
            let begun = Instant::now();
            let mut socket = websocket::connect(options.port, number)?;
            websocket::send_request(&mut socket, options)?;
            opening.push_back((socket, begun));
            number += 1;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let opened = open.len() as f64;
    println!(
        "opened={opened} seconds={seconds:.4} per_second={:.1} {}{}",
        opened / seconds,
        latencies.summary(),
        cpu.per(opened)?
    );
    Ok(())
}
