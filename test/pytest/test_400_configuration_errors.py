"""What `httpd -t` says: directive, file, line and reason for everything that is wrong."""

import pytest

from harness import settings
from harness.conf import ECHO, example, location, plugin
from harness.httpd import Httpd

LARGEST = 9223372036854775807


@pytest.fixture(scope="module")
def tester():
    """A server that never runs; the MPM makes no difference to how configuration is read."""
    server = Httpd(settings.mpms()[0])
    yield server
    server.remove()


def assert_error(tester, line, directive, *reasons):
    """`httpd -t` fails on `line`, which is the second of the configuration's own part."""
    text = f"<Location /x>\n  {line}\n</Location>\n"
    result, base = tester.configtest(text)
    assert result.returncode != 0, f"accepted: {line}"
    place = f"line {base + 2} of {tester.directory}/configtest.conf:"
    assert f"Syntax error on {place}" in result.stderr
    message = result.stderr.split("configtest.conf:", 1)[1]
    assert directive in message, message
    for reason in reasons:
        assert reason.lower() in message.lower(), message
    return message


def assert_good(tester, text):
    result, _base = tester.configtest(text)
    assert result.returncode == 0, result.stderr
    assert "Syntax OK" in result.stderr
    return result.stderr


@pytest.mark.parametrize(("name", "reason"), [
    ("bad/no_symbol", "bad_init"),
    ("bad/returns_null", "NULL"),
    ("bad/wrong_version", "version 4711"),
    ("bad/wrong_size", "size"),
    ("bad/no_on_message", "on_message"),
    ("bad/not_a_shared_object", "cannot load"),
])
def test_ws_400_01_each_defect_of_a_plugin_is_named(tester, name, reason):
    message = assert_error(tester, plugin(name, "bad_init"), "WebSocketHandler", reason)
    # The file and the init function tell which of many lines is meant.
    assert f"{settings.TEST_PLUGINS / name}.so" in message


def test_ws_400_02_a_plugin_file_that_does_not_exist_is_named(tester):
    assert_error(
        tester, "WebSocketHandler modules/absent.so absent_init", "WebSocketHandler",
        f"{tester.directory}/modules/absent.so", "no such file",
    )


def test_ws_400_03_an_init_function_that_does_not_exist_is_named(tester):
    assert_error(tester, f"WebSocketHandler {tester.module('mod_websocket_echo')} nonsense",
                 "WebSocketHandler", "nonsense", "mod_websocket_echo.so")


@pytest.mark.parametrize("arguments", ["", "one", "one two three"])
def test_ws_400_04_websockethandler_takes_two_arguments(tester, arguments):
    assert_error(tester, f"WebSocketHandler {arguments}", "WebSocketHandler", "two arguments")


@pytest.mark.parametrize("value", ["Maybe", "On", "Same-Origin", '""', "0"])
def test_ws_400_05_a_wrong_origin_check_is_told_what_is_right(tester, value):
    assert_error(tester, f"WebSocketOriginCheck {value}", "WebSocketOriginCheck",
                 "Same", "Trusted", "Off", value.strip('"'))


@pytest.mark.parametrize("directive", ["WebSocketMaxMessageSize", "MaxMessageSize"])
@pytest.mark.parametrize("value", [
    "0", "-1", "abc", "K", "0K", "12X", "1.5M", "10MB", "1KK", "0x10", "1e3", '" "', '" 1"',
    '"1 M"', "+5", "9223372036854775808", "18446744073709551616", "99999999999999999999999",
    "8589934592G", "9007199254740992K",
])
def test_ws_400_06_a_wrong_size_is_told_what_is_right(tester, directive, value):
    assert_error(tester, f"{directive} {value}", directive, value.strip('"'), "bytes")


@pytest.mark.parametrize("value", ["Maybe", "1", '""'])
def test_ws_400_07_a_wrong_flag_is_told_what_is_right(tester, value):
    assert_error(tester, f"WebSocketAllowReservedStatusCodes {value}",
                 "WebSocketAllowReservedStatusCodes", "On or Off")


@pytest.mark.parametrize("value", [
    "example.com", "//example.com", "http:example.com", "http://", "http:///", "://example.com",
    "http://example.com/", "http://example.com/path", "http://example.com?query",
    "http://user@example.com", "http://example.com:", "http://example.com:65536",
    "http://example.com:x", "http://example.com:-1", "http://[::1", "http://::1", "http://[nonsense]",
    '"http://two words"', "*", "http://*", "http://*.", "http://*example.com",
    "http://a.*.example.com", "http://*.*.example.com", "http://example.*",
    "http://one.example,http://two.example",
])
def test_ws_400_08_what_is_no_origin_is_refused(tester, value):
    assert_error(tester, f"WebSocketTrustedOrigin {value}", "WebSocketTrustedOrigin",
                 value.strip('"'))
    assert_error(tester, f"WebSocketTrustedOrigin http://good.example {value}",
                 "WebSocketTrustedOrigin", value.strip('"'))


