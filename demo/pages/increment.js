"use strict";

const STATES = ["CONNECTING", "OPEN", "CLOSING", "CLOSED"];
const SUBPROTOCOL = "dumb-increment-protocol";

const element = (id) => document.getElementById(id);
let socket = null;

function open() {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  socket = new WebSocket(`${scheme}//${location.host}${element("endpoint").value}`, SUBPROTOCOL);
  socket.onopen = showState;
  socket.onmessage = ({ data }) => {
    element("counter").textContent = data;
  };
  socket.onclose = ({ code, reason }) => {
    element("close-code").textContent = code;
    element("close-reason").textContent = reason || "–";
    showState();
  };
  element("counter").textContent = "–";
  element("close-code").textContent = "–";
  element("close-reason").textContent = "–";
  showState();
}

function reset() {
  socket.send("reset\n");
}

function close() {
  socket.close(1000);
  showState();
}

function showState() {
  const state = STATES[socket.readyState];
  element("ready-state").textContent = `${socket.readyState} ${state}`;
  element("ready-state").dataset.state = state;
  element("subprotocol").textContent = socket.protocol || "–";
  element("endpoint").disabled = state !== "CLOSED";
  element("open").disabled = state !== "CLOSED";
  element("reset").disabled = state !== "OPEN";
  element("close").disabled = state !== "CONNECTING" && state !== "OPEN";
}

element("open").onclick = open;
element("reset").onclick = reset;
element("close").onclick = close;

open();
