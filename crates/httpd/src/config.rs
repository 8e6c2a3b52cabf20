//! Per-directory configuration and the directives that fill it.

use std::ffi::{CStr, c_char, c_int, c_void};

use httpd_sys as sys;

use crate::apr::Pool;
use crate::guard::guard;
use crate::server::Server;

/// A module's per-directory configuration: one value for each `<Location>`, `<Directory>` and server scope,
/// merged from the outside in.
pub trait DirConfig: Sized + 'static {
    /// What a scope has before any directive: every field unset.
    fn create() -> Self;
    /// `add` where it is set, `base` elsewhere. Called for each request, unless one of them has had no directive.
    fn merge(base: &Self, add: &Self) -> Self;
}

/// A configuration as httpd has it. Whoever only reads it takes a pointer to it for one to the first field.
#[repr(C)]
struct Scope<C> {
    config: C,
    /// A directive has been seen, of this scope or of one that is merged into it.
    is_set: bool,
}

impl<C: DirConfig> Scope<C> {
    /// Gives it to a pool, for httpd.
    fn into_pool(self, pool: Pool<'_>) -> *mut c_void {
        pool.own(self).as_ptr().cast()
    }
}

/// Where a directive may stand.
#[derive(Clone, Copy)]
pub enum Context {
    /// Server config, virtual host and directory sections, not `.htaccess`.
    Configuration,
    /// Those, and `.htaccess` where `AllowOverride AuthConfig` lets it.
    ConfigurationAndHtaccess,
}

/// A pointer that is never read: the type of `cmd_data`.
const NO_DATA: *mut c_void = std::ptr::null_mut();

/// One row of a module's command table.
#[repr(transparent)]
pub struct Command(sys::command_rec);

// SAFETY: a command_rec is static data: function pointers, strings and flags that nobody writes.
unsafe impl Sync for Command {}

impl Command {
    /// The end of a command table.
    pub const END: Command = Command(sys::command_rec {
        name: std::ptr::null(),
        func: sys::cmd_func { no_args: None },
        cmd_data: NO_DATA,
        req_override: 0,
        args_how: sys::cmd_how_RAW_ARGS,
        errmsg: std::ptr::null(),
    });

    /// A directive with one argument.
    pub const fn take1<D: Take1>(
        name: &'static CStr,
        context: Context,
        help: &'static CStr,
    ) -> Self {
        let func = sys::cmd_func {
            take1: Some(take1::<D>),
        };
        Self::new(name, func, sys::cmd_how_TAKE1, context, help)
    }

    /// A directive with two arguments.
    pub const fn take2<D: Take2>(
        name: &'static CStr,
        context: Context,
        help: &'static CStr,
    ) -> Self {
        let func = sys::cmd_func {
            take2: Some(take2::<D>),
        };
        Self::new(name, func, sys::cmd_how_TAKE2, context, help)
    }

    /// A directive with three arguments.
    pub const fn take3<D: Take3>(
        name: &'static CStr,
        context: Context,
        help: &'static CStr,
    ) -> Self {
        let func = sys::cmd_func {
            take3: Some(take3::<D>),
        };
        Self::new(name, func, sys::cmd_how_TAKE3, context, help)
    }

    /// A directive with one or two arguments.
    pub const fn take12<D: Take12>(
        name: &'static CStr,
        context: Context,
        help: &'static CStr,
    ) -> Self {
        let func = sys::cmd_func {
            take2: Some(take12::<D>),
        };
        Self::new(name, func, sys::cmd_how_TAKE12, context, help)
    }

    /// A directive that is called once for each of its one or more arguments.
    pub const fn iterate<D: Take1>(
        name: &'static CStr,
        context: Context,
        help: &'static CStr,
    ) -> Self {
        let func = sys::cmd_func {
            take1: Some(take1::<D>),
        };
        Self::new(name, func, sys::cmd_how_ITERATE, context, help)
    }

    /// A directive that is On or Off.
    pub const fn flag<D: Flag>(name: &'static CStr, context: Context, help: &'static CStr) -> Self {
        let func = sys::cmd_func {
            flag: Some(flag::<D>),
        };
        Self::new(name, func, sys::cmd_how_FLAG, context, help)
    }

