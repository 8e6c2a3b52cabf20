"""One window of the browser, and what a test does with it."""

import base64

from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select

from . import settings
from .waiting import eventually

ARTEFACTS = settings.ROOT / "target" / "test-artefacts"

SIZES = {"phone": (390, 844), "desktop": (1280, 800)}
SCHEMES = ("light", "dark")


class Page:
    """Elements are named by their ids."""

    def __init__(self, driver, handle):
        self._driver = driver
        self._handle = handle

    @property
    def driver(self):
        """The driver, with this window in front of it."""
        self._driver.switch_to.window(self._handle)
        return self._driver

    def go(self, url):
        self.driver.get(url)

    def close(self):
        self.driver.close()

    # What a user does

    def click(self, name):
        self._element(name).click()

    def enter(self, name, text):
        element = self._element(name)
        element.clear()
        element.send_keys(text)

    def press(self, name, *keys):
        self._element(name).send_keys(*keys)

    def choose(self, name, value):
        Select(self._element(name)).select_by_value(value)

    def open_details(self, name):
        self._element(name).find_element(By.TAG_NAME, "summary").click()

    # What a user sees

    def text(self, name):
        return self.run("return document.getElementById(arguments[0]).textContent.trim()", name)

    def texts(self, selector):
        """The texts of all elements that match a CSS selector."""
        return self.run(
            "return Array.from(document.querySelectorAll(arguments[0]),"
            " (element) => element.textContent.trim())",
            selector,
        )

    def value(self, name):
        return self.run("return document.getElementById(arguments[0]).value", name)

    def enabled(self, name):
        return self._element(name).is_enabled()

    def wait_for(self, name, *expected):
        """Waits until the element's text is one of `expected`, and returns it."""
        return self.wait_until(name, lambda text: text in expected, f"#{name} to say {expected}")

    def wait_until(self, name, condition, what):
        """Waits until the element's text meets the condition, and returns it."""
        seen = []

        def met():
            seen.append(self.text(name))
            return condition(seen[-1])

        try:
            eventually(met, what)
        except AssertionError as problem:
            raise AssertionError(f"{problem}; it says {seen[-1]!r}") from None
        return seen[-1]

    def wait_for_state(self, state):
        """Waits until the panel says `open`, or for example `closed 1006`."""

        def reached(text):
            # Nothing follows an end by itself.
            ended = text.startswith("closed") and text != state
            assert not ended, f"{text}, but {state} was to come"
            return text == state

        self.wait_until("ready-state", reached, f"the state {state}")

    # Scripts

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def run_async(self, body, *arguments):
        """The result of an async function with that body, called with `arguments`."""
        result = self.driver.execute_async_script(
            """
            const [...given] = arguments;
            const done = given.pop();
            (async (...arguments) => {%s})(...given).then(
              (value) => done({ value }), (error) => done({ error: String(error) }));
            """ % body,
            *arguments,
        )
        assert "error" not in result, result["error"]
        return result["value"]

    # Appearance

    def emulate(self, size, scheme):
        """A screen of that size, for a user who prefers light or dark."""
        width, height = SIZES[size]
        phone = size == "phone"
        self._devtools("Emulation.setDeviceMetricsOverride", width=width, height=height,
                       deviceScaleFactor=2 if phone else 1, mobile=phone)
        self._devtools("Emulation.setEmulatedMedia",
                       features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, name):
        """Keeps a picture of the whole page."""
        ARTEFACTS.mkdir(parents=True, exist_ok=True)
        picture = self._devtools("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        (ARTEFACTS / f"{name}.png").write_bytes(base64.b64decode(picture))

    def look(self, name):
        """Looks at the page on a phone and a desktop, in light and dark, and keeps the pictures."""
        problems = {}
        for size in SIZES:
            for scheme in SCHEMES:
                self.emulate(size, scheme)
                found = self.run_async(_LOOK)
                if found:
                    problems[f"{size}, {scheme}"] = found
                self.screenshot(f"{name}-{size}-{scheme}")
        assert not problems, problems

    def _devtools(self, command, **parameters):
        return self.driver.execute_cdp_cmd(command, parameters)

    def _element(self, name):
        return self.driver.find_element(By.ID, name)


# What is wrong with a page for somebody who cannot see it well, or whose screen is small: too wide,
# text with too little contrast (WCAG 2, 1.4.3), controls without a name or too small for a finger.
_LOOK = """
await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
const problems = [];
const name = (node) => `${node.localName}${node.id && "#" + node.id}.${node.className}`;
const shown = (node) => node.checkVisibility() && node.getBoundingClientRect().width > 1;

// Not innerWidth: a phone zooms out until everything is in.
const { scrollWidth, clientWidth } = document.documentElement;
if (scrollWidth > clientWidth) {
  problems.push(`${scrollWidth} pixels wide in a window of ${clientWidth}`);
}

const canvas = document.createElement("canvas");
canvas.width = canvas.height = 1;
const context = canvas.getContext("2d", { willReadFrequently: true });
function rgba(color) {
  context.clearRect(0, 0, 1, 1);
  context.fillStyle = color;
  context.fillRect(0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data];
}
function background(node) {
  for (let at = node; at; at = at.parentElement) {
    const color = rgba(getComputedStyle(at).backgroundColor);
    if (color[3] === 255) {
      return color;
    }
  }
  return [255, 255, 255, 255];
}
function luminance(color) {
  const [red, green, blue] = color.slice(0, 3).map((part) => part / 255).map(
    (part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
for (const node of document.querySelectorAll("body *")) {
  const own = [...node.childNodes].some(
    (child) => child.nodeType === Node.TEXT_NODE && child.data.trim());
  if (!own || !shown(node) || node.matches(":disabled, option")) {
    continue;
  }
  const [darker, lighter] = [rgba(getComputedStyle(node).color), background(node)].map(luminance)
    .sort((one, other) => one - other);
  const contrast = (lighter + 0.05) / (darker + 0.05);
  if (contrast < 4.5) {
    problems.push(`contrast ${contrast.toFixed(2)} of ${name(node)}`);
  }
}

const controls = "input, select, textarea, button, a, canvas, [role=img]";
for (const node of document.querySelectorAll(controls)) {
  if (!shown(node)) {
    continue;
  }
  const named = node.matches("a, button") ? [node] : [...node.labels ?? []];
  const labels = named.map((each) => each.textContent.trim());
  if (!node.getAttribute("aria-label") && !labels.some(Boolean)) {
    problems.push(`no name: ${name(node)}`);
  }
  if (node.matches("select, textarea, button, input:not([type=radio], [type=range])")
      && node.getBoundingClientRect().height < 40) {
    problems.push(`only ${node.getBoundingClientRect().height} pixels high: ${name(node)}`);
  }
}
for (const [tag, count] of [["h1", 1], ["main", 1], ["title", 1]]) {
  if (document.querySelectorAll(tag).length !== count) {
    problems.push(`not one ${tag}`);
  }
}
if (!document.documentElement.lang) {
  problems.push("no language");
}
for (const { name: address } of performance.getEntriesByType("resource")) {
  if (new URL(address).origin !== location.origin) {
    problems.push(`loads ${address}`);
  }
}
return problems;
"""