def test_ws_400_09_a_list_of_origins_is_not_empty(tester):
    assert_error(tester, "WebSocketTrustedOrigin", "WebSocketTrustedOrigin", "argument")


@pytest.mark.parametrize("value", [
    "http://example.com", "example.com:80", "[::1]:80", "[::1", "*.*.com", "*.127.0.0.1", "a*",
    "user@example.com", "example..com", "none,other", "*.",
])
def test_ws_400_30_what_is_no_host_is_refused(tester, value):
    assert_error(tester, f"WebSocketTrustedHost good.example {value}", "WebSocketTrustedHost",
                 value, "without scheme and port")


@pytest.mark.parametrize("directive", [
    "WebSocketOriginCheck", "WebSocketMaxMessageSize", "WebSocketAllowReservedStatusCodes",
])
@pytest.mark.parametrize("arguments", ["", "1 2"])
def test_ws_400_10_other_directives_take_one_argument(tester, directive, arguments):
    assert_error(tester, f"{directive} {arguments}", directive)


def assert_global_error(tester, line, directive, *reasons):
    """As assert_error, for a directive that stands outside of every section."""
    result, base = tester.configtest(f"{line}\n")
    assert result.returncode != 0, f"accepted: {line}"
    place = f"line {base + 1} of {tester.directory}/configtest.conf:"
    assert f"Syntax error on {place}" in result.stderr
    for part in (directive, *reasons):
        assert part in result.stderr


@pytest.mark.parametrize(("arguments", "reason"), [
    ("0", "'0'"), ("x", "'x'"), ("-1", "'-1'"), ("5000", "'5000'"), ("1.5", "'1.5'"),
    ("4 2", "2"), ("1 x", "'x'"), ("1 0", "'0'"),
])
def test_ws_400_16_a_wrong_number_of_threads_is_told_what_is_right(tester, arguments, reason):
    assert_global_error(tester, f"WebSocketThreads {arguments}", "WebSocketThreads", reason)


@pytest.mark.parametrize("value", ["0", "-1", "10MB", "1.5M", "9223372036854775808"])
def test_ws_400_20_a_wrong_memory_is_told_what_is_right(tester, value):
    assert_global_error(tester, f"WebSocketMessageMemory {value}", "WebSocketMessageMemory", value, "bytes")


@pytest.mark.parametrize("value", ["-1", "x", "1y", "1.5", "367d", "99999999999999999999"])
def test_ws_400_17_a_wrong_time_is_told_what_is_right(tester, value):
    assert_global_error(tester, f"WebSocketDrainTimeout {value}", "WebSocketDrainTimeout", value)


@pytest.mark.parametrize("line", [
    "WebSocketThreads 2 4", "WebSocketDrainTimeout 10s", "WebSocketMessageMemory 1G",
    "WebSocketTopicMemory 1M",
])
@pytest.mark.parametrize("section", [
    "<Location /x>\n{}\n</Location>", "<VirtualHost *:1>\n{}\n</VirtualHost>",
    "<Directory />\n{}\n</Directory>",
])
def test_ws_400_18_what_counts_for_processes_stands_outside_of_sections(tester, line, section):
    result, base = tester.configtest(section.format(line) + "\n")
    assert result.returncode != 0
    assert f"Syntax error on line {base + 2} " in result.stderr
    assert line.split()[0] in result.stderr


@pytest.mark.parametrize("line", [
    "WebSocketThreads 1", "WebSocketThreads 2 2", "WebSocketThreads 1 4096",
    "WebSocketDrainTimeout 0", "WebSocketDrainTimeout 10", "WebSocketDrainTimeout 500ms",
    "WebSocketDrainTimeout 30s", "WebSocketDrainTimeout 1min", "WebSocketDrainTimeout 1h",
])
def test_ws_400_19_good_values_for_processes_are_accepted(tester, line):
    assert_good(tester, f"{line}\n")


@pytest.mark.parametrize("line", [
    "WebSocketOriginCheck same", "WebSocketOriginCheck TRUSTED", "WebSocketOriginCheck oFF",
    "WebSocketMaxMessageSize 1", "WebSocketMaxMessageSize 1k", "WebSocketMaxMessageSize 2M",
    "WebSocketMaxMessageSize 3g", f"WebSocketMaxMessageSize {LARGEST}",
    "WebSocketAllowReservedStatusCodes on", "WebSocketAllowReservedStatusCodes OFF",
    "WebSocketTrustedOrigin http://a.example https://b.example:8443 http://[::1]:80",
    "WebSocketTrustedOrigin https://*.example.com https://*.b.example:1 http://127.0.0.1",
    "WebSocketTrustedOrigin HTTP://A.Example",
    "WebSocketTrustedOrigin file:// app://. chrome-extension://* app://obsidian.md",
    "WebSocketTrustedHost *", "WebSocketTrustedHost servername www.example.com. *.a.example",
    "WebSocketTrustedHost 127.0.0.1 ::1 [::1]",
])
def test_ws_400_11_good_values_are_accepted_in_every_scope(tester, line):
    handler = example(ECHO)
    assert_good(tester, f"""
{line}
{handler}
<Location /x>
  {line}
  {handler}
</Location>
<Directory "{tester.document_root}">
  {line}
  {handler}
</Directory>
<VirtualHost *:1>
  {line}
  {handler}
</VirtualHost>
""")


