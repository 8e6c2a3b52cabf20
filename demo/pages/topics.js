import { Connection, element } from "./socket.js";
import { Log } from "./log.js";

const log = new Log(element("log"));
// The last message that this page knows of: where a new connection goes on.
let since = null;

const connection = new Connection({
  address: () => `/topics/${topic()}${since && element("resume").checked ? `?since=${since}` : ""}`,
  subprotocols: () => ["topics.json"],
  received: (text) => hear(JSON.parse(text)),
  closed: (event) => log.closed(event),
});

function topic() {
  return encodeURIComponent(element("topic").value);
}

function hear(news) {
  if ("topics" in news) {
    log.add("event", greeting(news));
  } else if ("data" in news) {
    log.add("received", news.encoding ? `[${news.encoding}] ${news.data}` : news.data);
  } else if ("dropped" in news) {
    log.add("event", `${news.dropped} messages were dropped`);
  } else {
    log.add("event", `messages are missing: ${news.reason}`);
  }
  if (news.id) {
    since = news.id;
    element("since").textContent = since;
  }
}

function greeting({ recovered, reason }) {
  if (recovered) {
    return "back again: what was missed follows";
  }
  return recovered === false ? `what was missed is lost: ${reason}` : "subscribed";
}

function anotherTopic() {
  since = null;
  element("since").textContent = "–";
  element("curl").textContent =
    `curl -H 'Content-Type: text/plain' -d 'Hello' ${location.origin}/publish/${topic()}`;
}

async function publish() {
  try {
    const response = await fetch(`/publish/${topic()}`, {
      method: "POST",
      headers: { "Content-Type": "text/plain; charset=utf-8" },
      body: element("message").value,
    });
    const { id, subscribers, error } = await response.json();
    element("published").textContent = error ?? `${id}, to ${subscribers}`;
  } catch (error) {
    element("published").textContent = `not published: ${error.message}`;
  }
}

element("topic").oninput = anotherTopic;
element("topic").onchange = () => {
  if (element("topic").reportValidity()) {
    connection.open();
  }
};
element("publish-form").onsubmit = (event) => {
  event.preventDefault();
  publish();
};
anotherTopic();
connection.open();
