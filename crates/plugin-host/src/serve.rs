//! The life of the process: load, listen, watch the file, end.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::{Duration, Instant};

use reactor::{Reactor, SignalMask};
use server_functions::Level;
use session::sync::lock;
use session::{Buffers, Ending};
use signal_hook::consts::SIGTERM;
use websocket_proto::{CloseCode, MessageBudget};

use crate::command_line::Settings;
use crate::exchange::Exchange;
use crate::generation::Generation;
use crate::host::Host;
use crate::running::Running;
use crate::script::Script;
use crate::terminal::Terminal;
use crate::{handshake, player, signals};

/// How often the file is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How long connections may take to close; the closing handshake has 5 seconds.
const PATIENCE: Duration = Duration::from_secs(6);
/// What unfinished messages may take together, in bytes.
const MESSAGES: usize = 1 << 30;

/// Serves the plugin until a signal comes, or a script has been played.
pub fn serve(settings: Settings) -> Result<ExitCode, String> {
    let script = settings.script.as_deref().map(Script::read).transpose()?;
    let terminal = Arc::new(Terminal::new(settings.color, !settings.is_quiet));
    let running = Arc::<Running>::default();
    // The player is not waited for, and has nothing that must be closed.
    let signal = signals::listen(script.is_some(), &running, &terminal)?;
    // From here on threads get no signals, those of the plugin's included, as under httpd.
    let _mask = SignalMask::block();
    let seen = Seen::of(&settings.file);
    let exchange = Arc::<Exchange>::default();
    let generation = Generation::begin(&settings, &running, &terminal, &exchange)?;
    let port = match script {
        // Two that play at once must not meet.
        Some(_) => 0,
        None => settings.port,
    };
    let address = format!("{}:{port}", settings.address);
    let listener = TcpListener::bind(&address)
        .map_err(|error| format!("cannot listen on {address}: {error}"))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let fault = Arc::clone(&terminal);
    let reactor = Reactor::start(reactor::Config {
        name: "plugin".to_owned(),
        on_fault: Some(Box::new(move |text| fault.say(Level::Error, &text))),
        ..reactor::Config::default()
    });
    let host = Arc::new(Host {
        reactor: reactor.map_err(|error| format!("no threads: {error}"))?,
        buffers: Arc::new(Buffers::new(Arc::new(MessageBudget::new(MESSAGES)))),
        terminal,
        running,
        exchange,
        generation: Mutex::new(Some(generation)),
        earlier: Mutex::default(),
        numbers: AtomicU64::new(0),
        settings,
    });
    let accepting = Arc::clone(&host);
    thread::spawn(move || accept(&accepting, &listener));

    let code = match script {
        Some(script) => play(&host, &script, address),
        None => {
            let line = format_args!("ws://{address}/ is {}", host.settings.file.display());
            host.terminal.say(Level::Notice, &line);
            let number = watch(&host, &signal, seen);
            let line = format_args!(
                "{}: closes what is open, and ends; another one ends at once",
                signals::name(number)
            );
            host.terminal.say(Level::Notice, &line);
            ExitCode::SUCCESS
        }
    };
    end(&host);
    Ok(code)
}

fn accept(host: &Arc<Host>, listener: &TcpListener) {
    for socket in listener.incoming() {
        match socket {
            Ok(socket) => greet(host, socket),
            Err(error) => {
                let line = format_args!("cannot accept: {error}");
                host.terminal.say(Level::Error, &line);
                // Too many open files, mostly: some may be closed soon.
                thread::sleep(LOOK);
            }
        }
    }
}

fn greet(host: &Arc<Host>, socket: TcpStream) {
    // Frames are small, and somebody waits for each of them.
    let _ = socket.set_nodelay(true);
    let host = Arc::clone(host);
    thread::spawn(move || handshake::serve(&host, socket));
}

fn play(host: &Host, script: &Script, address: std::net::SocketAddr) -> ExitCode {
    match player::play(script, address) {
        Ok(()) => {
            host.terminal.say(
                Level::Notice,
                &format_args!("{} is played as it says", script.name),
            );
            ExitCode::SUCCESS
        }
        Err(failure) => {
            host.terminal.say(Level::Error, &failure);
            ExitCode::FAILURE
        }
    }
}

/// Waits for a signal, and says which; looks at the file meanwhile, when that is wanted.
fn watch(host: &Host, signal: &mpsc::Receiver<i32>, mut loaded: Option<Seen>) -> i32 {
    let mut before = loaded;
    loop {
        if !host.settings.is_watched {
            // An error: the thread that hears signals has gone, and nothing can end this but a kill.
            return signal.recv().unwrap_or(SIGTERM);
        }
        match signal.recv_timeout(LOOK) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(number) => return number,
            Err(RecvTimeoutError::Disconnected) => return SIGTERM,
        }
        let now = Seen::of(&host.settings.file);
        // Two looks the same: a compiler may still be writing.
        if now.is_some() && now != loaded && now == before {
            loaded = now;
            reload(host);
        }
        before = now;
    }
}

/// Takes the new file, if it is any good; the old one goes on until then.
fn reload(host: &Host) {
    match Generation::begin(
        &host.settings,
        &host.running,
        &host.terminal,
        &host.exchange,
    ) {
        Ok(new) => {
            let old = lock(&host.generation).replace(new);
            host.terminal.say(Level::Notice, &"the new file is loaded");
            if let Some(old) = old {
                let mut earlier = lock(&host.earlier);
                earlier.retain(|generation| generation.strong_count() > 0);
                earlier.push(Arc::downgrade(&old));
                drop(earlier);
                old.close(CloseCode::SERVICE_RESTART);
            }
        }
        Err(error) => {
            let line = format_args!("the new file is not taken, the old one goes on: {error}");
            host.terminal.say(Level::Error, &line);
        }
    }
}

/// Closes what is open, and gives every callback that is due.
fn end(host: &Host) {
    let earlier = std::mem::take(&mut *lock(&host.earlier));
    let mut generations: Vec<_> = earlier.iter().filter_map(Weak::upgrade).collect();
    generations.extend(lock(&host.generation).take());
    for generation in &generations {
        generation.close(CloseCode::GOING_AWAY);
    }
    let deadline = Instant::now() + PATIENCE;
    for generation in &generations {
        generation.wait(deadline);
    }
    // The reactor drops its drivers when it stops, and they the connections: both are still needed.
    let open: Vec<_> = generations.iter().flat_map(|one| one.open()).collect();
    let drivers: Vec<_> = open.iter().map(|connection| connection.driver()).collect();
    for connection in &open {
        // A thread that is blocked in `send` would be waited for in vain.
        connection.session().stop_sending();
    }
    host.exchange.stop();
    host.reactor.stop();
    for connection in &open {
        // There are no more turns.
        connection.session().give_up(Ending::ChildStopped);
    }
    // child_stop and destroy come with a generation's last owner, which is one of these.
    drop((drivers, open, generations));
}

/// What tells one version of a file from another.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Seen {
    fn of(file: &Path) -> Option<Self> {
        let metadata: io::Result<_> = std::fs::metadata(file);
        let metadata = metadata.ok()?;
        Some(Seen {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}
