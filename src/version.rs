//! Which module this is: a version for people, and what tells one build of it from another.

use std::sync::OnceLock;

/// Name and version, in one piece for whoever looks for it in the file.
pub const BANNER: &str = concat!("mod_websocket/", env!("CARGO_PKG_VERSION"));
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// This build, once the parent has found out; its children inherit it.
static BUILD: OnceLock<String> = OnceLock::new();

/// The file that was loaded has this digest, as far as that could be read.
pub fn set_digest(digest: Option<u64>) {
    let digest = digest.map_or_else(
        || "unknown".to_owned(),
        |digest| format!("{:08x}", digest >> 32),
    );
    let _ = BUILD.set(format!("{VERSION} {digest}"));
}

/// What tells this build from others of its version.
pub fn digest() -> &'static str {
    build()
        .split_once(' ')
        .map_or("unknown", |(_, digest)| digest)
}

/// Version and digest, as in `0.1.0 1a2b3c4d`.
pub fn build() -> &'static str {
    BUILD.get().map_or(VERSION, String::as_str)
}
