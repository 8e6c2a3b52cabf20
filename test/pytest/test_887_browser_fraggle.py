"""The demo's fraggle in a browser: a message in many fragments arrives whole, both ways."""

import pytest

from harness.waiting import eventually

pytest_plugins = "harness.demo"


@pytest.fixture
def fraggle(window, site):
    page = window(site + "fraggle.html")
    page.wait_for_state("open")
    return page


def wait_for_message(page):
    page.wait_for("verdict", "✓ intact")
    assert page.text("own-crc") == page.text("server-crc")
    return page.text("own-crc")


def size(page, name):
    return int(page.text(name).removesuffix(" B").replace(",", ""))


def connect_with(page, fragments, seed=""):
    page.click("disconnect")
    page.wait_for_state("closed 1000")
    page.enter("fragments", str(fragments))
    page.enter("seed", str(seed))
    page.click("connect")
    return wait_for_message(page)


def test_ws_887_01_a_thousand_fragments_arrive_as_one_message(fraggle):
    wait_for_message(fraggle)
    assert fraggle.text("fragment-count") == "1024"
    assert 1024 <= size(fraggle, "bytes") <= 1024 * 2001


def test_ws_887_02_a_single_fragment_arrives_too(fraggle):
    wait_for_message(fraggle)
    connect_with(fraggle, 1)
    assert fraggle.text("fragment-count") == "1"
    assert 1 <= size(fraggle, "bytes") <= 2001


def test_ws_887_03_a_seed_makes_the_same_message_again(fraggle):
    wait_for_message(fraggle)
    largest_seed = 2**64 - 1
    first = connect_with(fraggle, 100, largest_seed)
    assert connect_with(fraggle, 100, largest_seed) == first
    assert connect_with(fraggle, 100, 7) != first


def test_ws_887_04_again_sends_another_message(fraggle):
    first = wait_for_message(fraggle)
    fraggle.click("again")
    assert wait_for_message(fraggle) != first


@pytest.mark.parametrize("count", [1, 1024, 65536, 1 << 20, 2 << 20])
def test_ws_887_05_the_server_gets_whole_messages_too(fraggle, count):
    wait_for_message(fraggle)
    fraggle.choose("size", str(count))
    fraggle.click("send")
    fraggle.wait_for("answer", "✓ intact")
    assert size(fraggle, "answer-bytes") == count
    assert fraggle.text("answer-crc") == fraggle.text("sent-crc")


def test_ws_887_06_the_server_sees_a_wrong_checksum(fraggle):
    wait_for_message(fraggle)
    fraggle.click("send-wrong")
    fraggle.wait_for("answer", "✗ damaged")
    assert fraggle.text("answer-crc") != fraggle.text("sent-crc")
    fraggle.click("send")
    fraggle.wait_for("answer", "✓ intact")


def test_ws_887_07_it_is_good_to_look_at(fraggle):
    wait_for_message(fraggle)
    fraggle.click("send")
    fraggle.wait_for("answer", "✓ intact")
    eventually(
        lambda: fraggle.run(
            "const context = document.getElementById('noise').getContext('2d');"
            "return context.getImageData(255, 63, 1, 1).data[3]"
        ) == 255,
        "the picture of the bytes",
    )
    fraggle.look("fraggle")
