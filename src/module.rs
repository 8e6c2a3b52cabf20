//! What httpd is told when it loads the module: hooks, and what happens at their time.

use httpd::apr::Pool;
use httpd::hook::{self, Handler};
use httpd::module::RegisterHooks;
use httpd::request::{HandlerResult, Request};

use crate::{handler, log};

/// The module's hooks.
pub struct Hooks;

impl RegisterHooks for Hooks {
    fn register(_pool: Pool<'_>) {
        httpd::guard::log_panics(log::panicked);
        hook::handler::<Hooks>();
    }
}

impl Handler for Hooks {
    fn handle(request: Request<'_>) -> HandlerResult {
        handler::handle(&request)
    }
}
