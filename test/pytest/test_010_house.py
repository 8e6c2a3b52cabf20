"""What docs/changing.md, architecture.md and httpd.md name is there, and the documents are whole. No server is needed."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATH = r"[\w.-]+(?:/[\w.-]+)+\.(?:rs|py|c|h|html)"
# `file`: `name`, `name`
DEFINED = re.compile(rf"`({PATH})`: (`\w+`(?:, `\w+`)*)")


def changing():
    return (ROOT / "docs" / "changing.md").read_text()


def named():
    for path, names in DEFINED.findall(changing()):
        for name in re.findall(r"\w+", names):
            yield path, name


# By the ending of a file: how a name is defined there.
DEFINITIONS = {
    ".rs": r"\b(?:fn|struct|enum|trait|mod|type|const|static|macro_rules!) {}\b",
    ".py": r"^(?:def {0}\(|{0} = )",
    ".c": r"^(?:static |extern )[\w *]*\b{0}(?:\[\] = |\([^;]*$)",
}


def defines(path, name):
    file = ROOT / path
    return re.search(DEFINITIONS[file.suffix].format(name), file.read_text(), re.MULTILINE)


def test_ws_010_01_the_list_is_read():
    assert len(set(named())) > 50
    assert defines("src/module.rs", "Hooks") and not defines("src/module.rs", "Hook")


@pytest.mark.parametrize(("path", "name"), sorted(set(named())))
def test_ws_010_02_what_changing_md_names_is_defined_where_it_says(path, name):
    assert defines(path, name), f"{path} does not define {name}"


@pytest.mark.parametrize("document", ["changing.md", "architecture.md", "httpd.md"])
def test_ws_010_03_files_that_the_documents_name_exist(document):
    paths = re.findall(rf"`({PATH})`", (ROOT / "docs" / document).read_text())
    # Architecture names files of the module from src/ on, and of httpd's crate from there.
    places = [ROOT, ROOT / "src", ROOT / "crates" / "httpd" / "src"]
    missing = [p for p in set(paths) if not any((place / p).exists() for place in places)]
    assert not missing


@pytest.mark.parametrize("document", ["architecture.md", "httpd.md"])
def test_ws_010_04_functions_that_the_documents_name_exist(document):
    """`Type::function`, for the types that our code defines."""
    text = (ROOT / "docs" / document).read_text()
    code = "\n".join(
        path.read_text() for part in ("src", "crates") for path in (ROOT / part).rglob("*.rs")
    )
    pairs = set(re.findall(r"`([A-Z]\w+)::(\w+)`", text))
    assert len(pairs) > 4
    for kind, name in pairs:
        assert re.search(rf"\b(?:struct|enum|trait) {kind}\b", code), kind
        assert re.search(rf"\bfn {name}\b|^ +(?:pub(?:\(\w+\))? )?{name}\b", code, re.MULTILINE), name


def test_ws_010_05_every_room_is_in_the_documents_and_in_lib_rs():
    rooms = {path.name for path in (ROOT / "src").iterdir() if path.is_dir()}
    architecture = (ROOT / "docs" / "architecture.md").read_text()
    lib = (ROOT / "src" / "lib.rs").read_text()
    for room in rooms:
        assert f"`{room}/`" in architecture, room
        assert f"[`{room}`]" in lib, room


def heads():
    """Each file whose head says what is where: of a crate, of a room."""
    crates = [*ROOT.glob("crates/*/src/lib.rs"), *ROOT.glob("crates/*/src/main.rs")]
    rooms = ROOT.glob("src/*/mod.rs")
    return sorted(path.relative_to(ROOT).as_posix() for path in [*crates, *rooms])


@pytest.mark.parametrize("path", heads())
def test_ws_010_08_a_map_has_every_file(path):
    """The modules that a crate or a room has, those apart that are there for tests and fuzzers only."""
    text = (ROOT / path).read_text()
    head = "\n".join(line for line in text.split("\n") if line.startswith("//!"))
    modules = re.findall(r"((?:^ *#\[.*\]\n)*)^(?:pub(?:\(\w+\))? )?mod (\w+);", text, re.MULTILINE)
    own = {name for marks, name in modules if not re.search(r"\btest\b|\"fuzzing\"", marks)}
    named = set(re.findall(r"`(?:\w+/)*(\w+)(?:\.rs|/)?`", head))
    assert own and own <= named, sorted(own - named)


DOCUMENTS = sorted(p.relative_to(ROOT).as_posix() for p in [*ROOT.glob("*.md"), *ROOT.glob("*/*.md")])


@pytest.mark.parametrize("document", DOCUMENTS)
def test_ws_010_06_a_document_is_whole(document):
    """Blocks of code end, tables have a line under their head, headings stand free."""
    in_code, before = False, ""
    lines = (ROOT / document).read_text().split("\n")
    for number, line in enumerate(lines, 1):
        if line.startswith("```"):
            in_code = not in_code
        elif not in_code:
            begins_table = line.startswith("|") and not before.startswith("|")
            assert not begins_table or re.match(r"\|[ :|-]+\|$", lines[number]), f"line {number}"
            assert not re.match("#+ ", line) or before == "", f"line {number}"
        before = line
    assert not in_code


@pytest.mark.parametrize(("way", "most"), [("A frame's way in", 12), ("A frame's way out", 12)])
def test_ws_010_07_a_frame_passes_few_files(way, most):
    """As they stand in the table of its way."""
    section = re.search(rf"^## {way}$(.*?)^## ", changing(), re.MULTILINE | re.DOTALL)
    rows = [line for line in section[1].split("\n") if line.startswith("|")]
    files = {path for row in rows for path in re.findall(rf"`({PATH})`", row)}
    assert 5 < len(files) <= most, sorted(files)
