//! A bare TCP echo, the floor under every echo server here: `tcp-echo PORT`.

use std::{env, error::Error, io};

use bench::server::{self, Protocol};

fn main() -> Result<(), Box<dyn Error>> {
    let port = env::args()
        .nth(1)
        .ok_or("usage: tcp-echo PORT")?
        .parse::<u16>()?;
    Ok(server::serve(port, Bytes)?)
}

struct Bytes;

impl Protocol for Bytes {
    type State = ();

    fn answer<'a>(&'a mut self, _: &mut (), input: &'a mut [u8]) -> io::Result<&'a [u8]> {
        Ok(input)
    }
}
