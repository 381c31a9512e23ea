"""A browser, the site as it is built, and JupyterLab as `./lab start` opens it. No page may ask any other host for anything."""

import functools
import http.server
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from rabbitlab import browsers, ports
from rabbitlab.units import ROOT, STATE
from tests import needs

SWITCHES = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
SCREENSHOTS = STATE / "screenshots"
# Material draws diagrams into a closed shadow; a test has to look inside.
OPEN_SHADOWS = """
const attach = Element.prototype.attachShadow;
Element.prototype.attachShadow = function (options) { return attach.call(this, {...options, mode: "open"}); };
"""


@pytest.fixture(scope="session")
def chromium():
    """The browser. Skips with the command that gets it; in CI a missing browser is a failure."""
    from playwright.sync_api import sync_playwright

    program = browsers.path()
    if program is None:
        mend = f"Chromium is missing. Get it with: apt-get install chromium, or {sys.executable} -m playwright install chromium"
        needs.missing(mend)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=SWITCHES)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium):
    """Call it with an address to open a page; at the end it fails if a page asked another host for anything, or a script failed."""
    contexts, foreign, errors = [], [], []

    def refuse_others(route):
        if urlsplit(route.request.url).hostname == "127.0.0.1":
            route.continue_()
        else:
            foreign.append(route.request.url)
            route.abort()

    def open_one(address: str, dark: bool = False, width: int = 1280, height: int = 900):
        scheme = "dark" if dark else "light"
        context = chromium.new_context(color_scheme=scheme, viewport={"width": width, "height": height}, reduced_motion="reduce")
        contexts.append(context)
        context.set_default_timeout(30_000)
        context.add_init_script(OPEN_SHADOWS)
        context.route("**/*", refuse_others)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(f"{page.url}: {error}"))
        page.goto(address)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert foreign == []
    assert errors == []


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The address of the site, built strictly and served on a port of its own."""
    folder = tmp_path_factory.mktemp("site")
    port = ports.free_from(8300)
    address = f"http://127.0.0.1:{port}/"
    environment = {**os.environ, "SITE_URL": address, "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder), "--config-file", str(ROOT / "mkdocs.yml")]
    built = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield address
        server.shutdown()


@pytest.fixture(scope="session")
def addresses(site):
    """Every page of the site, and the one for addresses that do not exist."""
    return [*re.findall(r"<loc>([^<]+)</loc>", httpx.get(f"{site}sitemap.xml", trust_env=False).text), f"{site}404.html"]


@pytest.fixture(scope="session")
def jupyter(tmp_path_factory):
    """The address of a JupyterLab with the course's configuration, and settings and workspaces of its own."""
    own, port = tmp_path_factory.mktemp("jupyter"), ports.free_from(8990)
    command = [sys.executable, "-m", "jupyterlab", f"--config={ROOT / 'jupyter' / 'jupyter_lab_config.py'}", "--allow-root"]
    command += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    command += [f"--LabApp.workspaces_dir={own / 'workspaces'}", f"--LabApp.user_settings_dir={own / 'settings'}"]
    with (own / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "JUPYTER_TOKEN": "of-a-test"})
    address = f"http://127.0.0.1:{port}/"
    try:
        _wait_until_it_answers(f"{address}api", process, own / "log")
        yield f"{address}?token=of-a-test"
    finally:
        process.terminate()
        process.wait(timeout=20)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        """A test prints no log of requests."""


def _wait_until_it_answers(address: str, process: subprocess.Popen, log: Path, within: float = 60) -> None:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(address, trust_env=False, timeout=2).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    pytest.fail(f"JupyterLab did not answer within {within:.0f} s:\n{log.read_text()[-2000:]}")
