//! Turns the module magic number of the installed httpd into `cfg`s, one for each API that not every httpd has that we
//! build for.

/// httpd 2.4. A later major number is httpd's trunk, which has what 2.4 had when they parted, and more.
const HTTPD_2_4: u32 = 20_120_211;

fn main() {
    let mmn = (part("MAJOR"), part("MINOR"));
    gate("has_ssl_var_lookup", mmn, (HTTPD_2_4, 102));
    gate("has_child_stopping", mmn, (HTTPD_2_4, 110));
    gate("has_thread_current", mmn, (HTTPD_2_4, 123));
    // Instead of conn_rec's data_in_output_filters.
    gate("has_pending_filters", mmn, (20_160_312, 0));
}

fn part(name: &str) -> u32 {
    std::env::var(format!("DEP_HTTPD_MMN_{name}"))
        .ok()
        .and_then(|number| number.parse().ok())
        .expect("httpd-sys says which module magic number it saw")
}

/// `cfg(name)` from the number that the API came with.
fn gate(name: &str, mmn: (u32, u32), since: (u32, u32)) {
    println!("cargo::rustc-check-cfg=cfg({name})");
    if mmn >= since {
        println!("cargo::rustc-cfg={name}");
    }
}
