"""What only the event MPM gives: WebSockets that hold no worker thread."""

from harness.conf import location, plugin

MPMS = ("event",)
WORKERS = 25
MANY = 400


def configuration(server):
    (server.document_root / "page.html").write_text("a page\n")
    return location("/recorder", plugin("recorder"))


def test_ws_630_01_websockets_hold_no_worker_thread(httpd):
    children = httpd.children()
    recorder = httpd.recorder()
    clients = [httpd.open("/recorder") for _ in range(MANY)]
    try:
        for number, client in enumerate(clients):
            client.echo(f"client {number}")
        # As many as sixteen times the worker threads of one child, and pages are still served.
        assert httpd.ask("/page.html").text == "a page\n"
        assert httpd.children() == children
        for client in reversed(clients):
            client.echo("and back")
    finally:
        for client in clients:
            client.vanish()
    recorder.wait_for_ends(MANY)