    const fn new(
        name: &'static CStr,
        func: sys::cmd_func,
        args_how: sys::cmd_how,
        context: Context,
        help: &'static CStr,
    ) -> Self {
        let req_override = match context {
            Context::Configuration => sys::RSRC_CONF | sys::ACCESS_CONF,
            Context::ConfigurationAndHtaccess => sys::RSRC_CONF | sys::OR_AUTHCFG,
        };
        Command(sys::command_rec {
            name: name.as_ptr(),
            func,
            cmd_data: NO_DATA,
            req_override: req_override as c_int,
            args_how,
            errmsg: help.as_ptr(),
        })
    }
}

/// The parser of a directive with one argument.
pub trait Take1 {
    /// The configuration that it fills.
    type Config: DirConfig;
    /// Stores the argument; an error is what `httpd -t` says after the directive's name.
    fn set(directive: &Directive<'_>, config: &mut Self::Config, value: &str)
    -> Result<(), String>;
}

/// The parser of a directive with two arguments.
pub trait Take2 {
    /// The configuration that it fills.
    type Config: DirConfig;
    /// Stores the arguments; an error is what `httpd -t` says after the directive's name.
    fn set(
        directive: &Directive<'_>,
        config: &mut Self::Config,
        first: &str,
        second: &str,
    ) -> Result<(), String>;
}

/// The parser of a directive with three arguments.
pub trait Take3 {
    /// The configuration that it fills.
    type Config: DirConfig;
    /// As [`Take2::set`].
    fn set(
        directive: &Directive<'_>,
        config: &mut Self::Config,
        first: &str,
        second: &str,
        third: &str,
    ) -> Result<(), String>;
}

/// The parser of a directive with one or two arguments.
pub trait Take12 {
    /// The configuration that it fills.
    type Config: DirConfig;
    /// Stores the arguments; an error is what `httpd -t` says after the directive's name.
    fn set(
        directive: &Directive<'_>,
        config: &mut Self::Config,
        first: &str,
        second: Option<&str>,
    ) -> Result<(), String>;
}

/// The parser of a directive that is On or Off.
pub trait Flag {
    /// The configuration that it fills.
    type Config: DirConfig;
    /// Stores the argument; an error is what `httpd -t` says after the directive's name.
    fn set(directive: &Directive<'_>, config: &mut Self::Config, on: bool) -> Result<(), String>;
}

/// A directive as it stands in the configuration.
pub struct Directive<'c> {
    parms: &'c sys::cmd_parms,
}

impl<'c> Directive<'c> {
    /// The pool of the configuration: it goes when the configuration is read anew or the server ends.
    pub fn pool(&self) -> Pool<'c> {
        // SAFETY: httpd's cmd_parms hold the configuration's pool.
        unsafe { Pool::from_raw(self.parms.pool) }
    }

    pub(crate) fn as_raw(&self) -> *const sys::cmd_parms {
        self.parms
    }

    /// Whether it is read for one request, from an .htaccess file.
    pub fn is_in_htaccess(&self) -> bool {
        // SAFETY: the directive's server and its process are live.
        self.parms.pool != unsafe { (*(*self.parms.server).process).pconf }
    }

