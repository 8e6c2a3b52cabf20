import { Connection, element } from "./socket.js";

const connection = new Connection({
  address: () => element("endpoint").value,
  subprotocols: () => ["dumb-increment-protocol"],
  opening: () => show(""),
  received: show,
});

function show(number) {
  element("counter").textContent = number;
}

element("endpoint").onchange = () => connection.open();
element("reset").onclick = () => connection.send("reset\n");

connection.open();
