"""WebSocketPluginOption: how options merge, and what a plugin's configure says about them."""

import pytest

from harness import settings
from harness.conf import ECHO, example, location, plugin
from harness.httpd import Httpd
from harness.scripted import Records, ask, scripts
from harness.waiting import eventually


def configuration(server):
    handler = plugin("scripted")
    return f"""
WebSocketPluginOption colour red
WebSocketPluginOption size 1
{location("/plain", handler)}
{location("/own", handler, "WebSocketPluginOption size 2",
          'WebSocketPluginOption shape "a circle"')}
{location("/before", "WebSocketPluginOption size 3", handler)}
{location("/last", handler, "WebSocketPluginOption size 4", "WebSocketPluginOption size 5")}
{location("/names", handler, "WebSocketPluginOption Colour green",
          'WebSocketPluginOption "two words" "3 4"', "WebSocketPluginOption größe groß",
          "WebSocketPluginOption name=value x=y")}
<Location /own/deeper>
  WebSocketPluginOption shape square
</Location>
<Location /own/deeper/nothing>
</Location>
<Directory "{server.document_root}">
  WebSocketPluginOption shape flat
</Directory>
<LocationMatch "^/match/[0-9]+$">
  SetHandler websocket-handler
  {handler}
  WebSocketPluginOption size 7
</LocationMatch>

{server.listen(server.spare_port)}
<VirtualHost *:{server.spare_port}>
  ServerName first.example
  WebSocketPluginOption size 20
  {handler}
  <Location /v>
    SetHandler websocket-handler
  </Location>
  <Location /v/deeper>
    WebSocketPluginOption colour blue
  </Location>
</VirtualHost>
<VirtualHost *:{server.spare_port}>
  ServerName second.example
  {location("/v", handler)}
</VirtualHost>
"""


def options(client, *names):
    """The values of options, in a callback."""
    values = ask(client, "; ".join(f"option_get {name}" for name in names)).split("; ")
    assert len(values) == len(names), values
    return values


@pytest.mark.parametrize(("path", "values"), [
    ("/plain", ["red", "1", "flat"]),
    ("/own", ["red", "2", "a circle"]),
    ("/own/deeper", ["red", "2", "square"]),
    ("/own/deeper/nothing", ["red", "2", "square"]),
    ("/before", ["red", "3", "flat"]),
    ("/last", ["red", "5", "flat"]),
    ("/match/12", ["red", "7", "flat"]),
])
def test_ws_840_01_options_of_nested_scopes_merge_by_name(httpd, path, values):
    with httpd.open(path) as client:
        assert options(client, "colour", "size", "shape") == values


@pytest.mark.parametrize(("host", "path", "values"), [
    ("first.example", "/v", ["red", "20"]),
    ("first.example", "/v/deeper", ["blue", "20"]),
    ("second.example", "/v", ["red", "1"]),
])
def test_ws_840_02_options_of_a_virtual_host_are_its_own(httpd, host, path, values):
    with httpd.open(path, port=httpd.spare_port, host=host) as client:
        assert options(client, "colour", "size") == values


def test_ws_840_03_names_and_values_are_taken_as_they_are(httpd):
    with httpd.open("/names") as client:
        names = ["Colour", "colour", "COLOUR", "two words", "größe", "name=value", "absent", ""]
        assert options(client, *names) == [
            "green", "red", "NULL", "3 4", "groß", "x=y", "NULL", "NULL"
        ]


def test_ws_840_04_option_get_works_on_any_thread_from_begin_to_end(httpd):
    records = Records(httpd)
    commands = ["option_get size", "option_get absent"]
    script = "; ".join(commands)
    fields = scripts(
        on_connect=script, on_open=script, on_close=script, on_disconnect=f"thread {script}"
    )
    with httpd.open("/own", fields) as client:
        client.close_properly()
    records.wait_for_ends()
    assert records.result(commands[1], 3) == "NULL"
    assert [match[1] for match in records.find(r"does option_get size = (.*)")] == ["2"] * 4


