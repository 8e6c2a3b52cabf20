"""What docs/directives.md says of each directive, against the module that httpd has loaded."""

import html
import re
from pathlib import Path

import pytest

from harness import settings
from harness.httpd import Httpd

MODULES = ("info",)
# The MPM makes no difference to the command table.
MPMS = ("event",)
MANUAL = Path(__file__).parents[2] / "docs" / "directives.md"


def documented():
    """Each directive with the rows of its table: {name: {row: text}}."""
    found = {}
    for section in MANUAL.read_text().split("\n## ")[1:]:
        title = section.splitlines()[0]
        rows = dict(re.findall(r"^\| (\w[\w ]*) \| (.*) \|$", section, re.MULTILINE))
        if "Syntax" in rows and " " not in title:
            found[title] = rows
    return found


DOCUMENTED = documented()


def configuration(server):
    for name in DOCUMENTED:
        directory = server.document_root / name
        directory.mkdir()
        # What httpd asks first is whether the directive may stand there.
        (directory / ".htaccess").write_text(name + "\n")
    return f"""
<Directory "{server.document_root}">
  AllowOverride AuthConfig
</Directory>
<Location /info>
  SetHandler server-info
</Location>
"""


@pytest.fixture(scope="module")
def commands(httpd):
    """The command table as httpd has it: {name: help}."""
    page = httpd.ask("/info?mod_websocket.c").text
    table = page[page.index("Module Directives:") : page.index("Current Configuration:")]
    return dict(re.findall(r"<tt>(\w+) - <i>(.*?)</i></tt>", html.unescape(table)))


def test_ws_405_01_the_manual_has_a_section_for_each_directive_in_the_tables_order(commands):
    assert list(commands) == list(DOCUMENTED)


def test_ws_405_02_so_has_the_summary_with_its_syntax_and_default(commands):
    summary = MANUAL.read_text().split("\n---\n")[0]
    rows = re.findall(r"^\| \[`(\w+)`\]\(#(\w+)\)(.*?) \| (.*) \|$", summary, re.MULTILINE)
    assert [name for name, *_ in rows] == list(commands)
    for name, anchor, syntax, default in rows:
        assert anchor == name.lower()
        plain = f"{name}{syntax}".replace("`", "").replace("*", "").replace("…", "")
        assert plain.split()[0] == DOCUMENTED[name]["Syntax"].strip("`").split()[0]
        said = DOCUMENTED[name]["Default"]
        if said == "none":
            assert default.startswith("–"), name
        elif said.startswith("`"):
            assert said == f"`{name} {default.split('`')[1]}`", name


@pytest.mark.parametrize("name", DOCUMENTED)
def test_ws_405_03_the_default_is_the_one_that_httpd_shows(commands, name):
    text = commands[name]
    shown = re.search(r"\(default ([^;:)]+)", text) or re.search(r"(\S+) \(default\)", text)
    said = DOCUMENTED[name]["Default"]
    if shown:
        assert said == f"`{name} {shown[1]}`"
    else:
        # None, or one that takes a sentence.
        assert (said == "none") == ("default" not in text)
        assert not said.startswith("`")


@pytest.mark.parametrize("name", DOCUMENTED)
def test_ws_405_04_htaccess_may_have_it_where_the_manual_says_so(httpd, name):
    httpd.error_log.expect(rf"\[core:alert\].*/{name}/\.htaccess: {name}")
    assert httpd.ask(f"/{name}/").status == 500
    (entry,) = httpd.error_log.wait_for(rf"/{name}/\.htaccess: ")
    rows = DOCUMENTED[name]
    is_said = ".htaccess" in rows["Context"]
    assert ("not allowed here" in entry.text) != is_said, entry.text
    assert rows.get("Override") == ("AuthConfig" if is_said else None)


@pytest.fixture(scope="module")
def tester():
    server = Httpd(settings.mpms()[0])
    yield server
    server.remove()


@pytest.mark.parametrize("name", DOCUMENTED)
def test_ws_405_05_sections_and_virtual_hosts_may_have_it_where_the_manual_says_so(tester, name):
    context = DOCUMENTED[name]["Context"].removesuffix(", .htaccess")
    assert context in ("server config", "server config, virtual host, directory")
    for section in ("Location /x", "VirtualHost *:1"):
        result, _base = tester.configtest(f"<{section}>\n  {name} 1\n</{section.split()[0]}>\n")
        is_refused = "it belongs outside <VirtualHost>, <Location>" in result.stderr
        assert is_refused == (context == "server config"), result.stderr
