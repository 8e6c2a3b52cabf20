"""The examples mirror and chat on several children: one room for all of them."""

import json
from contextlib import ExitStack

from harness.conf import example, location
from harness.rawclient import TEXT
from harness.status import LOCATION
from harness.topics import on_several_children, several_children

WORKERS = 40
MIRROR = ("mod_websocket_rust_mirror", "mirror_init")
CHAT = ("mod_websocket_rust_chat", "chat_init")


def configuration(server):
    return (
        several_children(server)
        + LOCATION
        + location("/mirror", example(MIRROR))
        + location("/chat", example(CHAT))
    )


def hear(client, **wanted):
    """The next message that has these values."""
    while True:
        news = json.loads(client.receive_message().text)
        if all(news.get(name) == value for name, value in wanted.items()):
            return news


def test_ws_661_03_all_children_draw_together(httpd):
    with ExitStack() as stack:
        painters = on_several_children(httpd, lambda: stack.enter_context(httpd.open("/mirror")))
        for x, painter in enumerate(painters[:3]):
            painter.send_frame(TEXT, f'{{"x":0.{x},"y":0,"r":0.1,"c":"#000000"}}')
        processes = set()
        for painter in painters:
            processes.add(hear(painter, members=len(painters))["process"])
        orders = [[hear(painter, c="#000000")["x"] for _ in range(3)] for painter in painters]
        assert sorted(orders[0]) == [0, 0.1, 0.2]
        assert all(order == orders[0] for order in orders)
        assert len(processes) >= 3


def test_ws_661_04_all_children_talk_together(httpd):
    with ExitStack() as stack:
        guests = on_several_children(httpd, lambda: stack.enter_context(httpd.open("/chat")))
        for number, guest in enumerate(guests):
            guest.send_frame(TEXT, json.dumps({"nick": f"guest {number}"}))
            hear(guest, type="join", nick=f"guest {number}", members=number + 1)
        guests[1].send_frame(TEXT, '{"nick":"guest 1"}')
        assert hear(guests[1], type="error")["error"].startswith("this is no message")
        guests[0].send_frame(TEXT, '{"text":"Hello, all!"}')
        for guest in guests:
            assert hear(guest, type="message")["text"] == "Hello, all!"
        late = stack.enter_context(httpd.open("/chat"))
        late.send_frame(TEXT, '{"nick":"guest 0"}')
        assert hear(late, type="error")["error"] == "somebody has this nickname"
        late.send_frame(TEXT, '{"nick":"late"}')
        assert hear(late, type="message")["text"] == "Hello, all!"
        hear(late, type="join", nick="late", members=len(guests) + 1)
        guests[2].vanish()
        for guest in (guests[0], late):
            hear(guest, type="leave", nick="guest 2", members=len(guests))
