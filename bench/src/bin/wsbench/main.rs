//! The benchmark's load client: one thread, closed loop, on loopback. Every command prints its figures as
//! one line of `name=value` words; `bench/README.md` tells how they are taken.

mod echo;
mod get;
mod hostile;
mod idle;
mod json;
mod latency;
mod messages;
mod open;
mod options;
mod publisher;
mod room;
mod server_cpu;
mod tls;
mod websocket;

use std::{env, process::ExitCode};

use options::Options;

const USAGE: &str = "usage: wsbench COMMAND --port N [OPTION VALUE]...
  echo   keep messages in flight and count the echoes
         --connections N  --size BYTES  --depth N (in flight on each connection)  --binary yes
         --seconds S  --warm-up S  --messages N (end after so many)
         --pid N (also the CPU time of that process and its descendants)
         --raw yes (a TCP echo: no handshake, no frames)
         --compress yes (permessage-deflate: JSON, compressed in advance; echoes are not inflated)
         --tls yes
  room   send on one connection what all of them receive, and count what arrives
         --connections N  --size BYTES  --depth N (messages in flight)
         --seconds S  --warm-up S  --messages N (end after so many arrivals)  --pid N
         --publish PATH (over HTTP instead, one after the other)
  idle   open WebSockets, print, and hold them until the end of stdin
         --connections N  --tls yes  --seconds S (the longest hold)
         --speak yes (each has had one message echoed: --size BYTES  --compress yes)
  hostile  misbehave until the end of stdin
         --connections N  --seconds S (at most)
         --kind announce, fragments, pings, unread, handshake, vanish or bomb
  open   open one WebSocket after the other, and close them all at the end
         --depth N (handshakes under way)  --seconds S  --messages N (end after so many)  --pid N
  get    GET --path over and over
         --seconds S  --messages N  --pid N
         --new yes (a connection for each request)  --depth N (with --new: requests under way)
All: --path PATH. Exit status: 0, 1 when the server misbehaved, 2 for bad arguments.";

fn main() -> ExitCode {
    let options = match Options::parse(env::args().skip(1)) {
        Ok(options) => options,
        Err(reason) => {
            eprintln!("wsbench: {reason}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let result = match options.command.as_str() {
        "echo" => echo::run(&options),
        "idle" => idle::run(&options),
        "hostile" => hostile::run(&options),
        "open" => open::run(&options),
        "room" => room::run(&options),
        _ => get::run(&options),
    };
    if let Err(reason) = result {
        eprintln!("wsbench: {reason}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
