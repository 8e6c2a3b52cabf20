import { Connection, element } from "./socket.js";

const SAMPLES = 120;
const WIDTH = 300;
const HEIGHT = 80;
const SVG = "http://www.w3.org/2000/svg";

/** What is drawn: a title, the numbers of one update (one for each line), and how one is written. */
const CHARTS = [
  {
    id: "load",
    title: "Load average",
    lines: ["1 minute", "5 minutes", "15 minutes"],
    values: ({ load }) => load,
    write: (load) => load.toFixed(2),
  },
  { id: "memory", title: "Memory", values: ({ memory }) => [memory.rss], write: bytes },
  { id: "connections", title: "WebSockets open here", values: ({ connections }) => [connections], write: String },
  { id: "threads", title: "Threads", values: ({ threads }) => [threads], write: String },
  { id: "descriptors", title: "File descriptors", values: ({ descriptors }) => [descriptors], write: String },
];

const CLASSES = ["first", "second", "third"];

/** A tile with the newest number and the way of the last two minutes or so, from 0 up. */
class Tile {
  #chart;
  #samples = [];
  #number = make("p", "big");
  #picture = document.createElementNS(SVG, "svg");
  #paths;

  constructor(chart) {
    this.#chart = chart;
    const tile = make("section", chart.lines ? "card wide" : "card");
    const title = make("h2", "label");
    title.textContent = chart.title;
    title.id = `${chart.id}-title`;
    tile.setAttribute("aria-labelledby", title.id);
    this.#number.id = chart.id;
    this.#number.textContent = "–";
    this.#picture.classList.add("chart");
    this.#picture.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    this.#picture.setAttribute("preserveAspectRatio", "none");
    this.#picture.setAttribute("role", "img");
    const base = this.#draw("line", "");
    for (const [name, value] of Object.entries({ x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT })) {
      base.setAttribute(name, value);
    }
    const area = chart.lines ? null : this.#draw("path", "area");
    this.#paths = (chart.lines ?? [chart.title]).map((_, line) => this.#draw("path", CLASSES[line]));
    this.#paths.area = area;
    tile.append(title, this.#number, this.#picture);
    if (chart.lines) {
      const legend = make("ul", "legend muted");
      legend.append(...chart.lines.map((line, index) => {
        const item = make("li", CLASSES[index]);
        item.textContent = line;
        return item;
      }));
      tile.append(legend);
    }
    element("tiles").append(tile);
  }

  add(update) {
    const { values, write, title } = this.#chart;
    this.#samples.push(values(update));
    this.#samples.splice(0, this.#samples.length - SAMPLES);
    const newest = this.#samples.at(-1).map(write).join(" · ");
    this.#number.textContent = newest;
    this.#picture.setAttribute("aria-label", `${title}, last ${this.#samples.length} updates, now ${newest}`);
    this.#show();
  }

  clear() {
    this.#samples = [];
  }

  #draw(name, className) {
    const shape = document.createElementNS(SVG, name);
    shape.setAttribute("class", className);
    this.#picture.append(shape);
    return shape;
  }

  #show() {
    const top = 1.2 * Math.max(...this.#samples.flat()) || 1;
    const left = SAMPLES - this.#samples.length;
    const place = (value, index) =>
      `${((WIDTH * (left + index)) / (SAMPLES - 1)).toFixed(1)} ${(HEIGHT * (1 - value / top)).toFixed(1)}`;
    this.#paths.forEach((path, line) => {
      path.setAttribute("d", `M${this.#samples.map((sample, index) => place(sample[line], index)).join("L")}`);
    });
    this.#paths.area?.setAttribute(
      "d",
      `${this.#paths[0].getAttribute("d")}V${HEIGHT}H${((WIDTH * left) / (SAMPLES - 1)).toFixed(1)}Z`,
    );
  }
}

function make(name, className) {
  return Object.assign(document.createElement(name), { className });
}

function bytes(count) {
  return `${(count / 1024 / 1024).toFixed(1)} MiB`;
}

function duration(seconds) {
  const [days, hours, minutes] = [86400, 3600, 60].map((unit) => Math.floor(seconds / unit));
  const two = (number) => String(number).padStart(2, "0");
  return `${days ? `${days} d ` : ""}${two(hours % 24)}:${two(minutes % 60)}:${two(Math.floor(seconds % 60))}`;
}

const tiles = CHARTS.map((chart) => new Tile(chart));

const connection = new Connection({
  address: () => `/status?update-ms=${element("update-ms").value}`,
  opening: () => tiles.forEach((tile) => tile.clear()),
  received: (text) => {
    const update = JSON.parse(text);
    tiles.forEach((tile) => tile.add(update));
    element("pid").textContent = update.pid;
    element("uptime").textContent = duration(update.uptime);
    element("time").textContent = new Date(1000 * update.time).toLocaleTimeString();
    element("sent").textContent = update.sent;
  },
});

element("update-ms").onchange = () => connection.open();
connection.open();
