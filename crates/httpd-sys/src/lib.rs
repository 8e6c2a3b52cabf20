//! Raw bindings of Apache httpd 2.4 and APR, made at build time from the installed headers.
//!
//! Nothing here is safe; [`port`] has by hand what bindgen cannot see: macros, each beside its `#define`.
//! The safe face is the crate `httpd`.

#[allow(
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unnecessary_transmutes,
    unsafe_op_in_unsafe_fn,
    clippy::all,
    clippy::missing_safety_doc,
    clippy::undocumented_unsafe_blocks
)]
mod bindings {
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}

pub mod port;

pub use bindings::*;
