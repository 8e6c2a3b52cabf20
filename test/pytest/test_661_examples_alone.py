"""The examples mirror and chat under prefork: a process has one WebSocket, so everybody is alone."""

import json

from harness.conf import example, location
from harness.rawclient import TEXT

MPMS = ("prefork",)
MIRROR = ("mod_websocket_rust_mirror", "mirror_init")
CHAT = ("mod_websocket_rust_chat", "chat_init")


def configuration(_server):
    return location("/mirror", example(MIRROR)) + location("/chat", example(CHAT))


def test_ws_661_01_each_draws_alone(httpd):
    with httpd.open("/mirror") as ada, httpd.open("/mirror") as bob:
        for client, x in ((ada, 0), (bob, 1)):
            assert json.loads(client.receive_message().text) == {"members": 1}
            client.send_frame(TEXT, f'{{"x":{x},"y":0,"r":0.1,"c":"#000000"}}')
        for client, x in ((ada, 0), (bob, 1)):
            assert json.loads(client.receive_message().text)["x"] == x
            client.close_properly()


def test_ws_661_02_each_talks_alone(httpd):
    with httpd.open("/chat") as first, httpd.open("/chat") as second:
        for client in (first, second):
            client.send_frame(TEXT, '{"nick":"Ada"}')
            assert json.loads(client.receive_message().text)["type"] == "history"
            assert json.loads(client.receive_message().text)["members"] == 1
        for client in (first, second):
            client.close_properly()
