"""The Autobahn cases of groups 12 and 13, permessage-deflate; see ../autobahn and ../README.md."""

import json
import subprocess
import sys

import pytest

from harness.conf import ECHO, example, location
from test_900_autobahn import RUN, TlsRelay

MODULES = ("ssl", "socache_shmcb")
WORKERS = 24
MPMS = ("event", "worker")
# The smallest and a middling message of each of the twelve kinds of groups 12 and 13.
SOME = [f"{group}.{kind}.{size}" for group, kinds in ((12, 5), (13, 7))
        for kind in range(1, kinds + 1) for size in (1, 5, 12)]


def configuration(server):
    certificates = server.certificates
    # kosoku takes an answer for broken that is not compressed.
    return location("/echo", example(ECHO) + """
WebSocketCompression On
WebSocketCompressionMinSize 0
""") + f"""
{server.listen(server.tls_port)}
SSLSessionCache shmcb:run/ssl(512000)
<VirtualHost *:{server.tls_port}>
  SSLEngine on
  SSLCertificateFile "{certificates.server}"
  SSLCertificateKeyFile "{certificates.server_key}"
</VirtualHost>
"""


def run(*arguments):
    result = subprocess.run(
        [sys.executable, "-B", str(RUN), "--compression", "--parallel", "4", *arguments],
        capture_output=True, text=True, timeout=800, check=False,
    )
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    return result.stdout


@pytest.mark.timeout(900)
def test_ws_910_01_all_216_cases_end_as_expected(httpd):
    if httpd.mpm == "event":
        assert "216 cases as expected" in run(httpd.uri("/echo"))
    else:
        # They take minutes of kosoku's time; what differs between the MPMs shows in some.
        cases = [argument for case in SOME for argument in ("--case", case)]
        assert f"{len(SOME)} cases as expected" in run(*cases, httpd.uri("/echo"))


@pytest.mark.timeout(300)
def test_ws_910_02_the_same_results_under_tls(httpd):
    cases = [argument for case in SOME for argument in ("--case", case)]
    with TlsRelay(httpd.tls_port, httpd.certificates.client_context()) as port:
        assert f"{len(SOME)} cases as expected" in run(*cases, f"ws://127.0.0.1:{port}/echo")


def test_ws_910_03_every_expected_result_is_ok():
    expected = json.loads((RUN.parent / "expected-compression.json").read_text())
    assert len(expected) == 216
    assert {(one["behavior"], one["behaviorClose"]) for one in expected.values()} == {("OK", "OK")}