    /// The directive's name, as the command table spells it.
    pub fn name(&self) -> &'c str {
        // SAFETY: the directive's command is a row of the module's own table.
        unsafe { CStr::from_ptr((*self.parms.cmd).name) }
            .to_str()
            .unwrap_or_default()
    }

    /// File and line, for a message.
    pub fn place(&self) -> String {
        // SAFETY: while a directive is processed, its place is in the tree node that httpd passes.
        unsafe {
            let file = CStr::from_ptr((*self.parms.directive).filename);
            format!(
                "{}:{}",
                file.to_string_lossy(),
                (*self.parms.directive).line_num
            )
        }
    }

    /// The path of the section that it stands in, as `<Location>` and its like name it; empty outside of all.
    pub fn section_path(&self) -> String {
        // SAFETY: the path is NULL or a terminated string of the configuration.
        lossy(unsafe { text(self.parms.path) })
    }

    /// A path below ServerRoot when it is relative (`ap_server_root_relative`).
    pub fn server_root_relative(&self, path: &str) -> String {
        let path = self.pool().strdup(path);
        // SAFETY: pool and path are live; NULL says that the path makes no sense.
        unsafe {
            let full = sys::ap_server_root_relative(self.parms.pool, path.as_ptr());
            if full.is_null() {
                path
            } else {
                CStr::from_ptr(full)
            }
        }
        .to_string_lossy()
        .into_owned()
    }

    /// An error when the directive stands anywhere but at the main server's scope: what it says counts for the
    /// whole process.
    pub fn require_global(&self) -> Result<(), String> {
        // SAFETY: the parms are httpd's; the answer is NULL or a string of the configuration's pool.
        let is_forbidden = unsafe {
            let parms = std::ptr::from_ref(self.parms).cast_mut();
            !sys::ap_check_cmd_context(parms, sys::GLOBAL_ONLY).is_null()
        };
        match is_forbidden {
            true => Err(
                "it counts for whole processes, so it belongs outside <VirtualHost>, \
                         <Location> and the like"
                    .to_owned(),
            ),
            false => Ok(()),
        }
    }

    /// The server that the directive configures.
    pub fn server(&self) -> Server<'c> {
        // SAFETY: httpd's cmd_parms name the server that is being configured.
        unsafe { Server::from_raw(self.parms.server) }
    }

    /// Runs a parser and makes its error httpd's: `Name: reason`, in the configuration's pool.
    fn run(&self, parse: impl FnOnce() -> Result<(), String>) -> *const c_char {
        let outcome = guard(Err("the module failed on it".to_owned()), parse);
        match outcome {
            Ok(()) => std::ptr::null(),
            Err(reason) => self
                .pool()
                .strdup(&format!("{}: {reason}", self.name()))
                .as_ptr(),
        }
    }
}

/// What httpd hands to a directive's function, made safe.
///
/// # Safety
/// `parms` and `config` are what httpd passes to a function of the module's command table, so that `config` is
/// what [`create_dir_config`] made.
unsafe fn arguments<'c, C>(
    parms: *mut sys::cmd_parms,
    config: *mut c_void,
) -> (Directive<'c>, &'c mut C) {
    // SAFETY: the caller's promise.
    unsafe {
        let scope = &mut *config.cast::<Scope<C>>();
        scope.is_set = true;
        (Directive { parms: &*parms }, &mut scope.config)
    }
}

/// # Safety
/// `text` is a terminated string that lives for `'t`, or NULL.
unsafe fn text<'t>(text: *const c_char) -> Option<&'t CStr> {
    // SAFETY: the caller's promise.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) })
}

unsafe extern "C" fn take1<D: Take1>(
    parms: *mut sys::cmd_parms,
    config: *mut c_void,
    value: *const c_char,
) -> *const c_char {
    // SAFETY: httpd calls it as its command table says.
    let ((directive, config), value) = unsafe { (arguments(parms, config), text(value)) };
    directive.run(|| D::set(&directive, config, &lossy(value)))
}

unsafe extern "C" fn take2<D: Take2>(
    parms: *mut sys::cmd_parms,
    config: *mut c_void,
    first: *const c_char,
    second: *const c_char,
) -> *const c_char {
    // SAFETY: httpd calls it as its command table says.
    let ((directive, config), first, second) =
        unsafe { (arguments(parms, config), text(first), text(second)) };
    directive.run(|| D::set(&directive, config, &lossy(first), &lossy(second)))
}

unsafe extern "C" fn take3<D: Take3>(
    parms: *mut sys::cmd_parms,
    config: *mut c_void,
    first: *const c_char,
    second: *const c_char,
    third: *const c_char,
) -> *const c_char {
    // SAFETY: httpd calls it as its command table says.
    let ((directive, config), first, second, third) = unsafe {
        (
            arguments(parms, config),
            text(first),
            text(second),
            text(third),
        )
    };
    directive.run(|| {
        D::set(
            &directive,
            config,
            &lossy(first),
            &lossy(second),
            &lossy(third),
        )
    })
}

