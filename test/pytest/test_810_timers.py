"""set_timer and on_timer."""

import asyncio

import pytest

from harness.asyncclient import AsyncClient, gather, run
from harness.conf import location, plugin
from harness.hosts import TLS_MODULES, tls_host
from harness.rawclient import BINARY, CLOSE, TEXT, close_frame, frame
from harness.scripted import WOULD_BLOCK, Records, ask, scripts, tell
from harness.waiting import eventually

MODULES = TLS_MODULES
WORKERS = 24
DAY = 86_400_000


def configuration(server):
    return location("/scripted", plugin("scripted")) + tls_host(server)


@pytest.fixture(params=["plain", "tls"])
def tls(request, httpd):
    return httpd.certificates.client_context() if request.param == "tls" else None


@pytest.fixture
def records(httpd):
    return Records(httpd)


def let_timers_pass(httpd):
    """Timers of 20 ms, one after the other, on a connection of their own: older ones are over."""
    with httpd.open("/scripted", scripts(on_timer="send text tick")) as client:
        for _ in range(5):
            tell(client, "set_timer 20")
            assert client.receive_message().text == "tick"
        client.close_properly()


def test_ws_810_01_a_timer_that_is_set_in_on_connect_comes_after_on_open(httpd, records, tls):
    fields = scripts(
        on_connect="set_timer 1; pause 50", on_open="pause 20", on_timer="send text tick"
    )
    with httpd.open("/scripted", fields, tls=tls) as client:
        assert client.receive_message().text == "tick"
        client.close_properly()
    assert records.wait_for_end()[:3] == ["connect", "open", "timer"]
    assert records.result("set_timer 1") == "1"


@pytest.mark.parametrize("where", ["on_open", "on_message", "a thread"])
def test_ws_810_02_a_timer_comes_once(httpd, records, tls, where):
    fields = scripts(on_timer="send text tick")
    if where == "on_open":
        fields += scripts(on_open="set_timer 5")
    with httpd.open("/scripted", fields, tls=tls) as client:
        if where == "on_message":
            tell(client, "set_timer 5")
        elif where == "a thread":
            tell(client, "thread set_timer 5")
        assert client.receive_message().text == "tick"
        let_timers_pass(httpd)
        assert ask(client, "echo no more") == "no more"
        client.close_properly()
    records.wait_for_ends(2)
    first = next(iter(records.connections().values()))
    assert first.count("timer") == 1


def test_ws_810_03_on_timer_may_set_the_next(httpd, records, tls):
    fields = scripts(on_open="set_timer 1", on_timer="send text tick; set_timer 1")
    with httpd.open("/scripted", fields, tls=tls) as client:
        for _ in range(20):
            assert client.receive_message().text == "tick"
        client.send(close_frame(1000))
        while client.receive_frame().opcode != CLOSE:
            pass
        assert client.receive_to_eof() == b""
    records.wait_for_ends()


@pytest.mark.parametrize("thread", ["", "thread "])
@pytest.mark.parametrize("second", [0, DAY])
def test_ws_810_04_a_second_call_replaces_the_first(httpd, records, thread, second):
    with httpd.open("/scripted", scripts(on_timer="send text tick")) as client:
        # In one write: the first must not run out before the second is there.
        client.send(frame(BINARY, "set_timer 500") + frame(BINARY, f"{thread}set_timer {second}"))
        assert records.result(f"set_timer {second}") == "1"
        for _ in range(6):
            let_timers_pass(httpd)
        assert ask(client, "echo nothing else") == "nothing else"
        # Nor is anything left of it that would swallow the next.
        tell(client, "set_timer 1")
        assert client.receive_message().text == "tick"
        client.close_properly()


def test_ws_810_05_an_earlier_time_may_replace_a_later_one(httpd, records, tls):
    with httpd.open("/scripted", scripts(on_timer="send text tick"), tls=tls) as client:
        tell(client, f"set_timer {DAY}")
        tell(client, "set_timer 10")
        assert client.receive_message().text == "tick"
        tell(client, f"set_timer {DAY}")
        tell(client, "thread set_timer 10")
        assert client.receive_message().text == "tick"
        client.close_properly()
    records.wait_for_ends()


