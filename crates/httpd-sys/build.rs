//! Makes the bindings from the headers of the httpd that `apxs` belongs to, so that structure layouts are
//! those of the server that will load the module.
//!
//! `APXS` names the program (default `apxs`). What the installed API has is told by its module magic number
//! (`ap_mmn.h`), never by its version string; dependants read it as `DEP_HTTPD_MMN_MAJOR` and `DEP_HTTPD_MMN_MINOR`.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=wrapper.h");
    println!("cargo::rerun-if-env-changed=APXS");

    let apxs = env::var("APXS").unwrap_or_else(|_| "apxs".to_owned());
    let include_dir = query(&apxs, "INCLUDEDIR");
    let apr_config = query(&apxs, "APR_CONFIG");
    let mut flags = vec![format!("-I{include_dir}")];
    flags.extend(words(run(&apr_config, &["--includes", "--cppflags"])));
    let apu_config = query(&apxs, "APU_CONFIG");
    flags.extend(words(run(&apu_config, &["--includes"])));
    println!("cargo::rerun-if-changed={include_dir}/ap_mmn.h");

    let header = Path::new(&include_dir).join("ap_mmn.h");
    for part in ["MAJOR", "MINOR"] {
        println!("cargo::metadata=MMN_{part}={}", mmn(&header, part));
    }

    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets OUT_DIR"));
    bindgen::Builder::default()
        .header("wrapper.h")
        .clang_args(&flags)
        .allowlist_function("(ap|apr)_.*")
        .allowlist_type("core_server_config|(ap|apr)_.*|module_struct|command_.*|cmd_parms.*|conn_.*|request_rec|server_rec|authz_provider")
        .allowlist_var("core_module|ap_server_conf|ap_max_mem_free|ap_top_module|ap_conftree|GLOBAL_ONLY|USE_CANONICAL_NAME_ON|(AP|APR|APLOG|HTTP|OR|REQUEST|RSRC|ACCESS|EXEC|GLOBAL|M|STATUS)_.*|APLOG_.*|MODULE_MAGIC_.*|OK|DECLINED|REMOTE_HOST|DONE|SUSPENDED|apr_bucket_type_.*|ap_bucket_type_error")
        .generate_comments(false)
        .derive_debug(false)
        .layout_tests(false)
        .merge_extern_blocks(true)
        .generate()
        .expect("bindgen reads httpd's headers (libclang is Debian's libclang-dev)")
        .write_to_file(out.join("bindings.rs"))
        .expect("OUT_DIR can be written");
}

/// A part of the module magic number of `ap_mmn.h`.
fn mmn(header: &Path, part: &str) -> u32 {
    let text = std::fs::read_to_string(header)
        .unwrap_or_else(|error| panic!("{}: {error}", header.display()));
    text.lines()
        .find_map(|line| line.strip_prefix(&format!("#define MODULE_MAGIC_NUMBER_{part} ")))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("{} defines no MODULE_MAGIC_NUMBER_{part}", header.display()))
}

fn query(apxs: &str, name: &str) -> String {
    run(apxs, &["-q", name]).trim().to_owned()
}

fn words(text: String) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| {
        panic!("{program}: {error} (Debian's package apache2-dev has apxs; set APXS to use another)")
    });
    assert!(
        output.status.success(),
        "{program} {} failed",
        arguments.join(" ")
    );
    String::from_utf8(output.stdout).expect("a path in UTF-8")
}
