import { Connection, element } from "./socket.js";

const SHOWN_MESSAGES = 500;

const list = element("messages");
// Whether the server has let this nickname in; until then another one can be tried.
let joined = false;
// A new connection joins under the nickname that the old one had.
let joinAgain = false;
// Who wrote the newest message, when nothing came after it.
let author = null;

const connection = new Connection({
  address: () => "/chat",
  opening: () => list.replaceChildren(),
  opened: () => {
    setJoined(false);
    if (joinAgain) {
      introduce();
    }
  },
  received: (text) => {
    const news = JSON.parse(text);
    HEAR[news.type](news);
  },
  closed: () => {
    setJoined(false);
    element("members").textContent = "Not connected.";
  },
});

function nick() {
  return element("nick").value.trim();
}

function introduce() {
  element("problem").hidden = true;
  connection.send(JSON.stringify({ nick: nick() }));
}

const HEAR = {
  message: showMessage,
  join: ({ nick: name, members }) => {
    // Oneself, behind what was said before.
    if (!joined && name === nick()) {
      letIn();
    }
    showNote(`${name} came in`);
    showMembers(members);
  },
  members: ({ members }) => {
    if (!joined) {
      letIn();
    }
    showMembers(members);
  },
  leave: ({ nick, members }) => {
    showNote(`${nick} left`);
    showMembers(members);
  },
  error: ({ error }) => {
    element("problem").textContent = error;
    element("problem").hidden = false;
    if (!joined) {
      element("nick").select();
    }
  },
};

function letIn() {
  setJoined(true);
  joinAgain = true;
  if (!list.childElementCount) {
    showNote("Nothing has been said yet.");
  }
  element("text").focus();
}

function setJoined(value) {
  joined = value;
  author = null;
  element("nick").readOnly = joined;
  element("join").disabled = joined || !connection.isOpen;
  element("text").disabled = element("send").disabled = !joined;
}

function showMembers(members) {
  element("members").textContent = members === 1 ? "You are alone here." : `${members} are here.`;
}

function showMessage({ nick: name, text, time }) {
  const item = document.createElement("li");
  const who = document.createElement("div");
  const when = document.createElement("time");
  const words = document.createElement("p");
  item.className = "message";
  item.classList.toggle("mine", name === nick());
  item.classList.toggle("follows", name === author);
  item.style.setProperty("--hue", hueOf(name));
  who.className = "who";
  when.textContent = new Date(1000 * time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  who.append(name, " ", when);
  words.textContent = text;
  item.append(who, words);
  add(item);
  author = name;
}

function showNote(text) {
  const item = document.createElement("li");
  item.className = "note";
  item.textContent = text;
  add(item);
  author = null;
}

function add(item) {
  list.append(item);
  while (list.childElementCount > SHOWN_MESSAGES) {
    list.firstElementChild.remove();
  }
}

function hueOf(name) {
  return Array.from(name).reduce((hue, letter) => (31 * hue + letter.codePointAt(0)) % 360, 7);
}

element("join-form").onsubmit = (event) => {
  event.preventDefault();
  introduce();
};
element("send-form").onsubmit = (event) => {
  event.preventDefault();
  element("problem").hidden = true;
  connection.send(JSON.stringify({ text: element("text").value }));
  element("text").value = "";
};
connection.open();