def test_ws_840_05_options_may_be_changed_by_a_graceful_restart(make_httpd, mpm):
    def text(value):
        return "WebSocketDrainTimeout 0\n" + location(
            "/scripted", plugin("scripted"), f"WebSocketPluginOption size {value}"
        )

    server = make_httpd(mpm, text(1)).start()
    with server.open("/scripted") as old:
        assert options(old, "size") == ["1"]
        server.configure(text(2))
        server.graceful()

        def is_new():
            with server.open("/scripted") as client:
                return options(client, "size") == ["2"]

        eventually(is_new, "the new option")
        assert options(old, "size") == ["1"]
        old.close_properly()


# What `httpd -t` says.


@pytest.fixture(scope="module")
def tester():
    """A server that never runs; the MPM makes no difference to how configuration is read."""
    server = Httpd(settings.mpms()[0])
    yield server
    server.remove()


@pytest.mark.parametrize("arguments", ["", "name", "name value more"])
def test_ws_840_06_the_directive_takes_a_name_and_a_value(tester, arguments):
    text = f"<Location /x>\n  WebSocketPluginOption {arguments}\n</Location>\n"
    result, base = tester.configtest(text)
    assert result.returncode != 0
    assert f"Syntax error on line {base + 2} of {tester.directory}/configtest.conf" in result.stderr
    assert "WebSocketPluginOption takes two arguments" in result.stderr


def test_ws_840_07_the_name_is_not_empty(tester):
    result, base = tester.configtest('WebSocketPluginOption "" value\n')
    assert result.returncode != 0
    assert f"Syntax error on line {base + 1} " in result.stderr
    assert "WebSocketPluginOption" in result.stderr


def test_ws_840_08_options_are_not_for_htaccess(make_httpd, mpm):
    server = make_httpd(mpm, lambda server: f"""
<Directory "{server.document_root}">
  AllowOverride All
  SetHandler websocket-handler
  {example(ECHO)}
</Directory>
""")
    (server.document_root / ".htaccess").write_text("WebSocketPluginOption name value\n")
    server.start()
    server.error_log.expect("WebSocketPluginOption not allowed here")
    with server.client() as client:
        assert client.upgrade("/").status == 500


def configured(tester, text):
    """The options of each call of configure by one `httpd -t`, which is to succeed."""
    records = Records(tester)
    result, _base = tester.configtest(text)
    assert result.returncode == 0, result.stderr
    assert "Syntax OK" in result.stderr
    calls = []
    for match in records.find("configure(?: (.*))?"):
        pairs = (match[1] or "").split(", ")
        calls.append(dict(pair.split("=", 1) for pair in pairs if pair))
        # A name is there once.
        assert len(calls[-1]) == len([pair for pair in pairs if pair])
    assert not records.find("child_start")
    return calls


def sorted_calls(calls):
    return sorted(calls, key=lambda call: sorted(call.items()))


def test_ws_840_09_configure_is_called_for_each_section_with_what_holds_there(tester):
    handler = plugin("scripted")
    calls = configured(tester, f"""
WebSocketPluginOption colour red
WebSocketPluginOption size 1
WebSocketPluginOption size 2
{location("/plain", handler)}
{location("/own", handler, "WebSocketPluginOption size 3", "WebSocketPluginOption shape round",
          "WebSocketPluginOption shape square")}
<Location /nothing>
  SetHandler websocket-handler
</Location>
{location("/echo", example(ECHO), "WebSocketPluginOption size 4")}
""")
    assert sorted_calls(calls) == sorted_calls([
        {"colour": "red", "size": "2"},
        {"colour": "red", "size": "3", "shape": "square"},
    ])


