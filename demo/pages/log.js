/** A list of what went over the wire, the newest at its end. */

// The log is for reading: a server that never stops sending must not fill the browser's memory.
const LINES = 500;
const CHARACTERS = 2000;
const BYTES = 32;

export class Log {
  #list;

  constructor(list) {
    this.#list = list;
  }

  /** kind: `sent`, `received` or `event`. */
  add(kind, text) {
    const line = document.createElement("li");
    const content = document.createElement("span");
    const time = document.createElement("time");
    line.className = kind;
    content.textContent = text;
    time.textContent = new Date().toLocaleTimeString();
    line.append(content, time);
    this.#list.append(line);
    while (this.#list.childElementCount > LINES) {
      this.#list.firstElementChild.remove();
    }
    this.#list.scrollTop = this.#list.scrollHeight;
  }

  closed({ code, reason, wasClean }) {
    this.add("event", `closed ${code}${reason && `: ${reason}`}${wasClean ? "" : " (without a closing handshake)"}`);
  }

  clear() {
    this.#list.replaceChildren();
  }
}

/** A message in words: a text as it is, bytes in hex, each up to a bearable length. */
export function describe(data) {
  if (typeof data === "string") {
    return data.length > CHARACTERS ? `${data.slice(0, CHARACTERS)} … (${data.length} characters)` : data;
  }
  const bytes = new Uint8Array(data);
  const hex = Array.from(bytes.subarray(0, BYTES), (byte) => byte.toString(16).padStart(2, "0"));
  return `[${bytes.length} bytes] ${hex.join(" ")}${bytes.length > BYTES ? " …" : ""}`;
}