unsafe extern "C" fn take12<D: Take12>(
    parms: *mut sys::cmd_parms,
    config: *mut c_void,
    first: *const c_char,
    second: *const c_char,
) -> *const c_char {
    // SAFETY: httpd calls it as its command table says; a missing argument is NULL.
    let ((directive, config), first, second) =
        unsafe { (arguments(parms, config), text(first), text(second)) };
    let second = second.map(|text| text.to_string_lossy().into_owned());
    directive.run(|| D::set(&directive, config, &lossy(first), second.as_deref()))
}

unsafe extern "C" fn flag<D: Flag>(
    parms: *mut sys::cmd_parms,
    config: *mut c_void,
    on: c_int,
) -> *const c_char {
    // SAFETY: httpd calls it as its command table says.
    let (directive, config) = unsafe { arguments(parms, config) };
    directive.run(|| D::set(&directive, config, on != 0))
}

fn lossy(text: Option<&CStr>) -> String {
    text.map(|text| text.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// The module's `create_dir_config`.
pub(crate) unsafe extern "C" fn create_dir_config<C: DirConfig>(
    pool: *mut sys::apr_pool_t,
    _dir: *mut c_char,
) -> *mut c_void {
    // SAFETY: httpd passes a live pool.
    let pool = unsafe { Pool::from_raw(pool) };
    guard(std::ptr::null_mut(), || {
        let scope = Scope {
            config: C::create(),
            is_set: false,
        };
        scope.into_pool(pool)
    })
}

/// The module's `merge_dir_config`.
pub(crate) unsafe extern "C" fn merge_dir_config<C: DirConfig>(
    pool: *mut sys::apr_pool_t,
    base: *mut c_void,
    add: *mut c_void,
) -> *mut c_void {
    // SAFETY: httpd passes a live pool and two values that create or merge made, and that live at least as long as
    // what is merged: the core's own configuration points into them, too.
    let (pool, outer, inner) = unsafe {
        (
            Pool::from_raw(pool),
            &*base.cast::<Scope<C>>(),
            &*add.cast::<Scope<C>>(),
        )
    };
    guard(std::ptr::null_mut(), || {
        match (outer.is_set, inner.is_set) {
            (false, _) => add,
            (true, false) => base,
            (true, true) => {
                let scope = Scope {
                    config: C::merge(&outer.config, &inner.config),
                    is_set: true,
                };
                scope.into_pool(pool)
            }
        }
    })
}

/// The arguments of a directive of whatever module, as the configuration has it at its outermost level; the last
/// one counts. For settings that have no other way to be asked for.
pub fn find_global_directive(name: &str) -> Option<String> {
    let mut found = None;
    // SAFETY: ap_conftree is the tree of the configuration that has been read; it is read only and lives as long as
    // that. Its strings are terminated.
    unsafe {
        let mut directive = sys::ap_conftree;
        while let Some(node) = directive.as_ref() {
            let is_it = CStr::from_ptr(node.directive)
                .to_bytes()
                .eq_ignore_ascii_case(name.as_bytes());
            if is_it && !node.args.is_null() {
                found = Some(CStr::from_ptr(node.args).to_string_lossy().into_owned());
            }
            directive = node.next;
        }
    }
    found
}

/// Whether a directive of whatever module stands anywhere in the configuration with this one argument.
pub fn has_directive(name: &str, argument: &str) -> bool {
    // SAFETY: as in `find_global_directive`; the tree has no circles.
    unsafe {
        let mut left = vec![sys::ap_conftree];
        while let Some(directive) = left.pop() {
            let Some(node) = directive.as_ref() else {
                continue;
            };
            let is_it = CStr::from_ptr(node.directive)
                .to_bytes()
                .eq_ignore_ascii_case(name.as_bytes());
            let has = |args: &CStr| args.to_string_lossy().trim_matches('"') == argument;
            if is_it && text(node.args).is_some_and(has) {
                return true;
            }
            left.extend([node.next, node.first_child]);
        }
    }
    false
}
