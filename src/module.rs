//! What httpd is told when it loads the module: hooks, and what happens at their time.

use httpd::apr::Pool;
use httpd::hook::{self, CheckConfig, ChildEnded, ChildInit, ChildStopping, Handler, PostConfig};
use httpd::log::Subject;
use httpd::module::RegisterHooks;
use httpd::request::{HandlerResult, Request};
use httpd::server::Server;
use httpd::suspension::suspend_connection;

use crate::child::Child;
use crate::configuration::{
    capacity, databases, handlers, message_memory, process_options, sections, topic_directives,
};
use crate::driver::event::EventDriver;
use crate::handshake::handler;
use crate::log::{Level, Tag};
use crate::symbol::websocket_module;
use crate::{board, log, plugin, publish, status, topics, version};

/// The module's hooks.
pub struct Hooks;

impl RegisterHooks for Hooks {
    fn register(_pool: Pool<'_>) {
        httpd::guard::log_panics(log::panicked);
        hook::handler::<Hooks>();
        hook::check_config::<Hooks>();
        hook::post_config::<Hooks>();
        hook::child_init::<Hooks>();
        hook::child_stopping::<Hooks>();
        hook::child_ended::<Hooks>();
        suspend_connection::<EventDriver>();
        httpd::dbd::stand_before();
        httpd::tls::remember_connections::<EventDriver>();
        httpd::upgraded::register_filters();
        httpd::upgraded::register_reserve();
        httpd::mod_status::status_page::<status::Section>();
    }
}

impl Handler for Hooks {
    fn handle(request: Request<'_>) -> HandlerResult {
        let handlers = [handler::handle, publish::handle, status::handle];
        handlers
            .into_iter()
            .map(|handle| handle(&request))
            .find(|result| *result != HandlerResult::Declined)
            .unwrap_or(HandlerResult::Declined)
    }
}

impl CheckConfig for Hooks {
    fn check_config(pool: Pool<'_>, server: Server<'_>) -> bool {
        if httpd::mpm::is_config_test() {
            handlers::check(server);
            databases::check(server);
        }
        // Both, so that each mistake is told.
        let are_sections_good = sections::check_all(pool, server);
        process_options::check_all(pool, server) && are_sections_good
    }
}

impl PostConfig for Hooks {
    fn post_config(pool: Pool<'_>, server: Server<'_>) -> bool {
        if !httpd::mpm::is_first_reading() {
            httpd::log::write_standard_error_at_once();
            version::set_digest(plugin::digest_of((&raw const websocket_module).cast()));
            log::log(&Subject::Server(server), Level::Notice, Tag::Loaded, || {
                format!(
                    "{} (build {}) is loaded",
                    version::BANNER,
                    version::digest()
                )
            });
            handlers::check(server);
            databases::check(server);
            board::make(server);
            topics::memory::make(server);
            topics::places::note(pool);
            if !plugin::all_loaded(pool).is_empty() || topic_directives::are_wanted() {
                capacity::prepare(server);
                message_memory::check(server);
            }
        }
        true
    }
}

impl ChildInit for Hooks {
    fn child_init(pool: Pool<'static>, server: Server<'static>) {
        httpd::log::write_standard_error_at_once();
        Child::start(pool, server);
    }
}

impl ChildStopping for Hooks {
    fn child_stopping(is_graceful: bool) {
        if let Some(child) = Child::current() {
            child.drain(is_graceful);
        }
    }
}

impl ChildEnded for Hooks {
    fn child_ended(server: Server<'_>, pid: u32) {
        board::ended(server, pid);
        topics::memory::ended(server);
    }
}
