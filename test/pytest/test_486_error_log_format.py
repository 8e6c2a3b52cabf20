"""ErrorLogFormat: whatever it asks for, lines of WebSockets that another thread writes have it, or nothing in its place."""

import re

import pytest

from harness.conf import ECHO, example, location
from harness.rawclient import CLOSE, TEXT
from harness.waiting import eventually

# All items that httpd has. What is nothing is left out, up to the next space.
ITEMS = (
    "named=%V configured=%v here=%A peer=%a of-connection=%{c}a kept=%k host=%{Host}i note=%{note}n variable=%{NAME}e "
    "file=%F error=%E request-id=%L id=%{c}L once=%{C}L time=%{cu}t thread=%{g}T"
)
NAMES = {"Off": "asked.example", "On": "named.example", "DNS": None}


@pytest.mark.parametrize("canonical", NAMES)
def test_ws_486_01_every_item_of_a_format_can_be_written(make_httpd, mpm, canonical):
    server = make_httpd(
        mpm,
        f"ServerName named.example\nUseCanonicalName {canonical}\n"
        f'ErrorLogFormat "[%{{u}}t] [%-m:%l] [pid %P:tid %T] {ITEMS} %M"\n'
        + location("/echo", example(ECHO), "WebSocketMaxMessageSize 10"),
    ).start()
    children = server.children()
    for _ in range(3):
        with server.open("/echo", host="asked.example") as client:
            client.echo("hello")
            client.close_properly()
        with server.open("/echo", host="asked.example") as client:
            client.send_frame(TEXT, "too long for it")
            assert client.receive_frame().opcode == CLOSE
    lines = eventually(lambda: enough(server.error_log.find("WS0302"), 6), "a line for each end")
    for line in lines:
        said = dict(item.split("=") for item in re.findall(r"[\w-]+=\S+", line.text.split("WS0302")[0]))
        assert said["named"] == NAMES[canonical] or canonical == "DNS"
        assert said["configured"] == "named.example"
        assert said["here"] == f"127.0.0.1:{server.port}"
        assert said["peer"] == said["of-connection"] and re.fullmatch(r"127\.0\.0\.1:\d+", said["peer"])
        assert said["request-id"] != said["id"]
    assert server.children() == children


def enough(lines, count):
    return lines if len(lines) >= count else None
