//! The sections of the configuration that name a plugin or set its options: what each plugin's `configure` checks.

use std::ffi::CStr;
use std::sync::{Arc, Mutex};

use httpd::apr::Pool;
use httpd::config::Directive;
use httpd::log::Subject;
use httpd::server::{Server, ServerId};

use crate::configuration::config::Config;
use crate::configuration::options::Options;
use crate::lock::lock;
use crate::log::{self, Level, Tag};
use crate::plugin::Plugin;
use crate::websocket_module;

/// One section, or what stands outside all of them at a server's scope.
pub struct Section {
    server: ServerId,
    /// File and line of its first directive.
    place: String,
    settings: Mutex<Settings>,
}

#[derive(Default)]
struct Settings {
    plugin: Option<Arc<Plugin>>,
    options: Options,
}

/// The sections of one configuration, in their order.
type Sections = Mutex<Vec<Arc<Section>>>;
const SECTIONS: &CStr = c"mod_websocket.sections";

impl Section {
    /// The section that a directive stands in, whose configuration is `config`.
    pub fn of<'c>(directive: &Directive<'_>, config: &'c mut Config) -> &'c Section {
        config.section.get_or_insert_with(|| {
            let section = Arc::new(Section {
                server: directive.server().id(),
                place: directive.place(),
                settings: Mutex::default(),
            });
            let sections: &Sections = directive.pool().kept(SECTIONS, Sections::default);
            lock(sections).push(Arc::clone(&section));
            section
        })
    }

    /// `WebSocketHandler`.
    pub fn set_plugin(&self, plugin: &Arc<Plugin>) {
        lock(&self.settings).plugin = Some(Arc::clone(plugin));
    }

    /// `WebSocketPluginOption`.
    pub fn set_option(&self, name: &CStr, value: &CStr) {
        lock(&self.settings)
            .options
            .set(name.to_owned(), value.to_owned());
    }

    /// Has the section's plugin check its options, those of the server around it included.
    fn check(&self, server: Option<&Config>) -> Result<(), String> {
        let settings = lock(&self.settings);
        let inherited = server.and_then(Config::plugin);
        let Some(plugin) = settings.plugin.as_ref().or(inherited) else {
            return Ok(());
        };
        let options = match server {
            Some(server) => settings.options.within(&server.plugin_options()),
            None => settings.options.clone(),
        };
        // SAFETY: httpd checks its configuration on the parent's only thread.
        unsafe { plugin.configure(options.iter()) }
    }
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
        let server = servers.find(|server| server.id() == section.server);
        let config = server.and_then(|server| server.config::<Config>(&websocket_module));
        if let Err(defect) = section.check(config) {
            are_good = false;
            let subject = Subject::Server(server.unwrap_or(main));
            log::log(&subject, Level::Error, Tag::OptionRefused, || {
                format!(
                    "{}: the plugin refuses its options: {defect}",
                    section.place
                )
            });
        }
    }
    are_good
}
