"""What stands in the documents as code: each block, and what it is, so that none goes untried."""

import functools
import re
import subprocess
from dataclasses import dataclass

from . import settings

DOCUMENTS = (
    "README.md", "contrib/README.md", "plugins-examples/README.md", "test/README.md", "bench/README.md",
    *sorted(str(path.relative_to(settings.ROOT)) for path in (settings.ROOT / "docs").glob("*.md")),
)
# Programs that documents name; a line that begins with one, or a path to one, is a command.
_PROGRAMS = (
    "a2dismod a2enconf a2enmod apachectl apt-get bench/run c++ cargo cc curl echo export gdb grep httpd journalctl kill make "
    "perf plugin-host promtool ps python3 scripts/[a-z-]+ ss sudo systemctl sysctl top touch ulimit valgrind xxd "
    r"\./autogen\.sh \./configure \./quickstart target/venv/bin/\S+ test/[a-z-]+/[a-z-]+ goaccess"
).split()
_COMMAND = re.compile(rf"(?:[A-Z_]+=\S+ )*(?:{'|'.join(_PROGRAMS)})(?: |$)")
# What is neither typed nor configured, by its first line.
_OTHERS = {
    "a line of a log, or what a program prints": re.compile(
        r"(?:WS\d{4}: |AH\d{5}: |\(\d+\)|….*: |Too many open|\{\"|192\.0\.2\.7 - |HTTP/1\.1 \d)"
    ),
    "a drawing or a formula": re.compile(r"[^<]*(?:─►|──►|├|│| × | ÷ |  )"),
    "systemd": re.compile(r"\[(?:Service|Unit|Install)\]"),
    "an environment file": re.compile(r"APACHE_[A-Z_]+="),
    "nginx": re.compile(r"(?:location|upstream|server|map) .*\{"),
    "HAProxy": re.compile(r"(?:frontend|backend) "),
    "YAML": re.compile(r"(?:scrape_configs|groups|rule_files):"),
    "JavaScript": re.compile(r"(?:let|const|function|new) "),
}
_FENCES = {"apache": "configuration", "sh": "shell"}


@dataclass(frozen=True)
class Snippet:
    """A part of a code block that is of one kind."""

    file: str
    line: int
    kind: str
    text: str

    @property
    def place(self):
        return f"{self.file}:{self.line}"


@functools.cache
def directives():
    """The names of all directives, in lower case: of httpd's modules, of the MPMs, and of ours."""
    modules = settings.httpd_modules_directory()
    names = set()
    loads = []
    for path in sorted(modules.glob("mod_*.so")):
        name = path.stem.removeprefix("mod_")
        if not name.startswith("mpm_"):
            loads += ["-C", f'LoadModule {name}_module "{path}"']
    loads += ["-C", f'LoadModule websocket_module "{settings.MODULES}/mod_websocket.so"']
    for mpm in settings.mpms():
        first = [] if f"{mpm}.c" in settings.built_in_modules() else [
            "-C", f'LoadModule mpm_{mpm}_module "{modules}/mod_mpm_{mpm}.so"',
        ]
        listing = subprocess.run(
            [settings.httpd_binary(), "-f", "/dev/null", *first, *loads, "-C", "ErrorLog /dev/null", "-L"], capture_output=True, text=True,
            timeout=60, check=False,
        ).stdout
        names |= {name.lower() for name in re.findall(r"^(<?[A-Za-z]\w+) \(", listing, re.MULTILINE)}
    assert "websockethandler" in names and "<location" in names, "httpd -L lists no directives"
    return frozenset(names)




def snippets(kind=None):
    """All of them, or those of one kind."""
    found = [snippet for file in DOCUMENTS for snippet in _of_file(file)]
    return [snippet for snippet in found if kind in (None, snippet.kind)]


def _of_file(file):
    for line, language, text in _blocks((settings.ROOT / file).read_text().split("\n")):
        if language:
            yield Snippet(file, line, _FENCES.get(language, language), text)
            continue
        # A block may have a configuration, and behind it what is typed then.
        paragraphs = re.split(r"\n(?:[ \t]*\n)+", text)
        kinds = [_kind_of(paragraph) for paragraph in paragraphs]
        if len(set(kinds)) == 1:
            yield Snippet(file, line, kinds[0], text)
            continue
        for kind, paragraph in zip(kinds, paragraphs):
            yield Snippet(file, line + text[: text.index(paragraph)].count("\n"), kind, paragraph)


def _kind_of(paragraph):
    first = paragraph.lstrip("\n").split("\n")[0]
    if _COMMAND.match(first):
        return "shell"
    word = re.match(r"<?\w*", first)[0].lower()
    # A formula may begin with a directive's name.
    if word in directives() and not re.search(r" [×÷+] ", first):
        return "configuration"
    for kind, pattern in _OTHERS.items():
        if pattern.match(first):
            return kind
    return "unknown"


def _blocks(lines):
    """Of Markdown: where a block begins, its language if it says one, and its text."""
    number = 0
    is_after_blank = True
    while number < len(lines):
        line = lines[number]
        if fence := re.match(r"```(\S*)", line):
            end = next(at for at in range(number + 1, len(lines)) if lines[at].startswith("```"))
            yield number + 2, fence[1] or "text", "\n".join(lines[number + 1 : end])
            number = end + 1
        elif is_after_blank and re.match(r"    \S", line):
            end = number
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            yield number + 1, "", "\n".join(text[4:] for text in lines[number:end]).rstrip()
            number = end
        else:
            is_after_blank = not line.strip()
            number += 1
            continue
        is_after_blank = True


def commands(snippet):
    """Its commands, one each, without comments and answers."""
    joined = re.sub(r"\\\n\s*", "", snippet.text)
    for line in joined.split("\n"):
        # What an explanation goes on with is indented; an answer is JSON.
        command = re.sub(r"(?:^|\s{2,}).*$", "", line) if line[:1] not in ("#", "{") else ""
        if command:
            yield command


def inline_commands():
    """Those that stand in a sentence, with their places."""
    for file in DOCUMENTS:
        text = (settings.ROOT / file).read_text()
        # Of code blocks only the places stay.
        text = re.sub(r"^(?:    |```).*$", "", text, flags=re.MULTILINE)
        for span in re.finditer(r"`([^`\n]+ [^`\n]+)`", text):
            if _COMMAND.match(span[1]):
                yield f"{file}:{text[: span.start()].count(chr(10)) + 1}", span[1]
