"""Beside mod_lua with a state for each of httpd's threads, whose log hook runs for WebSockets too."""

import threading

from harness.conf import ECHO, example, location
from harness.hosts import TLS_MODULES, tls_host
from harness.waiting import eventually

MODULES = ("lua", *TLS_MODULES)
# Elsewhere a WebSocket has a thread of httpd's to itself.
MPMS = ("event",)
WORKERS = 12
ROUNDS = 15

LOG = """
require 'apache2'
local t = {}
function logged(r)
  for i = 1, 8000 do t[i % 100] = tostring(i) .. r.uri end
  return apache2.OK
end
"""
PAGE = """
local t = {}
function handle(r)
  for i = 1, 8000 do t[i % 100] = tostring(i) .. r.uri end
  r.content_type = "text/plain"
  r:puts("page")
  return apache2.OK
end
"""


def configuration(server):
    (server.directory / "log.lua").write_text(LOG)
    (server.document_root / "page.lua").write_text(PAGE)
    return f"""
LuaScope thread
LuaHookLog "{server.directory}/log.lua" logged
<Files "*.lua">
  SetHandler lua-script
</Files>
{location("/echo", example(ECHO))}
{tls_host(server)}
"""


def test_ws_525_01_endings_run_lua_in_a_state_of_their_own_while_pages_run(httpd):
    children = set(httpd.children())
    problems, is_over = [], threading.Event()

    def ask_pages():
        try:
            while not is_over.is_set():
                response = httpd.ask("/page.lua")
                assert (response.status, response.text) == (200, "page")
        except Exception as problem:  # noqa: BLE001 - told by the test's own thread
            problems.append(problem)

    threads = [threading.Thread(target=ask_pages) for _ in range(6)]
    for thread in threads:
        thread.start()
    try:
        tls = httpd.certificates.client_context()
        for number in range(ROUNDS):
            clients = [httpd.open("/echo", tls=tls if number % 3 == 0 else None) for _ in range(4)]
            for client in clients:
                client.echo("hello")
                client.send_close(1000)
            for client in clients:
                client.expect_close(1000)
                client.vanish()
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    assert not problems
    line = '"GET /echo HTTP/1.1" 101'
    eventually(
        lambda: httpd.access_log.read_text().count(line) >= 4 * ROUNDS, "a line for each WebSocket"
    )
    assert children <= set(httpd.children()), "a child has died"