def test_ws_400_12_maxmessagesize_is_deprecated_but_works(tester):
    text = "<Location /x>\n  MaxMessageSize 5\n</Location>\n"
    result, base = tester.configtest(text)
    assert result.returncode == 0
    (warning,) = [line for line in result.stderr.splitlines() if "deprecated" in line]
    for part in ("MaxMessageSize", "WebSocketMaxMessageSize",
                 f"{tester.directory}/configtest.conf:{base + 2}"):
        assert part in warning
    assert "deprecated" not in assert_good(tester, text.replace("Max", "WebSocketMax"))


def test_ws_400_13_the_module_is_known_by_the_name_of_its_forerunner(tester):
    assert_good(tester, """
<IfModule mod_websocket.c>
  <Location /x>
    WebSocketMaxMessageSize 5
  </Location>
</IfModule>
""")
    result, _base = tester.configtest("<IfModule mod_websocket.c>\nNonsense\n</IfModule>\n")
    assert "Nonsense" in result.stderr
    result, _base = tester.configtest("<IfModule websocket_module>\nNonsense\n</IfModule>\n")
    assert "Nonsense" in result.stderr


def test_ws_400_14_one_bad_line_among_good_ones_is_found(tester):
    text = location("/a", example(ECHO)) + location("/b", example(ECHO), "WebSocketOriginCheck x")
    result, base = tester.configtest(text)
    assert result.returncode != 0
    assert f"line {base + text[: text.index(' x')].count(chr(10)) + 1} " in result.stderr


def test_ws_400_15_a_server_does_not_start_with_a_bad_plugin(make_httpd):
    server = make_httpd(settings.mpms()[0], location("/x", plugin("bad/no_on_message", "bad_init")))
    with pytest.raises(AssertionError, match="on_message"):
        server.start()


@pytest.mark.parametrize(("line", "reason"), [
    ("WebSocketTopic %{nosuch:x}", "no expression that gives a text"),
    ("WebSocketTopic /a/%{", "no expression that gives a text"),
    ("WebSocketTopicFromClient maybe", "On or Off"),
    ("WebSocketTopicHistory x", "'x' is not a number from 0 to 1000000"),
    ("WebSocketTopicHistory 1000001", "from 0 to 1000000"),
    ("WebSocketTopicHistory 10 367d", "more than a year"),
    ("WebSocketTopicHistory 10 1w", "ms, s, min, h or d"),
    ("WebSocketTopicSlow wait", "'wait' is not close, drop or latest"),
])
def test_ws_400_21_what_is_wrong_with_topics_is_told(tester, line, reason):
    assert_error(tester, line, line.split()[0], reason)


@pytest.mark.parametrize("value", ["0", "1K", "65G", "x", "1.5M"])
def test_ws_400_22_a_wrong_memory_for_topics_is_told_what_is_right(tester, value):
    assert_global_error(tester, f"WebSocketTopicMemory {value}", "WebSocketTopicMemory", value)


@pytest.mark.parametrize("line", [
    "WebSocketTopic %{PATH_INFO}", 'WebSocketTopic "/a b/%{reqenv:X}"', "WebSocketTopic /plain",
    "WebSocketTopicFromClient on", "WebSocketTopicHistory 0", "WebSocketTopicHistory 10 5min",
    "WebSocketTopicSlow CLOSE", "WebSocketTopicSlow drop", "WebSocketTopicSlow Latest",
])
def test_ws_400_23_good_values_for_topics_are_accepted(tester, line):
    assert_good(tester, f"{line}\n<Location /x>\n  {line}\n</Location>\n")


@pytest.mark.parametrize("value", [
    "9223372036854775808", "99999999999999999999", "18446744073709551615K", "9999999999G", "8589934592G",
])
def test_ws_400_40_a_size_that_no_memory_holds_is_told_the_largest(tester, value):
    for directive in ("WebSocketMaxMessageSize", "WebSocketSendBuffer", "WebSocketMessageMemory"):
        assert_global_error(
            tester, f"{directive} {value}", directive, f"'{value}' is more than memory can hold",
            "the largest is 9223372036854775807 bytes, or 8589934591G",
        )


def test_ws_400_41_the_largest_size_is_one(tester):
    for value in ("9223372036854775807", "8589934591G"):
        result, _ = tester.configtest(f"WebSocketMaxMessageSize {value}\n")
        assert result.returncode == 0, result.stderr


def test_ws_400_31_more_topics_than_one_websocket_may_have_are_an_error(tester):
    lines = [f"WebSocketTopic /{number}\n" for number in range(129)]
    assert_good(tester, f"<Location /x>\n{''.join(lines[:128])}</Location>\n")
    result, _ = tester.configtest(f"<Location /x>\n{''.join(lines)}</Location>\n")
    assert result.returncode != 0
    assert "WebSocketTopic: there are 128 already" in result.stderr
