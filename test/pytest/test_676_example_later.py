"""The example with a tokio runtime: answers that come later, and hold nothing up."""

from harness.conf import location
from harness.rawclient import TEXT

LATER = 'WebSocketHandler {} later_init'


def configuration(server):
    return location("/later", LATER.format(server.module("mod_websocket_rust_later")))


def test_ws_676_01_who_waits_longer_is_answered_later(httpd):
    with httpd.open("/later") as client:
        for text in ("1500 slow", "0 quick", "tea"):
            client.send_frame(TEXT, text)
        answers = [client.receive_message().text for _ in range(3)]
        assert sorted(answers[:2]) == ["how many milliseconds?", "quick"]
        assert answers[2] == "slow"
        client.close_properly()


def test_ws_676_02_an_answer_that_is_late_harms_nobody(make_httpd, mpm):
    server = make_httpd(mpm, configuration, workers=3)
    server.start()
    with server.open("/later") as client:
        client.send_frame(TEXT, "60000 never")
        client.send_frame(TEXT, "0 now")
        assert client.receive_message().text == "now"
        client.close_properly()
    # The task is still there; the process ends with it.
    server.graceful()
    with server.open("/later") as client:
        client.send_frame(TEXT, "0 again")
        assert client.receive_message().text == "again"
        client.close_properly()
