//! The C of `docs/plugin-guide.md` compiles. (Its Rust is among the crate's documentation tests.)

// It needs a C compiler.
#![cfg(not(miri))]

use std::path::Path;
use std::process::Command;
use std::{env, fs};

#[test]
fn each_piece_of_c_in_the_guide_compiles_by_itself() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let guide = fs::read_to_string(root.join("docs/plugin-guide.md")).unwrap();
    let pieces: Vec<_> = guide.split("\n```c\n").skip(1).collect();
    assert!(pieces.len() > 1, "the guide has no C any more");

    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(folder).unwrap();
    for (number, piece) in pieces.iter().enumerate() {
        let (piece, _) = piece.split_once("\n```\n").expect("a piece without an end");
        let source = folder.join(format!("guide-{number}.c"));
        fs::write(&source, format!("{piece}\n")).unwrap();
        let compiler = env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let compiled = Command::new(compiler)
            // Most of them are parts of a plugin.
            .args(["-std=gnu99", "-Wall", "-Wextra", "-Werror", "-pedantic"])
            .args(["-Wno-unused-function", "-Wno-unused-variable"])
            .args(["-shared", "-fPIC", "-pthread", "-I"])
            .arg(root.join("include"))
            .arg(&source)
            .arg("-o")
            .arg(source.with_extension("so"))
            .output()
            .expect("no C compiler: install gcc, or set CC");
        assert!(
            compiled.status.success(),
            "{piece}\n\n{}",
            String::from_utf8_lossy(&compiled.stderr)
        );
    }
}
