import { Connection, element } from "./socket.js";
import { Log, describe } from "./log.js";

const LIFETIME = 10;

const log = new Log(element("log"));
let issued = 0;
let letIn = false;

const connection = new Connection({
  address: () => `/ticket?token=${encodeURIComponent(element("token").value)}`,
  opening: () => {
    letIn = false;
    log.add("event", `knocking with ${element("token").value || "no token"}`);
  },
  opened: () => {
    letIn = true;
    log.add("event", "let in");
  },
  received: (data) => log.add("received", describe(data)),
  closed: (event) => {
    if (letIn) {
      log.closed(event);
    } else {
      log.add("event", `refused: closed ${event.code}`);
    }
  },
});

async function getToken() {
  try {
    const response = await fetch("/ticket/token", { cache: "no-store" });
    if (!response.ok) {
      throw new Error(`HTTP status ${response.status}`);
    }
    element("token").value = (await response.text()).trim();
  } catch (error) {
    log.add("event", `no token: ${error.message}`);
    return;
  }
  log.add("event", `got the token ${element("token").value}`);
  issued = performance.now();
  showFreshness();
}

function showFreshness() {
  const left = LIFETIME - (performance.now() - issued) / 1000;
  element("freshness").value = Math.max(0, left);
  if (left > 0) {
    requestAnimationFrame(showFreshness);
  }
}

element("get-token").onclick = getToken;
element("use").onclick = element("use-again").onclick = () => connection.open();
element("send-form").onsubmit = (event) => {
  event.preventDefault();
  connection.send(element("message").value);
  log.add("sent", element("message").value);
};
