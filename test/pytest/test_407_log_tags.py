"""What docs/operations.md says of each tag of the error log, against the module's own list, and its other way round."""

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| (WS\d{4}) \| ([^|]*) \| ", re.MULTILINE)
LEVELS = {
    "emerg", "alert", "crit", "error", "warn", "notice", "info", "debug",
    *(f"trace{n}" for n in range(1, 9)), "any",
}


def declared():
    """The module's tags, by name."""
    text = (ROOT / "src/log/tag.rs").read_text()
    block = text[text.index("\ntags! {") :].split("\n}\n")[0]
    return {name: f"WS{int(number):04}" for name, number in re.findall(r"(\w+) = (\d+),", block)}


def rows():
    return ROW.findall((ROOT / "docs/operations.md").read_text())


def test_ws_407_01_each_tag_has_one_number_and_one_row():
    numbers = Counter(declared().values())
    assert len(numbers) > 30 and max(numbers.values()) == 1, numbers
    documented = [tag for tag, _ in rows()]
    assert documented == sorted(numbers)


def test_ws_407_02_each_row_names_levels_that_there_are():
    for tag, levels in rows():
        assert set(re.split(r"; |, ", levels)) <= LEVELS, tag


def test_ws_407_03_each_tag_is_written_somewhere():
    sources = [
        path.read_text() for path in (ROOT / "src").rglob("*.rs") if path.name != "tag.rs"
    ] + [(ROOT / "src/log/tag.rs").read_text().split("\ntags! {")[1].split("\n}\n", 1)[1]]
    for name, tag in declared().items():
        assert any(f"Tag::{name}" in source for source in sources), (name, tag)


def test_ws_407_04_the_manuals_name_no_tag_that_is_not_there():
    known = set(declared().values())
    for path in [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"]:
        assert set(re.findall(r"\bWS\d{4}\b", path.read_text())) <= known, path.name
