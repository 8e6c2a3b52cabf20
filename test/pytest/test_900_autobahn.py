"""The Autobahn cases; see ../autobahn and ../README.md."""

import asyncio
import importlib.util
import json
import subprocess
import sys
import threading

import pytest

from harness import settings
from harness.conf import ECHO, RUST_ECHO, example, location

MODULES = ("ssl", "socache_shmcb")
WORKERS = 24
RUN = settings.ROOT / "test" / "autobahn" / "run.py"
PARALLEL = 8
# All but those of compression. These take seconds, those take minutes.
UNCOMPRESSED_GROUPS = (*range(1, 8), 9, 10)
ALL = "517 cases as expected: 514 OK, 3 INFORMATIONAL"
UNCOMPRESSED = "301 cases as expected: 298 OK, 3 INFORMATIONAL"
# kosoku takes an answer for broken that is not compressed.
COMPRESSION = ("WebSocketCompression On", "WebSocketCompressionMinSize 0")
# Groups 12 and 13 carry 10 GB each way, and kosoku's compressor has one speed. So that a run ends soon, the
# server's is at its default level in one of the four runs, and quick in the others.
QUICK = (*COMPRESSION, "WebSocketCompressionLevel 1", "WebSocketCompressionWindowBits 11")

pytestmark = pytest.mark.timeout(1800)


def configuration(server):
    certificates = server.certificates
    locations = (
        location("/echo", example(ECHO), *COMPRESSION),
        location("/quick/echo", example(ECHO), *QUICK),
        location("/rust/echo", example(RUST_ECHO)),
    )
    return "".join(locations) + f"""
{server.listen(server.tls_port)}
SSLSessionCache shmcb:run/ssl(512000)
<VirtualHost *:{server.tls_port}>
  SSLEngine on
  SSLCertificateFile "{certificates.server}"
  SSLCertificateKeyFile "{certificates.server_key}"
</VirtualHost>
"""


def run(url, *groups):
    """What the driver says of the cases of these groups, or of all."""
    cases = [word for group in groups for word in ("--case", f"{group}.*")]
    # A process of its own: kosoku changes the interpreter to suit the cases' Python 2.
    result = subprocess.run(
        [sys.executable, "-B", str(RUN), "--parallel", str(PARALLEL), *cases, url],
        capture_output=True, text=True, timeout=1750, check=False,
    )
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    return result.stdout.strip()


def run_all(mpm, url):
    if mpm == "prefork":
        # It has worker's driver, which has had groups 12 and 13.
        assert run(url, *UNCOMPRESSED_GROUPS) == UNCOMPRESSED
    else:
        assert run(url) == ALL


def test_ws_900_01_all_517_cases_end_as_expected(httpd):
    run_all(httpd.mpm, httpd.uri("/echo" if httpd.mpm == "event" else "/quick/echo"))


def test_ws_900_02_a_rust_plugin_gives_the_same_results(httpd):
    assert run(httpd.uri("/rust/echo"), *UNCOMPRESSED_GROUPS) == UNCOMPRESSED


def test_ws_900_03_the_same_results_under_tls(httpd):
    with TlsRelay(httpd.tls_port, httpd.certificates.client_context()) as port:
        run_all(httpd.mpm, f"ws://127.0.0.1:{port}/quick/echo")


def test_ws_900_04_the_expected_results_are_514_ok_and_3_informational():
    expected = json.loads((RUN.parent / "expected-results.json").read_text())
    ok = {"behavior": "OK", "behaviorClose": "OK"}
    others = {
        case: verdict for case, verdict in expected.items()
        if not ok.items() <= verdict.items()
    }
    assert len(expected) == 517
    assert len(expected) - len(others) == 514
    assert sorted(others) == ["7.1.6", "7.13.1", "7.13.2"]
    assert all(verdict["behavior"] == "INFORMATIONAL" for verdict in others.values())


@pytest.mark.parametrize("change", ["missing", "new", "different"])
def test_ws_900_05_any_difference_is_noticed(change):
    spec = importlib.util.spec_from_file_location("autobahn_run", RUN)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    expected = {"1.1.1": {"behavior": "OK"}, "1.1.2": {"behavior": "OK"}}
    actual = dict(expected)
    if change == "missing":
        del actual["1.1.2"]
    elif change == "new":
        actual["1.1.3"] = {"behavior": "OK"}
    else:
        actual["1.1.2"] = {"behavior": "NON-STRICT"}
    assert module.differences(expected, expected) == []
    assert len(module.differences(expected, actual)) == 1


class TlsRelay:
    """Takes plain connections and carries their bytes to a TLS port: kosoku speaks no TLS."""

    def __init__(self, port, context):
        self._target = port
        self._context = context
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self):
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._serve, "127.0.0.1", 0))
        return self._server.sockets[0].getsockname()[1]

    def __exit__(self, *_exception):
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    async def _close(self):
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        try:
            target_reader, target_writer = await asyncio.open_connection(
                "127.0.0.1", self._target, ssl=self._context, server_hostname="localhost"
            )
        except OSError:
            writer.close()
            return
        pumps = [
            asyncio.ensure_future(self._pump(reader, target_writer)),
            asyncio.ensure_future(self._pump(target_reader, writer)),
        ]
        try:
            # TLS has no half-closed connections: the end of one direction is the end of both.
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            for each in (writer, target_writer):
                each.close()

    @staticmethod
    async def _pump(reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
