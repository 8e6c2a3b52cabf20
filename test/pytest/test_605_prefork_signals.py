"""What prefork tells its children by signals, and when it reaches them."""

import signal
import threading

from harness.conf import location, plugin
from harness.rawclient import TEXT, frame, handshake_headers
from harness.recorder import Recorder
from harness.scripted import Records, scripts

MPMS = ("prefork",)
GOING_AWAY = 1001
CROWD = 12


def test_ws_605_01_a_graceful_restart_reaches_a_child_whose_plugin_took_the_signal(make_httpd, mpm):
    text = location("/deaf", plugin("deaf")) + "WebSocketDrainTimeout 1s\n"
    server = make_httpd(mpm, text).start()
    with server.open("/deaf") as client:
        client.echo("hello")
        server.signal(signal.SIGUSR1)
        assert client.receive_frame().close_code == GOING_AWAY
        client.send_close(GOING_AWAY)
        assert client.receive_to_eof() == b""


def test_ws_605_02_a_stop_finds_every_websocket_at_rest(make_httpd, mpm):
    """Each has its on_disconnect, once, although messages come without end."""
    server = make_httpd(mpm, location("/recorder", plugin("recorder")), workers=CROWD + 4).start()
    recorder = Recorder(server)
    clients = [server.open("/recorder") for _ in range(CROWD)]
    messages = frame(TEXT, "x") * 100

    def flood(client):
        try:
            while True:
                client.send_while_receiving(messages)
                client.receive_some()
        except OSError:
            pass

    for client in clients:
        client.echo("hello")
    threads = [threading.Thread(target=flood, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    server.signal(signal.SIGTERM)
    for thread in threads:
        thread.join(30)
    server.stop()
    for client in clients:
        client.vanish()
    recorder.wait_for_ends(CROWD)


def test_ws_605_03_a_stop_waits_for_on_connect_and_then_ends_the_websocket(make_httpd, mpm):
    """child_stop comes last, after the on_disconnect of who was accepted meanwhile."""
    server = make_httpd(mpm, location("/scripted", plugin("scripted"))).start()
    records = Records(server)
    client = server.client()
    client.send_request("/scripted", handshake_headers() + scripts(on_connect="pause 1000"))
    records.wait_for("connect")
    server.signal(signal.SIGTERM)
    records.wait_for("disconnect")
    server.stop()
    client.vanish()
    (pid, _), = records.connections()
    assert records.of_connection()[-1] == "disconnect"
    whats = [line.split(" ", 2)[2] for line in records.lines() if line.startswith(f"{pid} ")]
    assert whats[-1].startswith("child_stop ")
