"""A mixed load with a fixed seed."""

import random
import threading

from harness.conf import location, plugin
from harness.rawclient import BINARY, CONTINUATION, PING, PONG, TEXT, frame

MODULES = ("ssl", "socache_shmcb")
WORKERS = 24
CLIENTS, TURNS = 12, 40


def configuration(server):
    certificates = server.certificates
    return location("/recorder", plugin("recorder")) + f"""
{server.listen(server.tls_port)}
SSLSessionCache shmcb:run/ssl(512000)
<VirtualHost *:{server.tls_port}>
  SSLEngine on
  SSLCertificateFile "{certificates.server}"
  SSLCertificateKeyFile "{certificates.server_key}"
</VirtualHost>
"""


def test_ws_620_01_a_mixed_load_with_a_fixed_seed_leaves_nothing_behind(httpd):
    context = httpd.certificates.client_context()
    recorder = httpd.recorder()
    opened, failures = [], []

    def life(choose):
        """One connection: messages of mixed sizes, whole and in fragments, then some end."""
        tls = context if choose.random() < 0.4 else None
        client = httpd.open("/recorder", tls=tls)
        opened.append(client)
        for _ in range(choose.randrange(5)):
            payload = choose.randbytes(int(2 ** choose.uniform(0, 17)))
            if choose.random() < 0.3:
                cuts = sorted(choose.randrange(len(payload) + 1) for _ in range(3))
                pieces = [payload[a:b] for a, b in zip([0, *cuts], [*cuts, len(payload)])]
                for number, piece in enumerate(pieces):
                    client.send_frame(
                        CONTINUATION if number else BINARY, piece, fin=number == len(pieces) - 1
                    )
                    if choose.random() < 0.3 and number < len(pieces) - 1:
                        client.send_frame(PING, "between")
                        assert client.receive_frame().opcode == PONG
            else:
                client.send_frame(BINARY, payload)
            assert client.receive_message().payload == payload
        end = choose.randrange(6)
        if end == 0:
            client.close_properly(1000 + choose.randrange(3))
        elif end == 1:
            client.send(frame(TEXT, b"\xff"))
            client.expect_close(1007)
        elif end == 2:
            client.send(frame(BINARY, b"x" * 5000)[: choose.randrange(5000)])
        elif end == 3:
            client.send(frame(BINARY, b"x" * 300_000))
        elif end == 4:
            client.send(frame(BINARY, b"x" * 5000)[: choose.randrange(5000)])
            client.reset()
        client.vanish()

    def run(seed):
        choose = random.Random(seed)
        try:
            for _ in range(TURNS):
                life(choose)
        except BaseException as failure:  # noqa: BLE001
            failures.append((seed, failure))

    children = set(httpd.children())
    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    recorder.wait_for_ends(CLIENTS * TURNS)
    if httpd.mpm != "prefork":  # there the number of idle children is regulated
        assert children <= set(httpd.children())
