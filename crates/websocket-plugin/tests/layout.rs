//! The mirror in `abi` against the header that it mirrors.

use std::fmt::Write as _;
use std::mem::offset_of;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use websocket_plugin::abi::*;

macro_rules! layout_of {
    ($lines:ident, $name:ident { $($member:ident),* }) => {
        writeln!($lines, "{} {}", stringify!($name), size_of::<$name>()).unwrap();
        $(writeln!(
            $lines, "{}.{} {}", stringify!($name), stringify!($member), offset_of!($name, $member)
        ).unwrap();)*
    };
}

#[test]
fn the_mirror_has_the_layouts_and_constants_of_the_header() {
    let mut mirrored = String::new();
    layout_of!(
        mirrored,
        WebSocketServer {
            size,
            version,
            state,
            request,
            header_get,
            header_set,
            protocol_count,
            protocol_index,
            protocol_set,
            send,
            close,
            close_with
        }
    );
    layout_of!(
        mirrored,
        WebSocketPlugin {
            size,
            version,
            destroy,
            on_connect,
            on_message,
            on_disconnect
        }
    );
    for (name, value) in [
        ("MESSAGE_TYPE_INVALID", MESSAGE_TYPE_INVALID as isize),
        ("MESSAGE_TYPE_TEXT", MESSAGE_TYPE_TEXT as isize),
        ("MESSAGE_TYPE_BINARY", MESSAGE_TYPE_BINARY as isize),
        ("MESSAGE_TYPE_CLOSE", MESSAGE_TYPE_CLOSE as isize),
        ("MESSAGE_TYPE_PING", MESSAGE_TYPE_PING as isize),
        ("MESSAGE_TYPE_PONG", MESSAGE_TYPE_PONG as isize),
        (
            "WEBSOCKET_SERVER_VERSION_1",
            WEBSOCKET_SERVER_VERSION_1 as isize,
        ),
        (
            "WEBSOCKET_PLUGIN_VERSION_0",
            WEBSOCKET_PLUGIN_VERSION_0 as isize,
        ),
        ("WEBSOCKET_CONNECT_ERROR", WEBSOCKET_CONNECT_ERROR as isize),
        ("C module", WEBSOCKET_SERVER_SIZE_C_MODULE as isize),
    ] {
        writeln!(mirrored, "{name} {value}").unwrap();
    }
    mirrored.push_str("has 0 1\n");

    let program = compile("cc", "CC", &["-std=c89", "-pedantic"], "layout.c")
        .expect("no C compiler: install gcc, or set CC");
    let output = Command::new(program).output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), mirrored);
}

#[test]
fn the_header_is_also_good_cxx() {
    if compile("c++", "CXX", &["-pedantic", "-xc++"], "layout.c").is_none() {
        eprintln!("skipped: no C++ compiler");
    }
}

/// Compiles `tests/<source>` to a program. `None` when there is no compiler.
fn compile(compiler: &str, variable: &str, flags: &[&str], source: &str) -> Option<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = format!("{}/layout-{compiler}", env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let compiler = env::var(variable).unwrap_or_else(|_| compiler.to_owned());
    let output = Command::new(compiler)
        .args(["-Wall", "-Wextra", "-Werror"])
        .args(flags)
        .arg("-I")
        .arg(directory.join("../../include"))
        .arg(directory.join("tests").join(source))
        .args(["-o", &program])
        .output()
        .ok()?;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(program)
}