def test_ws_810_06_a_timer_that_runs_out_in_a_callback_waits_for_its_end(httpd, records):
    with httpd.open("/scripted", scripts(on_timer="send text tick")) as client:
        tell(client, "set_timer 1; pause 100; send text slow")
        assert [client.receive_message().text for _ in range(2)] == ["slow", "tick"]
        client.close_properly()
    records.wait_for_ends()
    order = records.of_connection()
    assert order.index("does send text slow = 4") < order.index("timer")


def test_ws_810_07_a_timer_comes_while_messages_do(httpd, records, tls):
    fields = scripts(on_open="set_timer 1", on_timer="set_timer 1")
    with httpd.open("/scripted", fields, tls=tls) as client:

        def ticks():
            client.send(frame(TEXT, "echo x") * 20)
            for _ in range(20):
                assert client.receive_message().text == "x"
            return len(records.find("timer")) >= 10

        eventually(ticks, "ten timers beside messages")
        client.close_properly()
    records.wait_for_ends()


def test_ws_810_08_a_timer_comes_while_the_peer_takes_nothing(httpd, records, tls):
    with httpd.open("/scripted", scripts(on_timer="set_timer 5"), tls=tls,
                    receive_buffer=4096) as client:
        tell(client, "fill 100000; set_timer 5")
        assert records.result("fill 100000").split()[1] == WOULD_BLOCK
        records.wait_for("timer", 5)
    records.wait_for_ends()


def test_ws_810_09_no_timer_comes_after_the_end(httpd, records):
    for way in ("close_properly", "vanish", "reset"):
        client = httpd.open("/scripted", scripts(on_open="set_timer 50"))
        assert ask(client, "echo hello") == "hello"
        getattr(client, way)()
        client.vanish()
    let_timers_pass(httpd)
    let_timers_pass(httpd)
    # The last of each is on_disconnect, which wait_for_ends sees to.
    for ended in list(records.wait_for_ends(5).values())[:3]:
        assert ended[-2:] in (
            ["close 1000 1 ", "disconnect"], ["close 1006 0 ", "disconnect"]
        )


def test_ws_810_10_the_times_that_are_accepted(httpd):
    with httpd.open("/scripted") as client:
        assert ask(client, f"set_timer {DAY}; set_timer 0; set_timer 0") == "1; 1; 1"
        client.close_properly()


def test_ws_810_11_on_timer_may_close(httpd, records, tls):
    fields = scripts(on_open="set_timer 1", on_timer="close_with 4000 time is up; set_timer 1")
    with httpd.open("/scripted", fields, tls=tls) as client:
        received = client.receive_frame()
        assert (received.close_code, received.payload[2:]) == (4000, b"time is up")
        client.send_close(4000)
        assert client.receive_to_eof() == b""
    assert records.wait_for_end()[-2:] == ["close 4000 1 ", "disconnect"]


def test_ws_810_12_many_connections_have_their_own_timers(httpd, records, mpm):
    count, ticks = (500, 20) if mpm == "event" else (20, 20)

    async def one(number, gate):
        # Different times, so that they come in another order than they were set in.
        milliseconds = 1 + number * 7 % 50
        async with gate:
            client = await AsyncClient.open(httpd, "/scripted", headers=scripts(
                on_open=f"set_timer {milliseconds}",
                on_timer=f"send text {number}; set_timer {milliseconds}",
            ))
        for _ in range(ticks):
            received = await client.receive_message()
            assert received.payload == b"%d" % number
        client.write(close_frame(1000))
        while (await client.receive_frame()).opcode != CLOSE:
            pass
        assert await client.reader.read() == b""
        client.vanish()

    async def main():
        gate = asyncio.Semaphore(12)  # so that worker threads are left
        await gather(*(one(number, gate) for number in range(count)))

    run(main())
    for ended in records.wait_for_ends(count).values():
        assert ended.count("timer") >= ticks
