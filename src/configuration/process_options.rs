//! `WebSocketProcessOption`: the options of one plugin for the whole process, which no other plugin sees.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::sync::Mutex;

use httpd::apr::Pool;
use httpd::config::Directive;
use httpd::log::Subject;
use httpd::server::Server;

use crate::configuration::config::Config;
use crate::configuration::sections;
use crate::lock::lock;
use crate::log::{self, Level, Tag};
use crate::plugin::{self, Options, Plugin};
use crate::symbol::websocket_module;

/// What one configuration says, by init function.
type ProcessOptions = Mutex<BTreeMap<String, Group>>;
const PROCESS_OPTIONS: &CStr = c"mod_websocket.process_options";

#[derive(Default)]
struct Group {
    options: Options,
    /// File and line of the first.
    place: String,
}

/// Sets an option.
pub fn set(directive: &Directive<'_>, init: &str, name: CString, value: CString) {
    let all: &ProcessOptions = directive
        .pool()
        .kept(PROCESS_OPTIONS, ProcessOptions::default);
    let mut all = lock(all);
    let group = all.entry(init.to_owned()).or_insert_with(|| Group {
        options: Options::default(),
        place: directive.place(),
    });
    group.options.set(name, value);
}

/// Has each plugin check its options for the process, and logs what is wrong. Says whether all is well.
pub fn check_all(pool: Pool<'_>, main: Server<'_>) -> bool {
    let Some(all) = pool.find::<ProcessOptions>(PROCESS_OPTIONS) else {
        return true;
    };
    let plugins = plugin::all_loaded(pool);
    let mut are_good = true;
    for (init, group) in lock(all).iter() {
        let mut is_read = false;
        for plugin in plugins.iter().filter(|plugin| plugin.init() == init) {
            is_read = true;
            let options = with_shared(group.options.clone(), main);
            // SAFETY: httpd checks its configuration on the parent's only thread.
            if let Err(defect) = unsafe { plugin.configure(options.iter()) } {
                are_good = false;
                log::log(
                    &Subject::Server(main),
                    Level::Error,
                    Tag::OptionRefused,
                    || {
                        let place = &group.place;
                        format!("{place}: the plugin refuses its options for the process: {defect}")
                    },
                );
            }
        }
        if !is_read {
            log::log(
                &Subject::Server(main),
                Level::Warn,
                Tag::OptionUnread,
                || {
                    let place = &group.place;
                    format!(
                        "{place}: WebSocketProcessOption is for {init}, which no WebSocketHandler names"
                    )
                },
            );
        }
    }
    are_good
}

/// The options that a plugin has in a process, and those that it has in sections only, with their places.
pub fn of(main: Server<'_>, plugin: &Plugin) -> (Options, Vec<(CString, String)>) {
    let pool = main.config_pool();
    let own = pool
        .find::<ProcessOptions>(PROCESS_OPTIONS)
        .and_then(|all| {
            let all = lock(all);
            all.get(plugin.init()).map(|group| group.options.clone())
        });
    let options = with_shared(own.unwrap_or_default(), main);
    (options, sections::options_of(pool, plugin))
}

/// These, and those that stand outside of all sections for every plugin.
fn with_shared(options: Options, main: Server<'_>) -> Options {
    match main.config::<Config>(&websocket_module) {
        Some(config) => options.within(&config.plugin_options()),
        None => options,
    }
}
