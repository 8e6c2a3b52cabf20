import { Connection, element } from "./socket.js";

const RANDOM_BYTES_AT_ONCE = 65536;

let message = null;
let sentCrc = null;

const connection = new Connection({
  address: () => {
    const query = new URLSearchParams({ fragments: element("fragments").value });
    if (element("seed").value) {
      query.set("seed", element("seed").value);
    }
    return `/fraggle?${query}`;
  },
  opening: forget,
  received: (data) => {
    if (typeof data !== "string") {
      message = new Uint8Array(data);
      return;
    }
    const news = JSON.parse(data);
    if ("ok" in news) {
      showAnswer(news);
    } else {
      showMessage(news);
    }
  },
});

// --- CRC-32 as in zlib ---

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit++) {
    remainder = remainder & 1 ? (remainder >>> 1) ^ 0xedb88320 : remainder >>> 1;
  }
  return remainder;
});

function crc32(bytes) {
  let remainder = 0xffffffff;
  for (const byte of bytes) {
    remainder = (remainder >>> 8) ^ CRC_TABLE[(remainder ^ byte) & 0xff];
  }
  return hex(~remainder);
}

function hex(number) {
  return (number >>> 0).toString(16).padStart(8, "0");
}

// --- From the server ---

function showMessage({ bytes, fragments, crc32: expected }) {
  const own = crc32(message);
  element("bytes").textContent = size(message.length);
  element("fragment-count").textContent = fragments;
  element("server-crc").textContent = expected;
  element("own-crc").textContent = own;
  showVerdict("verdict", own === expected && message.length === bytes, "intact", "damaged");
  drawNoise();
}

/** One grey pixel for each of the message's first bytes. */
function drawNoise() {
  const canvas = element("noise");
  const context = canvas.getContext("2d");
  const picture = context.createImageData(canvas.width, canvas.height);
  message.subarray(0, canvas.width * canvas.height).forEach((byte, pixel) => {
    picture.data.set([byte, byte, byte, 255], 4 * pixel);
  });
  context.putImageData(picture, 0, 0);
}

function forget() {
  for (const id of ["bytes", "fragment-count", "server-crc", "own-crc", "verdict"]) {
    element(id).textContent = "–";
    delete element(id).dataset.good;
  }
}

// --- To the server ---

function randomBytes(count) {
  const bytes = new Uint8Array(count);
  for (let begin = 0; begin < count; begin += RANDOM_BYTES_AT_ONCE) {
    crypto.getRandomValues(bytes.subarray(begin, begin + RANDOM_BYTES_AT_ONCE));
  }
  return bytes;
}

/** `spoil` makes of the right checksum the one to send. */
function send(spoil) {
  const bytes = randomBytes(Number(element("size").value));
  sentCrc = spoil(crc32(bytes));
  element("sent-crc").textContent = sentCrc;
  element("answer-crc").textContent = element("answer-bytes").textContent = element("answer").textContent = "–";
  delete element("answer").dataset.good;
  connection.send(bytes);
  connection.send(JSON.stringify({ crc32: sentCrc }));
}

function showAnswer({ ok, bytes, crc32: computed }) {
  element("answer-crc").textContent = computed;
  element("answer-bytes").textContent = size(bytes);
  showVerdict("answer", ok, "intact", "damaged");
}

function showVerdict(id, good, yes, no) {
  element(id).textContent = good ? `✓ ${yes}` : `✗ ${no}`;
  element(id).dataset.good = good ? "yes" : "no";
}

function size(bytes) {
  return `${bytes.toLocaleString("en")} B`;
}

element("again").onclick = () => {
  forget();
  connection.send("again");
};
element("send").onclick = () => send((crc) => crc);
element("send-wrong").onclick = () => send((crc) => hex(~parseInt(crc, 16)));
connection.open();
