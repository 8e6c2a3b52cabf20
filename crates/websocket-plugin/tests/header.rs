//! What `include/websocket_plugin.h` has, the layout test compares and the guide names.

// It reads files.
#![cfg(not(miri))]

use std::fs;
use std::path::Path;

fn file(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join(path)).unwrap()
}

/// The members of a structure of the header, in their order.
fn members(header: &str, structure: &str) -> Vec<String> {
    let (_, body) = header
        .split_once(&format!("typedef struct _{structure} {{"))
        .expect("the header has the structure");
    let (body, _) = body.split_once("\n}").expect("it ends");
    let name_of = |line: &str| {
        let (declaration, _) = line.split_once(';')?;
        let name = declaration.rsplit([' ', '*']).next()?;
        Some(name.to_owned())
    };
    body.lines().filter_map(name_of).collect()
}

/// Those of them that are functions: declared by their type, `WS_…`.
fn functions(header: &str, structure: &str) -> Vec<String> {
    let is_function = |name: &String| header.lines().any(|line| is_declared(line, name));
    let members = members(header, structure);
    members.into_iter().filter(is_function).collect()
}

fn is_declared(line: &str, name: &str) -> bool {
    let declaration = line
        .split_once(';')
        .map_or("", |(declaration, _)| declaration);
    let parts: Vec<_> = declaration.split_whitespace().collect();
    matches!(parts[..], [of_type, member] if of_type.starts_with("WS_") && member == name)
}

/// The constants of the header: macros with a value and without parameters.
fn constants(header: &str) -> Vec<String> {
    let constant = |line: &str| {
        let mut words = line.strip_prefix("#define ")?.split_whitespace();
        let name = words.next()?;
        let is_ours = name.starts_with("MESSAGE_TYPE_") || name.starts_with("WEBSOCKET_");
        (is_ours && !name.contains('(') && words.next().is_some()).then(|| name.to_owned())
    };
    header.lines().filter_map(constant).collect()
}

/// The arguments of a macro in `layout.c`, call by call.
fn calls(program: &str, macro_name: &str) -> Vec<String> {
    let arguments = |line: &str| {
        let rest = line.trim().strip_prefix(macro_name)?.strip_prefix('(')?;
        Some(rest.strip_suffix(");")?.to_owned())
    };
    program.lines().filter_map(arguments).collect()
}

/// The first column of the table in a section of the guide, as far as it is code.
fn table(guide: &str, section: &str) -> Vec<String> {
    let (_, text) = guide
        .split_once(&format!("\n## {section}\n"))
        .expect("the guide has the section");
    let (text, _) = text.split_once("\n## ").expect("another one follows");
    let name = |line: &str| {
        let rest = line.strip_prefix("| `")?;
        Some(rest.split_once('`')?.0.to_owned())
    };
    text.lines().filter_map(name).collect()
}

#[test]
fn the_layout_test_compares_every_member_and_constant() {
    let header = file("include/websocket_plugin.h");
    let program = file("crates/websocket-plugin/tests/layout.c");
    let mut expected = Vec::new();
    for structure in [
        "WebSocketServer",
        "WebSocketPlugin",
        "WebSocketOption",
        "WebSocketTopicEvent",
    ] {
        let members = members(&header, structure);
        assert!(members.len() > 1, "{structure}: {members:?}");
        expected.extend(members.iter().map(|name| format!("{structure}, {name}")));
    }
    assert_eq!(calls(&program, "MEMBER"), expected);
    let (mut compared, mut constants) = (calls(&program, "CONSTANT"), constants(&header));
    compared.sort();
    constants.sort();
    assert_eq!(compared, constants);
    let is_structure = |line: &&str| line.starts_with("typedef struct _") && line.ends_with('{');
    assert_eq!(
        header.lines().filter(is_structure).count(),
        4,
        "a structure beside these"
    );
}

#[test]
fn the_guide_names_every_function_and_no_other() {
    let header = file("include/websocket_plugin.h");
    let guide = file("docs/plugin-guide.md");
    assert_eq!(
        table(&guide, "What a plugin calls"),
        functions(&header, "WebSocketServer")
    );
    let mut called = table(&guide, "How a plugin is called");
    let mut callbacks = functions(&header, "WebSocketPlugin");
    // The guide has them in the order in which they are called.
    called.sort();
    callbacks.sort();
    assert_eq!(called, callbacks);
}
