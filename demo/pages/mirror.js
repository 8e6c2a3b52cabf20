import { Connection, element } from "./socket.js";

// Seen on light paper and on dark.
const COLORS = {
  Red: "#e5484d",
  Orange: "#f08c00",
  Green: "#2b9a4b",
  Blue: "#2f80ed",
  Violet: "#8e4ec6",
  Pink: "#e0509a",
  Grey: "#868e96",
};

// The newest circles are kept, to be drawn again when the canvas has another size.
const KEPT_CIRCLES = 20000;
// A stroke is circles that overlap. What this slow network cannot take is left out.
const STEP = 0.6;
const MOST_WAITING = 64 * 1024;
const KEY_STEP = 0.04;
const SMALL_KEY_STEP = 0.005;

const canvas = element("canvas");
const context = canvas.getContext("2d");
const pen = element("pen");
const place = { x: 0.5, y: 0.5 };
let circles = [];
let stroke = null;

const connection = new Connection({
  address: () => `/mirror?mirror=${encodeURIComponent(room())}`,
  opening: enterRoom,
  received: (text) => {
    const news = JSON.parse(text);
    if ("members" in news) {
      element("members").textContent = news.members;
      element("process").textContent = news.process;
    } else {
      keep(news);
      draw(news);
    }
  },
  closed: () => {
    element("members").textContent = "–";
    element("process").textContent = "–";
  },
});

function room() {
  return element("room").value;
}

function enterRoom() {
  const here = new URL(location.href);
  here.search = new URLSearchParams({ mirror: room() });
  element("invitation").href = here.href;
  if (here.href !== location.href) {
    history.replaceState(null, "", here.href);
  }
  clear();
}

// --- What everybody sees ---

/** Places are fractions of the canvas, the radius is one of its width: the same picture at any size. */
function draw({ x, y, r, c }) {
  context.fillStyle = c;
  context.beginPath();
  context.arc(x * canvas.width, y * canvas.height, r * canvas.width, 0, 2 * Math.PI);
  context.fill();
}

function keep(circle) {
  circles.push(circle);
  if (circles.length > 2 * KEPT_CIRCLES) {
    circles = circles.slice(-KEPT_CIRCLES);
  }
}

function clear() {
  circles = [];
  context.clearRect(0, 0, canvas.width, canvas.height);
}

function fitCanvas() {
  canvas.width = Math.round(canvas.clientWidth * devicePixelRatio);
  canvas.height = Math.round(canvas.clientHeight * devicePixelRatio);
  circles.forEach(draw);
  showPen();
}

// --- Drawing: a circle appears when the server sends it back, here as everywhere. ---

const round = (fraction) => Math.round(Math.min(1, Math.max(0, fraction)) * 1e4) / 1e4;
const radius = () => Number(element("radius").value);
const color = () => document.querySelector("#colors input:checked").value;

function sendCircle({ x, y }) {
  if (connection.isOpen && connection.waiting < MOST_WAITING) {
    connection.send(JSON.stringify({ x: round(x), y: round(y), r: radius(), c: color() }));
  }
}

/** Circles from the last place of the stroke to this one. */
function continueStroke(to) {
  const ratio = canvas.clientHeight / canvas.clientWidth;
  const distance = Math.hypot(to.x - stroke.x, (to.y - stroke.y) * ratio);
  const steps = Math.floor(distance / (radius() * STEP));
  const from = stroke;
  for (let step = 1; step <= steps; step++) {
    stroke = {
      x: from.x + ((to.x - from.x) * step) / steps,
      y: from.y + ((to.y - from.y) * step) / steps,
    };
    sendCircle(stroke);
  }
}

function placeOf(event) {
  const { left, top, width, height } = canvas.getBoundingClientRect();
  return { x: (event.clientX - left) / width, y: (event.clientY - top) / height };
}

canvas.onpointerdown = (event) => {
  if (event.button === 0) {
    canvas.setPointerCapture(event.pointerId);
    stroke = placeOf(event);
    sendCircle(stroke);
  }
};
canvas.onpointermove = (event) => {
  if (stroke) {
    // Only a page that came over TLS, or from this machine, is told of every place between.
    event.getCoalescedEvents?.().forEach((each) => continueStroke(placeOf(each)));
    continueStroke(placeOf(event));
  }
};
canvas.onpointerup = canvas.onpointercancel = () => {
  stroke = null;
};

// --- The pen of the keyboard ---

const DIRECTIONS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function showPen() {
  const size = 2 * radius() * canvas.clientWidth;
  Object.assign(pen.style, {
    left: `${100 * place.x}%`,
    top: `${100 * place.y}%`,
    width: `${size}px`,
    height: `${size}px`,
  });
  pen.hidden = !canvas.matches(":focus-visible");
}

canvas.onkeydown = (event) => {
  if (event.key === " " || event.key === "Enter") {
    sendCircle(place);
  } else if (event.key in DIRECTIONS) {
    const [x, y] = DIRECTIONS[event.key];
    const step = event.shiftKey ? SMALL_KEY_STEP : KEY_STEP;
    place.x = round(place.x + x * step);
    place.y = round(place.y + y * step);
  } else {
    return;
  }
  event.preventDefault();
  showPen();
};
canvas.onfocus = canvas.onblur = element("radius").oninput = showPen;

// --- The page ---

function showColors() {
  for (const [name, value] of Object.entries(COLORS)) {
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "color", value });
    const spot = document.createElement("span");
    input.setAttribute("aria-label", name);
    input.checked = name === "Blue";
    spot.style.setProperty("--color", value);
    label.append(input, spot);
    element("colors").append(label);
  }
}

element("clear").onclick = clear;
element("room").onchange = () => {
  if (element("options").reportValidity()) {
    connection.open();
  }
};
element("room").value = new URLSearchParams(location.search).get("mirror") ?? "main";
showColors();
new ResizeObserver(fitCanvas).observe(canvas);
connection.open();
