//! A section of the configuration that names a plugin or sets its options: what that plugin's `configure` checks.

use std::ffi::{CStr, CString};
use std::sync::{Arc, Mutex};

use httpd::config::Directive;
use httpd::server::ServerId;

use crate::lock::lock;
use crate::plugin::{Options, Plugin};

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

impl Section {
    /// The section that `directive`, its first, stands in.
    pub fn new(directive: &Directive<'_>) -> Self {
        Section {
            server: directive.server().id(),
            place: directive.place(),
            settings: Mutex::default(),
        }
    }

    /// The virtual host that it stands in.
    pub fn server(&self) -> ServerId {
        self.server
    }

    /// File and line of its first directive.
    pub fn place(&self) -> &str {
        &self.place
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

    /// The names of the options that it sets for a plugin, if it names that one.
    pub fn options_for(&self, plugin: &Plugin) -> Vec<CString> {
        let settings = lock(&self.settings);
        let is_its = |own: &Arc<Plugin>| std::ptr::eq(&**own, plugin);
        match settings.plugin.as_ref().is_some_and(is_its) {
            true => settings
                .options
                .iter()
                .map(|(name, _)| name.to_owned())
                .collect(),
            false => Vec::new(),
        }
    }

    /// Has the section's plugin, or else the one of the server around it, check its options, those of that server
    /// included.
    pub fn check(&self, outer: Option<(Option<&Arc<Plugin>>, &Options)>) -> Result<(), String> {
        let settings = lock(&self.settings);
        let inherited = outer.and_then(|(plugin, _)| plugin);
        let Some(plugin) = settings.plugin.as_ref().or(inherited) else {
            return Ok(());
        };
        let options = match outer {
            Some((_, outer)) => settings.options.within(outer),
            None => settings.options.clone(),
        };
        // SAFETY: httpd checks its configuration on the parent's only thread.
        unsafe { plugin.configure(options.iter()) }
    }
}
