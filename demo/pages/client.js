"use strict";

const STATES = ["CONNECTING", "OPEN", "CLOSING", "CLOSED"];
// The log is for reading: a server that never stops sending must not fill the browser's memory.
const LOG_LINES = 500;
const SHOWN_BYTES = 32;

const element = (id) => document.getElementById(id);
let socket = null;

/** An address as typed: a path of this server, or a whole ws: or wss: address. */
function absoluteAddress(typed) {
  const address = new URL(typed, location.href);
  if (address.protocol === "http:" || address.protocol === "https:") {
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  }
  address.hash = "";
  return address.href;
}

function connect() {
  const names = element("subprotocols").value.split(",").map((name) => name.trim()).filter(Boolean);
  try {
    socket = new WebSocket(absoluteAddress(element("address").value), names);
  } catch (error) {
    log("event", `not opened: ${error.message}`);
    return;
  }
  socket.binaryType = "arraybuffer";
  socket.onopen = () => {
    log("event", "open");
    showState();
  };
  socket.onmessage = ({ data }) => log("received", describe(data));
  socket.onerror = () => log("event", "error (browsers do not tell scripts which)");
  socket.onclose = ({ code, reason, wasClean }) => {
    log("event", `closed: ${code}${reason && ` ${reason}`}${wasClean ? "" : " (without a closing handshake)"}`);
    element("close-code").textContent = code;
    element("close-reason").textContent = reason || "–";
    showState();
  };
  element("close-code").textContent = "–";
  element("close-reason").textContent = "–";
  log("event", `connecting to ${socket.url}`);
  showState();
}

function send(data) {
  socket.send(data);
  log("sent", describe(data));
}

function disconnect() {
  socket.close(1000, "closed by the user");
  showState();
}

/** A message in words: a text as it is, bytes in hex. */
function describe(data) {
  if (typeof data === "string") {
    return data;
  }
  const bytes = new Uint8Array(data);
  const hex = Array.from(bytes.subarray(0, SHOWN_BYTES), (byte) => byte.toString(16).padStart(2, "0"));
  return `[${bytes.length} bytes] ${hex.join(" ")}${bytes.length > SHOWN_BYTES ? " …" : ""}`;
}

function log(kind, text) {
  const list = element("log");
  const line = document.createElement("li");
  line.className = kind;
  line.textContent = text;
  list.append(line);
  while (list.childElementCount > LOG_LINES) {
    list.firstElementChild.remove();
  }
  list.scrollTop = list.scrollHeight;
}

function showState() {
  const state = STATES[socket.readyState];
  element("ready-state").textContent = `${socket.readyState} ${state}`;
  element("ready-state").dataset.state = state;
  element("url").textContent = socket.url;
  element("subprotocol").textContent = socket.protocol || "–";
  element("connect").disabled = state !== "CLOSED";
  element("disconnect").disabled = state !== "CONNECTING" && state !== "OPEN";
  element("send-text").disabled = state !== "OPEN";
  element("send-binary").disabled = state !== "OPEN";
}

function chooseEndpoint() {
  const { value, dataset } = element("endpoint").selectedOptions[0];
  element("address").value = value;
  element("subprotocols").value = dataset.subprotocol ?? "";
  if (!value) {
    element("address").focus();
  }
}

element("endpoint").onchange = chooseEndpoint;
element("address").oninput = () => {
  element("endpoint").value = "";
};
element("connect-form").onsubmit = (event) => {
  event.preventDefault();
  connect();
};
element("disconnect").onclick = disconnect;
element("send-form").onsubmit = (event) => {
  event.preventDefault();
  send(element("message").value);
};
element("send-binary").onclick = () => send(new TextEncoder().encode(element("message").value));
element("clear-log").onclick = () => element("log").replaceChildren();

chooseEndpoint();
