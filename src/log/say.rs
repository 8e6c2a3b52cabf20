//! Writes a line: by way of the scribe where there is one.

use httpd::apr::Status;
use httpd::log::{Level, Subject};
use httpd::pen::Line;

use super::line::About;
use super::scribe;
use super::tag::Tag;
use crate::symbol::websocket_module;

/// Logs one line. `text` is made only when LogLevel lets it through.
pub fn log(subject: &Subject<'_>, level: Level, tag: Tag, text: impl FnOnce() -> String) {
    let text = || format!("{tag}: {}{}", About(subject), text());
    match subject {
        // httpd's own thread, which a log that hangs holds up, as it does for every request.
        Subject::Request(_) | Subject::Process => {
            httpd::log::log(&websocket_module, subject, level, Status::SUCCESS, text);
        }
        Subject::Upgraded(_) | Subject::Server(_) if scribe::is_there() => {
            if let Some(line) = Line::new(&websocket_module, subject, level, Status::SUCCESS, text)
            {
                scribe::write(line);
            }
        }
        Subject::Upgraded(_) | Subject::Server(_) => {
            httpd::log::log(&websocket_module, subject, level, Status::SUCCESS, text);
        }
    }
}

/// The module's own panics, from [`httpd::guard::log_panics`].
pub fn panicked(text: &str) {
    let subject = httpd::server::Server::main().map_or(Subject::Process, Subject::Server);
    log(&subject, Level::Crit, Tag::ModulePanicked, || {
        format!("the module panicked: {text}")
    });
}

/// How much a plugin's line matters, in httpd's words.
pub fn of_plugin(level: server_functions::Level) -> Level {
    use server_functions::Level as Plugins;
    match level {
        Plugins::Error => Level::Error,
        Plugins::Warning => Level::Warn,
        Plugins::Notice => Level::Notice,
        Plugins::Info => Level::Info,
        Plugins::Debug => Level::Debug,
        Plugins::Trace => Level::Trace1,
    }
}
