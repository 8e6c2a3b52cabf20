import { webSocketAddress, element } from "./socket.js";

const INTERVAL = 1000;
const TEXT = "Is it there?";

/** Sends the text, and when it is back again, the next one a second after the last. */
function measure() {
  const socket = new WebSocket(webSocketAddress("/rust/echo"));
  let sent = 0;
  const send = () => {
    if (socket.readyState === WebSocket.OPEN) {
      sent = performance.now();
      socket.send(TEXT);
    }
  };
  socket.onopen = send;
  socket.onmessage = () => {
    element("round-trip").textContent = `yes, in ${(performance.now() - sent).toFixed(1)} ms`;
    setTimeout(send, INTERVAL);
  };
  socket.onclose = ({ code }) => {
    element("round-trip").textContent = `no: closed ${code}`;
  };
}

measure();
