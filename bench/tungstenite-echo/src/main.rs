//! A WebSocket echo server on tokio-tungstenite with its defaults, on two runtime threads:
//! `tungstenite-echo PORT`.

use std::{env, error::Error, net::Ipv4Addr};

use futures_util::{StreamExt, TryStreamExt, future};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime,
};

fn main() -> Result<(), Box<dyn Error>> {
    let port = env::args()
        .nth(1)
        .ok_or("usage: tungstenite-echo PORT")?
        .parse()?;
    runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_io()
        .build()?
        .block_on(serve(port))
}

async fn serve(port: u16) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        // How a connection ends is its own affair.
        tokio::spawn(async move { echo(stream).await.ok() });
    }
}

async fn echo(stream: TcpStream) -> Result<(), Box<dyn Error + Send + Sync>> {
    stream.set_nodelay(true)?;
    let (write, read) = tokio_tungstenite::accept_async(stream).await?.split();
    read.try_filter(|message| future::ready(message.is_text() || message.is_binary()))
        .forward(write)
        .await?;
    Ok(())
}
