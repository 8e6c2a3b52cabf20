//! The sections of one configuration, in their order.

use std::ffi::{CStr, CString};
use std::sync::{Arc, Mutex};

use httpd::apr::Pool;
use httpd::config::Directive;
use httpd::log::Subject;
use httpd::server::Server;

use crate::configuration::config::Config;
use crate::configuration::section::Section;
use crate::lock::lock;
use crate::log::{self, Level, Tag};
use crate::plugin::Plugin;
use crate::symbol::websocket_module;

type Sections = Mutex<Vec<Arc<Section>>>;
const SECTIONS: &CStr = c"mod_websocket.sections";

/// The section that a directive stands in, whose configuration is `config`.
pub fn section_of<'c>(directive: &Directive<'_>, config: &'c mut Config) -> &'c Section {
    config.section.get_or_insert_with(|| {
        let section = Arc::new(Section::new(directive));
        let sections: &Sections = directive.pool().kept(SECTIONS, Sections::default);
        lock(sections).push(Arc::clone(&section));
        section
    })
}

/// The options that sections set for a plugin, with their places.
pub fn options_of(pool: Pool<'_>, plugin: &Plugin) -> Vec<(CString, String)> {
    let sections = pool.find::<Sections>(SECTIONS).map(lock);
    let mut found = Vec::new();
    for section in sections.iter().flat_map(|sections| sections.iter()) {
        let names = section.options_for(plugin).into_iter();
        found.extend(names.map(|name| (name, section.place().to_owned())));
    }
    found
}

/// Has each plugin check the options of each section, and logs what is wrong; `pool` is the configuration's, and
/// `main` its main server. Says whether all is well.
pub fn check_all(pool: Pool<'_>, main: Server<'_>) -> bool {
    let Some(sections) = pool.find::<Sections>(SECTIONS) else {
        return true;
    };
    let mut are_good = true;
    for section in lock(sections).iter() {
        let mut servers = main.and_virtual_hosts();
        let server = servers.find(|server| server.id() == section.server());
        let config = server.and_then(|server| server.config::<Config>(&websocket_module));
        let options = config.map(Config::plugin_options).unwrap_or_default();
        let outer = config.map(|config| (config.plugin(), &*options));
        if let Err(defect) = section.check(outer) {
            are_good = false;
            let subject = Subject::Server(server.unwrap_or(main));
            log::log(&subject, Level::Error, Tag::OptionRefused, || {
                format!(
                    "{}: the plugin refuses its options: {defect}",
                    section.place()
                )
            });
        }
    }
    are_good
}