def test_ws_840_10_configure_is_called_where_the_plugin_is_inherited(tester):
    calls = configured(tester, f"""
WebSocketPluginOption colour red
{plugin("scripted")}
<Location /own>
  SetHandler websocket-handler
  WebSocketPluginOption size 1
</Location>
<VirtualHost *:1>
  WebSocketPluginOption size 2
  <Location /deeper>
    WebSocketPluginOption size 3
  </Location>
</VirtualHost>
<VirtualHost *:2>
  <Location /deeper>
    WebSocketPluginOption colour blue
  </Location>
</VirtualHost>
""")
    assert sorted_calls(calls) == sorted_calls([
        {"colour": "red"}, {"colour": "red", "size": "1"}, {"colour": "red", "size": "2"},
        {"colour": "red", "size": "3"}, {"colour": "blue"},
    ])


def test_ws_840_11_configure_is_called_without_any_option_too(tester):
    assert configured(tester, location("/x", plugin("scripted"))) == [{}]


@pytest.mark.parametrize("text", [
    "WebSocketPluginOption wrong anything\n",
    location("/x", "WebSocketPluginOption wrong anything"),
    location("/x", example(ECHO), "WebSocketPluginOption wrong anything"),
    # Without configure, every option is accepted.
    location("/x", plugin("scripted", "scripted_without_timer_init"),
             "WebSocketPluginOption wrong anything"),
])
def test_ws_840_12_nobody_checks_options_without_a_configure(tester, text):
    result, _base = tester.configtest(text)
    assert result.returncode == 0, result.stderr
    assert "Syntax OK" in result.stderr


@pytest.mark.parametrize("place", ["server", "location", "location around", "virtual host"])
def test_ws_840_13_what_configure_says_is_a_configuration_error(tester, place):
    handler, option = plugin("scripted"), "WebSocketPluginOption wrong 4711"
    good = location("/good", handler, "WebSocketPluginOption right 1")
    section = {
        "server": f"{handler}\n{option}\n",
        "location": location("/x", handler, option),
        "location around": f"{option}\n{location('/x', handler)}",
        "virtual host": f"<VirtualHost *:1>\n{handler}\n{option}\n</VirtualHost>\n",
    }[place]
    before = good if place != "location around" else location("/good", example(ECHO))
    result, base = tester.configtest(before + section)
    assert result.returncode != 0
    assert "Syntax OK" not in result.stderr
    # In the plugin's own words, with the place of the section.
    assert "wrong is not an option of mine, and 4711 not a value" in result.stderr
    first = base + before.count("\n") + 1
    lines = range(first, first + section.count("\n"))
    places = [f"{tester.directory}/configtest.conf:{line}" for line in lines]
    assert any(f"{place}:" in result.stderr or f"{place} " in result.stderr for place in places)
    assert f"{tester.directory}/configtest.conf:{base + 2}:" not in result.stderr


def test_ws_840_14_every_section_that_is_wrong_is_named(tester):
    handler, option = plugin("scripted"), "WebSocketPluginOption wrong"
    text = "".join(location(f"/{n}", handler, f"{option} value-{n}") for n in range(3))
    result, _base = tester.configtest(text)
    assert result.returncode != 0
    for number in range(3):
        assert f"wrong is not an option of mine, and value-{number} not a value" in result.stderr


def test_ws_840_15_a_server_does_not_start_with_a_wrong_option(make_httpd, mpm):
    server = make_httpd(
        mpm, location("/x", plugin("scripted"), "WebSocketPluginOption wrong 4711")
    )
    with pytest.raises(AssertionError, match="wrong is not an option of mine"):
        server.start()


def test_ws_840_16_configure_is_called_in_the_parent_only_before_any_child(make_httpd, mpm):
    server = make_httpd(mpm, location("/x", plugin("scripted"), "WebSocketPluginOption size 1"))
    records = Records(server)
    server.start()
    with server.open("/x") as client:
        assert options(client, "size") == ["1"]
        client.close_properly()
    records.wait_for("disconnect")
    whos = {line.split()[0] for line in records.lines() if line.endswith(" configure size=1")}
    assert whos == {str(server.pid)}
    whats = [line.split(" ", 2)[2] for line in records.lines()]
    # httpd reads its configuration twice when it starts.
    assert whats.count("configure size=1") == 2
    assert "configure size=1" not in whats[whats.index("child_start"):]
