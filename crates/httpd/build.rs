//! Turns the module magic number of the installed httpd into `cfg`s, one for each API that is younger than
//! the oldest httpd that we build for.

fn main() {
    let minor: u32 = std::env::var("DEP_HTTPD_MMN_MINOR")
        .ok()
        .and_then(|minor| minor.parse().ok())
        .expect("httpd-sys says which module magic number it saw");
    gate("has_ssl_var_lookup", minor, 102);
    gate("has_child_stopping", minor, 110);
    gate("has_thread_current", minor, 123);
}

/// `cfg(name)` from the minor number that the API came with.
fn gate(name: &str, minor: u32, since: u32) {
    println!("cargo::rustc-check-cfg=cfg({name})");
    if minor >= since {
        println!("cargo::rustc-cfg={name}");
    }
}
