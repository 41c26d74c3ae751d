"""Fixtures of the browser tests: a real Chromium, a real JupyterLab."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from tests.browser.lab import TIMEOUT, Lab, artefacts, screenshot

HERE = Path(__file__).parent
VIEWPORT = {"width": 1280, "height": 900}
"""CSS pixels."""

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # the tests need no network, and get none
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)


def find_chromium(playwright: Playwright) -> str | None:
    """Path of a Chromium that starts: SEGLAB_CHROMIUM, then the PATH, then playwright's own."""
    named = os.environ.get("SEGLAB_CHROMIUM")
    if named:
        return named
    for name in _NAMES:
        path = shutil.which(name)
        # a name on the PATH is not enough: Ubuntu's chromium-browser only asks for a snap
        if path and subprocess.run([path, "--version"], capture_output=True).returncode == 0:
            return path
    own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


# Of this package, not the session: while it is open playwright holds an event loop in the main thread, and tests of
# other folders that start one of their own would fail.
@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="package")
def chromium(playwright: Playwright) -> str:
    """Path of the browser; without one the tests fail in CI and are skipped elsewhere."""
    path = find_chromium(playwright)
    if path is None:
        reason = "no Chromium: put one on the PATH, name it in SEGLAB_CHROMIUM, or run `playwright install chromium`"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@pytest.fixture(scope="package")
def browser(playwright: Playwright, chromium: str) -> Iterator[Browser]:
    """A headless Chromium that reaches nothing but this machine."""
    running = playwright.chromium.launch(executable_path=chromium, args=list(_ARGUMENTS))
    yield running
    running.close()


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A fresh page of 1280 x 900; its last state is kept as a screenshot named after the test.

    `page.console` is the list of errors that the page has logged.
    """
    context = browser.new_context(viewport=VIEWPORT)
    page = context.new_page()
    page.set_default_timeout(TIMEOUT * 1000)
    page.console = []
    page.on("console", lambda message: page.console.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.console.append(str(error)))
    yield page
    print(*page.console, sep="\n")  # shown where the test has failed
    screenshot(page, re.sub(r"[^\w.-]+", "_", request.node.name).strip("_"))
    context.close()


@pytest.fixture(scope="session")
def labs() -> Iterator[dict[str, Lab]]:
    """The servers that have been started so far, by their arguments."""
    running: dict[str, Lab] = {}
    yield running
    for number, lab in enumerate(running.values()):
        lab.stop()
        shutil.copy(lab.log, artefacts() / f"jupyter-{number}.log")


@pytest.fixture
def jupyter(request: pytest.FixtureRequest, labs: dict[str, Lab], tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A JupyterLab without kernels and notebooks; tests take turns with one server for each set of arguments.

    Parametrize it indirectly with arguments of `Lab` to change how it is reached, and with "kind" for another server:
    `@pytest.mark.parametrize("jupyter", [{"base_url": "/base/"}, HUB], indirect=True, ids=["base", "hub"])`.
    """
    arguments = dict(getattr(request, "param", {}))
    key = repr(arguments)
    kind = arguments.pop("kind", Lab)
    if key in labs:
        labs[key].clean()  # before a test, not after: its page is still open then, for the last screenshot
    else:
        labs[key] = kind(tmp_path_factory.mktemp("lab"), **arguments)
        labs[key].wait_until_ready()
    return labs[key]
