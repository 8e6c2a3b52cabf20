//! `plugin-host`: serves one WebSocket plugin on a port without httpd, to develop and to test it.
//!
//! | file | what lives there |
//! |---|---|
//! | [`command_line`] | what it is told to do |
//! | [`serve`] | the life of the process: load, listen, watch the file, end |
//! | [`host`] | what all threads share |
//! | [`generation`] | one load of the plugin, from its init function to its `destroy` |
//! | [`exchange`] | topics, within this process |
//! | [`loading`] | opens the file |
//! | [`request`], [`handshake`] | the request of a client, and its answer |
//! | [`connection`] | one WebSocket, as its plugin's server functions want it |
//! | [`outside`], [`transport`], [`driver`] | what a session needs: a plugin, a socket, a thread |
//! | [`script`], [`player`], [`client`] | a conversation to be played, its player, and the clients that play it |
//! | [`signals`], [`running`] | what ends the process, and what keeps it from its end |
//! | [`terminal`] | what is written on standard error |
//!
//! `unsafe` is where the ABI is: in `loading`, `generation`, `connection` and `outside`.

mod client;
mod command_line;
mod connection;
mod driver;
mod exchange;
mod generation;
mod handshake;
mod host;
mod loading;
mod outside;
mod player;
mod request;
mod running;
mod script;
mod serve;
mod signals;
mod terminal;
mod transport;

use std::process::ExitCode;

use command_line::{Asked, USAGE};

fn main() -> ExitCode {
    match command_line::parse(std::env::args_os()) {
        Ok(Asked::Help) => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        Ok(Asked::Version) => {
            println!("plugin-host {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Ok(Asked::Serve(settings)) => match serve::serve(*settings) {
            Ok(code) => code,
            Err(error) => {
                eprintln!("plugin-host: {error}");
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            eprintln!("plugin-host: {error}\nTry --help.");
            ExitCode::from(2)
        }
    }
}
