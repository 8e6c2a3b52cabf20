"""permessage-deflate between Chromium and the demo's two echoes: one has it, one has not."""

import pytest

pytest_plugins = "harness.demo"

# Sends messages of every kind and waits for each one's echo; says what differs.
EXCHANGE = """
const [path, sizes] = arguments;
const socket = new WebSocket(location.origin.replace("http", "ws") + path);
socket.binaryType = "arraybuffer";
const next = () => new Promise((resolve, reject) => {
  socket.onmessage = ({ data }) => resolve(data);
  socket.onclose = ({ code }) => reject(`closed ${code}`);
});
await new Promise((resolve, reject) => {
  socket.onopen = resolve;
  socket.onclose = ({ code }) => reject(`closed ${code}`);
});

const words = '{"name":"Grüße","mark":"🌍","values":[1,2,3]},';
// So long, and no half of a character at its end.
const repeated = (size) =>
  words.repeat(Math.ceil(size / words.length)).slice(0, size).replace(/[\\ud800-\\udbff]$/, ".");
const random = (size) => {
  const bytes = new Uint8Array(size);
  for (let begin = 0; begin < size; begin += 65536) {
    crypto.getRandomValues(bytes.subarray(begin, begin + 65536));
  }
  return bytes;
};
const same = (sent, back) => typeof sent === "string" ? sent === back
  : back.byteLength === sent.length
    && new Uint8Array(back).every((byte, index) => byte === sent[index]);

const differences = [];
let count = 0;
for (const size of sizes) {
  for (const message of [repeated(size), new Uint8Array(size), random(size)]) {
    const echo = next();
    socket.send(message);
    count++;
    if (!same(message, await echo)) {
      differences.push(`${typeof message} of ${size}`);
    }
  }
}
const closed = new Promise((resolve) => { socket.onclose = ({ code }) => resolve(code); });
socket.close(1000);
return { extensions: socket.extensions, count, differences, code: await closed };
"""

# Around the lengths of frame headers, WebSocketCompressionMinSize and the compressor's window.
SIZES = [0, 1, 125, 126, 255, 256, 257, 32767, 32768, 32769, 65535, 65536, 1 << 20]


@pytest.mark.parametrize("path, extensions", [("/rust/echo", "permessage-deflate"), ("/echo", "")])
def test_ws_882_01_messages_of_every_size_are_echoed_intact(window, site, path, extensions):
    page = window(site)
    result = page.run_async(EXCHANGE, path, SIZES)
    assert not result["differences"]
    assert result["count"] == 3 * len(SIZES)
    assert result["extensions"] == extensions
    assert result["code"] == 1000


def test_ws_882_02_many_messages_share_one_compressor(window, site):
    page = window(site)
    result = page.run_async(EXCHANGE, "/rust/echo", [300 + step for step in range(200)])
    assert result["count"] == 600 and not result["differences"]


def test_ws_882_03_the_client_page_says_what_was_agreed(window, site):
    page = window(site + "client.html")
    for path, shown in (("/rust/echo", "permessage-deflate"), ("/echo", "–")):
        page.choose("endpoint", path)
        page.click("connect")
        page.wait_for_state("open")
        assert page.text("extensions") == shown
        page.click("disconnect")
        page.wait_for_state("closed 1000")
