/** What every page of the demo does with a WebSocket: open it, show what it is doing, open it again. */

const STATES = ["connecting", "open", "closing", "closed"];

/** Close codes (RFC 6455 §7.4.1) in words for a visitor. */
const MEANINGS = new Map([
  [1000, "normal closure"],
  [1001, "going away"],
  [1002, "protocol error"],
  [1003, "unsupported data"],
  [1005, "no code was given"],
  [1006, "no closing handshake: refused, or nobody is there"],
  [1007, "invalid payload data"],
  [1008, "policy violation"],
  [1009, "message too big"],
  [1010, "an extension is missing"],
  [1011, "internal error"],
  [1012, "service restart"],
  [1013, "try again later"],
]);

const PANEL = `
  <div class="row spread">
    <p role="status"><span class="pill" id="ready-state" data-state="none">not connected</span></p>
    <div class="row">
      <button type="button" class="primary" id="connect">Connect</button>
      <button type="button" id="disconnect">Close</button>
    </div>
  </div>
  <p class="hint" id="close-meaning" role="status" hidden></p>
  <details id="details">
    <summary>Details</summary>
    <p class="address" id="url"></p>
    <dl class="facts">
      <dt>Subprotocol</dt><dd id="subprotocol">–</dd>
      <dt>Extensions</dt><dd id="extensions">–</dd>
      <dt>Close code</dt><dd id="close-code">–</dd>
      <dt>Close reason</dt><dd id="close-reason">–</dd>
    </dl>
  </details>`;

// Where the panel is beside the stage, and not above it.
const WIDE = "(min-width: 56rem)";

export const element = (id) => document.getElementById(id);

/** The address as typed: a path of this server, or a whole ws: or wss: address. */
export function webSocketAddress(typed) {
  const address = new URL(typed, location.href);
  if (address.protocol === "http:" || address.protocol === "https:") {
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  }
  address.hash = "";
  return address.href;
}

/**
 * One WebSocket after the other, and the panel (the element `connection`) that shows what it is doing.
 *
 * Controls marked `data-needs-open` work only while it is open. A form named `options` is submitted by the
 * panel's Connect button.
 */
export class Connection {
  #socket = null;
  #page;

  /**
   * The page says `address()` and optionally `subprotocols()` and `closing()` (arguments for close), and
   * hears of `opening(url)`, `opened()`, `received(data)`, `closed(event)` and `failed(error)`.
   */
  constructor(page) {
    this.#page = page;
    element("connection").innerHTML = PANEL;
    const wide = matchMedia(WIDE);
    wide.onchange = () => {
      element("details").open = wide.matches;
    };
    wide.onchange();
    const options = element("options");
    if (options) {
      element("connect").type = "submit";
      element("connect").setAttribute("form", "options");
      options.addEventListener("submit", (event) => {
        event.preventDefault();
        this.open();
      });
    } else {
      element("connect").addEventListener("click", () => this.open());
    }
    element("disconnect").addEventListener("click", () => this.close());
    this.#show();
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Bytes that wait for the network. */
  get waiting() {
    return this.#socket?.bufferedAmount ?? 0;
  }

  /** Opens a WebSocket; one that is open already makes room for it. */
  open() {
    let socket;
    try {
      socket = new WebSocket(webSocketAddress(this.#page.address()), this.#page.subprotocols?.() ?? []);
    } catch (error) {
      this.#page.failed?.(error);
      return;
    }
    this.#socket?.close(1000);
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    const current = (hear) => (event) => {
      if (socket === this.#socket) {
        hear(event);
      }
    };
    socket.onopen = current(() => {
      this.#show();
      this.#page.opened?.();
    });
    socket.onmessage = current(({ data }) => this.#page.received?.(data));
    socket.onclose = current((event) => {
      this.#show(event);
      this.#page.closed?.(event);
    });
    this.#page.opening?.(socket.url);
    this.#show();
  }

  send(data) {
    this.#socket.send(data);
  }

  close() {
    try {
      this.#socket.close(...(this.#page.closing?.() ?? [1000]));
    } catch (error) {
      this.#page.failed?.(error);
    }
    this.#show();
  }

  #show(closed) {
    const socket = this.#socket;
    const state = socket ? STATES[socket.readyState] : "none";
    const pill = element("ready-state");
    pill.dataset.state = state;
    pill.textContent = {
      none: "not connected",
      connecting: "connecting…",
      open: "open",
      closing: "closing…",
      closed: `closed ${closed?.code}`,
    }[state];
    const words = [MEANINGS.get(closed?.code), closed?.reason].filter(Boolean).join(" – ");
    element("close-meaning").textContent = words;
    element("close-meaning").hidden = !words;
    element("close-code").textContent = closed ? closed.code : "–";
    element("close-reason").textContent = closed?.reason || "–";
    element("url").textContent = socket?.url ?? "";
    element("subprotocol").textContent = socket?.protocol || "–";
    element("extensions").textContent = socket?.extensions || "–";
    element("connect").textContent = closed ? "Reconnect" : "Connect";
    element("connect").disabled = state !== "none" && state !== "closed";
    element("disconnect").disabled = state !== "connecting" && state !== "open";
    for (const control of document.querySelectorAll("[data-needs-open]")) {
      control.disabled = state !== "open";
    }
  }
}
