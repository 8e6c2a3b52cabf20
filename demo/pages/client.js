import { Connection, element } from "./socket.js";
import { Log, describe } from "./log.js";

const log = new Log(element("log"));

const connection = new Connection({
  address: () => element("address").value,
  subprotocols: () => element("subprotocols").value.split(",").map((name) => name.trim()).filter(Boolean),
  closing: () => [Number(element("closing-code").value), element("closing-reason").value],
  opening: (url) => log.add("event", `connecting to ${url}`),
  opened: () => log.add("event", "open"),
  received: (data) => log.add("received", describe(data)),
  closed: (event) => log.closed(event),
  failed: (error) => log.add("event", error.message),
});

function send(data) {
  connection.send(data);
  log.add("sent", describe(data));
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
element("send-form").onsubmit = (event) => {
  event.preventDefault();
  send(element("message").value);
};
element("send-binary").onclick = () => send(new TextEncoder().encode(element("message").value));
element("clear-log").onclick = () => log.clear();

chooseEndpoint();
