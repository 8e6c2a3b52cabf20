//! Where the log is: in memory that the parent makes and keeps through every reload, so that children of all generations
//! have the same.

use std::ffi::CStr;
use std::num::NonZeroU64;

use httpd::log::Subject;
use httpd::random::random;
use httpd::server::Server;
use httpd::{mpm, process, shared_memory};
use topics::{Epoch, Futex, Layout, Log, Owner, Sweeping};

use crate::configuration::config::Config;
use crate::log::{self, Level, Tag};
use crate::symbol::websocket_module;

const NAME: &CStr = c"mod_websocket.topics";
/// How many topics are known at once.
const TOPICS: usize = 10_000;
/// Children, at least and at most.
const SEATS: std::ops::RangeInclusive<usize> = 16..=4096;

/// The child's.
static SWEEPING: Sweeping = Sweeping::new();

/// Makes the log, in the parent, unless there is one. One that another build of the module has made, in another form, is
/// replaced.
pub fn make(server: Server<'_>) {
    let config = server.config::<Config>(&websocket_module);
    let wanted = config.cloned().unwrap_or_default().topic_memory();
    let warn = |tag: Tag, text: String| {
        log::log(&Subject::Server(server), Level::Warn, tag, || text);
    };
    let before = shared_memory::find(server, NAME);
    if let Some(log) = before.and_then(Log::find) {
        let has = log.layout().ring;
        if has != wanted {
            warn(
                Tag::TopicsKept,
                format!(
                    "the messages of topics keep the {has} bytes that they have: WebSocketTopicMemory {wanted} counts \
                     from the next start of the server on, not from a reload"
                ),
            );
        }
        return;
    }
    if before.is_some() {
        warn(
            Tag::TopicsKept,
            "this build of the module keeps topics in another form: their messages begin anew, and WebSockets that are \
             draining get no more"
                .to_owned(),
        );
    }
    let server_limit = mpm::server_limit().unwrap_or_default();
    let layout = Layout {
        ring: wanted,
        topics: TOPICS,
        // Those of children that are gone may be free late.
        seats: (2 * server_limit).clamp(*SEATS.start(), *SEATS.end()),
    };
    let words = layout.words().unwrap_or(usize::MAX);
    // SAFETY: this is post_config, in the parent, and what was found above is not used any more.
    let made = unsafe { shared_memory::make(server, NAME, words) };
    let made = made.map_err(|error| error.to_string()).and_then(|words| {
        let epoch = Epoch(NonZeroU64::new(random()).unwrap_or(NonZeroU64::MIN));
        Log::new(words, layout, epoch, [random(), random()]).map_err(|error| error.to_string())
    });
    if let Err(error) = made {
        warn(
            Tag::NoTopics,
            format!("no shared memory for topics, so that nothing can be published: {error}"),
        );
    }
}

/// The log, if there is one.
pub fn find(server: Server<'_>) -> Option<Log<'static>> {
    shared_memory::find(server, NAME).and_then(Log::find)
}

/// A child has ended; called in the parent, which may be root's, and takes no lock that a child could have spoilt: the others see
/// to it that its subscribers count no more, and its members have left ([`settle`]).
pub fn ended(server: Server<'_>) {
    if let Some(log) = find(server) {
        log.note_death();
        log.ring(&Futex);
    }
}

/// What a child does before it uses the log, and when it is woken: it sweeps for those who have died since it last did.
pub fn settle(log: &Log<'_>) {
    SWEEPING.settle(log, is_alive, &Futex);
}

/// This process, as the log names it: its number, and when it has started.
pub fn this() -> Owner {
    let (pid, started) = process::this();
    let owner = u64::from(pid) << 32 | u64::from(started);
    Owner(NonZeroU64::new(owner).unwrap_or(NonZeroU64::MIN))
}

/// Whether a process that has a seat still lives.
pub fn is_alive(owner: Owner) -> bool {
    let owner = owner.0.get();
    process::is_alive((owner >> 32) as u32, owner as u32)
}

/// The number of a process that has a seat.
pub fn pid(owner: Owner) -> u32 {
    (owner.0.get() >> 32) as u32
}
