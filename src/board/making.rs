//! The board, in the parent: made when the server starts, kept through every reload, told of children that have ended.

use std::ffi::CStr;

use figures::{Board, Layout};
use httpd::log::Subject;
use httpd::random::random;
use httpd::server::Server;
use httpd::{mpm, shared_memory};

use super::death;
use crate::log::{self, Level, Tag};
use crate::version;

const NAME: &CStr = c"mod_websocket.board";
/// Slots, at least and at most.
const SLOTS: std::ops::RangeInclusive<usize> = 16..=4096;
/// Entries of a child whose connections hold no thread.
pub const MANY_ENTRIES: usize = 1 << 16;
/// Threads of a child that can be seen calling a plugin at once, at least and at most.
const THREADS: std::ops::RangeInclusive<usize> = 16..=4096;
/// What the board may take of a process's addresses, in words: 12 GiB. Memory it takes when it is used.
const MOST_WORDS: usize = 3 << 29;
/// Fewer entries are worth no try.
const FEW_ENTRIES: usize = 64;

/// Makes the board, in the parent, unless there is one. One that another build of the module has made, in another form,
/// is replaced.
pub fn make(server: Server<'_>) {
    let before = shared_memory::find(server, NAME);
    if let Some(board) = before.and_then(Board::find) {
        board.set_build(version::build());
        return;
    }
    let server_limit = mpm::server_limit().unwrap_or_default();
    let entries = match mpm::is_async() {
        true => MANY_ENTRIES,
        // One for each thread, and some whose thread is at the next connection already.
        false => 2 * mpm::thread_limit().unwrap_or_default().max(2),
    };
    let mut layout = Layout {
        // Those of children that are gone are free only when a new child takes them.
        slots: (2 * server_limit).clamp(*SLOTS.start(), *SLOTS.end()),
        entries,
        // Those of the MPM, and as many of the reactor.
        threads: (2 * mpm::thread_limit().unwrap_or_default())
            .clamp(*THREADS.start(), *THREADS.end()),
    };
    let warn = |tag: Tag, text: String| {
        log::log(&Subject::Server(server), Level::Warn, tag, || text);
    };
    if before.is_some() {
        warn(
            Tag::FiguresAnew,
            "this build of the module keeps the figures in another form: they begin anew, and WebSockets that are \
             draining are neither listed nor counted"
                .to_owned(),
        );
    }
    let mut refusal = None;
    loop {
        let words = match layout.words() > MOST_WORDS {
            true => Err(std::io::Error::other(
                "more than 12 GiB for all children that ServerLimit allows",
            )),
            // SAFETY: this is post_config, in the parent, and what was found above is not used any more.
            false => unsafe { shared_memory::make(server, NAME, layout.words()) },
        };
        match words {
            Ok(words) => {
                if let Some(board) = Board::new(words, layout, random()) {
                    board.set_build(version::build());
                }
                if let Some(refusal) = refusal {
                    warn(
                        Tag::NoFigures,
                        format!(
                            "shared memory for {} WebSockets in each child: more are neither listed nor counted for \
                             WebSocketMaxConnectionsPerClient. More was refused: {refusal}",
                            layout.entries
                        ),
                    );
                }
                return;
            }
            Err(error) if layout.entries > FEW_ENTRIES => {
                refusal = Some(format!("{} bytes: {error}", 8 * layout.words()));
                layout.entries /= 2;
            }
            Err(error) => {
                warn(
                    Tag::NoFigures,
                    format!(
                        "no shared memory, so that no child sees the figures of another: {error}"
                    ),
                );
                return;
            }
        }
    }
}

/// A child has ended; called in the parent. What its clients had with it no longer counts, and if it was not told to end, it
/// is said what was lost.
pub fn ended(server: Server<'_>, pid: u32) {
    if let Some(board) = find(server)
        && let Some(death) = board.ended(pid)
    {
        death::tell(server, board, &death);
    }
}

/// The board, if there is one.
pub fn find(server: Server<'_>) -> Option<Board<'static>> {
    shared_memory::find(server, NAME).and_then(Board::find)
}
