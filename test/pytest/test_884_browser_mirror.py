"""The demo's mirror in browsers: what one window draws, the others of its room see."""

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from harness.waiting import eventually

pytest_plugins = "harness.demo"

# The colour of the canvas at fractions of its width and height; empty where nobody has drawn.
PIXEL = """
const [x, y] = arguments;
const canvas = document.getElementById("canvas");
const [left, top] = [Math.round(x * canvas.width), Math.round(y * canvas.height)];
const [red, green, blue, alpha] = canvas.getContext("2d").getImageData(left, top, 1, 1).data;
const hex = (part) => part.toString(16).padStart(2, "0");
return alpha ? "#" + hex(red) + hex(green) + hex(blue) : "";
"""
RED = "#e5484d"
BLUE = "#2f80ed"


@pytest.fixture
def mirror(window, site):
    """Opens the page in a room, with so many members now."""

    def open_room(room, members):
        page = window(f"{site}mirror.html?mirror={room}")
        page.wait_for_state("open")
        page.wait_for("members", str(members))
        return page

    return open_room


def pixel(page, x, y):
    return page.run(PIXEL, x, y)


def wait_for_pixel(page, x, y, color):
    eventually(lambda: pixel(page, x, y) == color, f"{color} at {x}, {y}")


def choose_color(page, color):
    page.driver.find_element(By.CSS_SELECTOR, f"#colors input[value='{color}']").click()


def draw(page, begin, end):
    """A stroke with the mouse between two places, fractions of the canvas."""
    canvas = page.driver.find_element(By.ID, "canvas")
    page.run("arguments[0].scrollIntoView({ block: 'center' })", canvas)
    # The driver counts from the middle of an element.
    (x, y), (to_x, to_y) = (
        (round((x - 0.5) * canvas.size["width"]), round((y - 0.5) * canvas.size["height"]))
        for x, y in (begin, end)
    )
    stroke = ActionChains(page.driver, duration=20).move_to_element_with_offset(canvas, x, y)
    stroke.click_and_hold().move_by_offset(to_x - x, to_y - y).release().perform()


def test_ws_884_01_a_drawing_is_seen_in_a_second_window(mirror):
    first = mirror("two", 1)
    second = mirror("two", 2)
    first.wait_for("members", "2")
    choose_color(first, RED)
    draw(first, (0.2, 0.2), (0.6, 0.7))
    for page in (first, second):
        for x, y in ((0.2, 0.2), (0.4, 0.45), (0.6, 0.7)):
            wait_for_pixel(page, x, y, RED)
        assert pixel(page, 0.8, 0.2) == ""
    choose_color(second, BLUE)
    draw(second, (0.8, 0.2), (0.8, 0.3))
    for page in (first, second):
        wait_for_pixel(page, 0.8, 0.25, BLUE)


def test_ws_884_02_another_room_sees_nothing(mirror):
    here, there = mirror("here", 1), mirror("there", 1)
    draw(here, (0.5, 0.5), (0.5, 0.5))
    wait_for_pixel(here, 0.5, 0.5, BLUE)
    # Whatever came before this circle would have been drawn before it.
    draw(there, (0.1, 0.1), (0.1, 0.1))
    wait_for_pixel(there, 0.1, 0.1, BLUE)
    assert pixel(there, 0.5, 0.5) == ""


def test_ws_884_03_members_come_and_go(mirror):
    first = mirror("members", 1)
    second = mirror("members", 2)
    first.wait_for("members", "2")
    second.click("disconnect")
    second.wait_for_state("closed 1000")
    first.wait_for("members", "1")
    second.click("connect")
    first.wait_for("members", "2")


def test_ws_884_04_the_room_can_be_changed(mirror):
    page, other = mirror("old", 1), mirror("new", 1)
    page.enter("room", "new" + Keys.ENTER)
    other.wait_for("members", "2")
    draw(page, (0.5, 0.5), (0.5, 0.5))
    wait_for_pixel(other, 0.5, 0.5, BLUE)
    assert page.run("return location.search") == "?mirror=new"


def test_ws_884_05_it_can_be_drawn_with_the_keyboard(mirror):
    page = mirror("keys", 1)
    page.press("canvas", Keys.SPACE, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_UP, Keys.SPACE)
    wait_for_pixel(page, 0.5, 0.5, BLUE)
    wait_for_pixel(page, 0.58, 0.46, BLUE)


@pytest.mark.parametrize("message", ["not JSON", '{"x":2,"y":0,"r":0.1,"c":"#000000"}', "[]"])
def test_ws_884_06_what_is_no_circle_is_closed_with_1008(mirror, message):
    page = mirror("wrong", 1)
    code_and_reason = page.run_async(
        """
        const socket = new WebSocket(document.getElementById("url").textContent);
        return await new Promise((resolve) => {
          socket.onopen = () => socket.send(arguments[0]);
          socket.onclose = ({ code, reason }) => resolve([code, reason]);
        });
        """,
        message,
    )
    assert code_and_reason == [1008, "not a circle"]
    page.wait_for("members", "1")


def test_ws_884_07_a_room_with_a_bad_name_is_refused(window, site):
    window.complaints.append("WebSocket connection to .*/mirror.* failed")
    page = window(f"{site}mirror.html?mirror=a%20b")
    page.wait_for_state("closed 1006")


def test_ws_884_08_it_is_good_to_look_at(mirror):
    page = mirror("picture", 1)
    corners = [(0.2, 0.75), (0.35, 0.25), (0.5, 0.75), (0.65, 0.25), (0.8, 0.75)]
    colors = page.run(
        "return Array.from(document.querySelectorAll('#colors input'), (input) => input.value)"
    )
    for color, begin, end in zip(colors, corners, corners[1:]):
        choose_color(page, color)
        draw(page, begin, end)
        wait_for_pixel(page, *end, color)
    page.look("mirror")
    # The drawing has grown and shrunk with the canvas.
    wait_for_pixel(page, *corners[-1], colors[3])


def test_ws_884_09_windows_on_different_children_draw_together(mirror):
    first = mirror("children", 1)
    second = mirror("children", 2)

    def in_another_process():
        if second.text("process") not in ("–", first.text("process")):
            return True
        # The kernel decides which process gets a connection.
        second.click("disconnect")
        second.wait_for_state("closed 1000")
        second.click("connect")
        second.wait_for_state("open")
        second.wait_until("process", str.isdigit, "the process")
        return second.text("process") != first.text("process")

    eventually(in_another_process, "the second window in another process", patience=60)
    first.wait_for("members", "2")
    choose_color(first, RED)
    draw(first, (0.3, 0.3), (0.3, 0.4))
    choose_color(second, BLUE)
    draw(second, (0.6, 0.3), (0.6, 0.4))
    for page in (first, second):
        wait_for_pixel(page, 0.3, 0.35, RED)
        wait_for_pixel(page, 0.6, 0.35, BLUE)
