"""The pages of the examples in a real browser: headless Chromium, driven by Playwright.

``nox -s browser`` runs these where Chromium is installed. ``SCREENSHOTS=folder`` keeps pictures.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="run this with: nox -s browser")

ROOT = Path(__file__).parents[2]
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
SECONDS = 30.0
FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium"),
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    flags = [*FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with tempfile.TemporaryDirectory() as folder, playwright.sync_playwright() as driver:
        context = driver.chromium.launch_persistent_context(
            folder, executable_path=CHROMIUM, headless=True, args=flags
        )
        context.set_default_timeout(SECONDS * 1000)
        yield context
        context.close()


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[[str], Any]]:
    """Open pages that must not complain on their console."""
    pages: list[Any] = []
    complaints: list[str] = []

    def open_page(url: str) -> Any:
        page = browser.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url)
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert complaints == []


@contextmanager
def running(example: str, port: int | None = None, **environment: str) -> Iterator[str]:
    """Run an example as its README says; returns its URL."""
    port = port or free_port()
    command = [sys.executable, "-m", "erlen", "--app", f"examples/{example}/{example}", "run"]
    process = subprocess.Popen(
        [*command, "--port", str(port)],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_for(process, port)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.send_signal(signal.SIGINT)
        try:
            output, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert "Traceback" not in output, output


def wait_for(process: subprocess.Popen[str], port: int) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"It did not start: {process.args!r}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def keep_picture(page: Any, name: str) -> None:
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def shows(page: Any, selector: str, text: str) -> None:
    """Wait until the element at *selector* has *text* in it."""
    playwright.expect(page.locator(selector)).to_contain_text(text, timeout=SECONDS * 1000)


def enter(page: Any, name: str, room: str) -> None:
    page.fill("#enter [name=name]", name)
    page.fill("#enter [name=room]", room)
    page.click("#enter button")
    shows(page, "#messages", f"{name} joined")


def say(page: Any, text: str) -> None:
    page.fill("#say [name=text]", text)
    page.click("#say button")


def test_people_in_one_room_of_the_chat_hear_each_other(opened):
    with running("chat") as url:
        ada, bob, cat = opened(url), opened(url), opened(url)
        enter(ada, "Ada", "tea & cake/s")
        enter(bob, "Bob", "tea & cake/s")
        enter(cat, "Cat", "jazz")
        shows(ada, "#people", "In tea & cake/s: Ada, Bob")

        say(ada, "More <b>tea</b>?")
        shows(bob, "#messages", "Ada: More <b>tea</b>?")
        say(cat, "Meow")
        shows(cat, "#messages", "Cat: Meow")
        bob.close()
        shows(ada, "#messages", "Bob left")

        keep_picture(ada, "chat")
        assert "Meow" not in ada.inner_text("#messages")
        assert "tea" not in cat.inner_text("#messages")


def test_the_clock_ticks_and_comes_back_after_a_lost_connection(opened):
    port = free_port()
    with running("clock", port) as url:
        page = opened(url)
        shows(page, "#state", "the server tells the time")
        first = page.inner_text("#time")
        page.wait_for_function(
            "first => document.getElementById('time').innerText != first", arg=first
        )
        page.click("#start")
        shows(page, "#left", "8")
        keep_picture(page, "clock")

    shows(page, "#state", "connection lost")
    with running("clock", port):
        shows(page, "#state", "the server tells the time")
        numbers = page.evaluate(
            """() => new Promise((done) => {
                const left = document.getElementById("left"), seen = [left.innerText];
                new MutationObserver(() => {
                    seen.push(left.innerText);
                    if (left.innerText === "0") done(seen.map(Number));
                }).observe(left, { childList: true });
            })"""
        )
        page.wait_for_function("() => !document.getElementById('start').disabled")

    assert numbers == list(range(numbers[0], -1, -1))
    assert numbers[0] <= 8, "the countdown began anew"


def test_an_upload_shows_how_far_it_is(opened, tmp_path):
    film = tmp_path / "holiday.mov"
    film.write_bytes(os.urandom(1024) * 20_000)
    with running("upload", TMPDIR=str(tmp_path)) as url:
        page = opened(url)
        page.evaluate(
            """() => {
                window.seen = [];
                const progress = document.querySelector("progress");
                new MutationObserver(() => seen.push(progress.value))
                    .observe(progress, { attributes: true });
            }"""
        )
        page.set_input_files("input[type=file]", film)
        page.click("form button")
        shows(page, "#state", "Sent.")
        shows(page, "#files", f"{film.stat().st_size:,} bytes")
        keep_picture(page, "upload")
        seen = page.evaluate("seen")

    assert seen == sorted(seen)
    assert len(set(seen)) > 1
    assert seen[-1] == 1
    assert (tmp_path / "erlen-uploads" / film.name).read_bytes() == film.read_bytes()
