"""A real browser for the tests that need one; where there is none, they skip and say so."""

import os
import shutil
import sys

import pytest
from hypothesis import HealthCheck, settings

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="session")
def chromium():
    """Chromium, driven by Playwright."""
    missing = []
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing.append("playwright (pip install '.[browser]')")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        missing.append("chromium (a system package)")
    if missing:
        message = f"needs a browser; missing: {' and '.join(missing)}"
        (pytest.fail if os.environ.get("BROWSER_TESTS") == "required" else pytest.skip)(message)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium):
    """A tab that fails the test if the page logs, raises, opens a dialog or asks the network."""
    said = []
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    tab = context.new_page()
    tab.on("console", lambda message: said.append(f"console: {message.text}"))
    tab.on("pageerror", lambda error: said.append(f"error: {error}"))
    tab.on("dialog", lambda dialog: (said.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    tab.on(
        "request",
        lambda request: (
            None
            if request.url.startswith(("file://", "data:", "about:"))
            else said.append(f"request: {request.url}")
        ),
    )
    yield tab
    context.close()
    assert said == []


settings.register_profile("default", deadline=None, max_examples=150)
settings.register_profile(
    "long", deadline=None, max_examples=12_000, suppress_health_check=list(HealthCheck)
)
settings.load_profile("default")


def pytest_terminal_summary(terminalreporter):
    properties = sys.modules.get("test_properties")
    for line in properties.summary() if properties else ():
        terminalreporter.write_line(line)
