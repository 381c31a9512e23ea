"""The page that an audit writes, as somebody reads it who was sent it. Screenshots are left in .lab/screenshots, to be looked at."""

import functools
import http.server
import threading

import pytest

from rabbitlab.audit import page
from rabbitlab.audit.checklist import ITEMS
from rabbitlab.audit.seen import Seen
from rabbitlab.audit.verdict import Report, judge
from tests.audit_cluster import NODES, classic, orderly

from .conftest import SCREENSHOTS
from .test_site import brightness

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A report with all verdicts, with long names and with many of them, served on a port of its own."""
    parts = orderly()
    parts["queues"] += [classic(f"orders.{n}", durable=False) for n in range(100)] + [classic("q" * 200, durable=False)]
    read = {"url": "https://rabbit.example:15671", "user": "auditor", "tags": ["monitoring"], "at": "2026-11-25T12:00:00+00:00"}
    cluster = {"name": "shop", "product": "RabbitMQ", "version": "4.3.6", "nodes": list(NODES)}
    folder = tmp_path_factory.mktemp("report")
    page.write(Report(judge(ITEMS, Seen(parts)), cluster, read), str(folder / "report.html"))
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/report.html"
        server.shutdown()


@pytest.mark.parametrize("width", [1200, 400])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_can_be_read(address, open_page, dark, width):
    """``open_page`` fails at its end if the page asked any other host for anything."""
    report = open_page(address, dark=dark, width=width)
    assert report.evaluate("document.documentElement.scrollWidth") <= width, "it scrolls sideways"
    paper = brightness(report.locator("body"), "backgroundColor")
    assert (paper < 128) is dark
    for ink in ("h1", "article.fail .badge", "article.unseen .badge", "article.pass .badge", "article.na p", "dt"):
        assert abs(brightness(report.locator(ink).first, "color") - paper) > 75, f"{ink} cannot be told from the paper"
    report.screenshot(path=SCREENSHOTS / f"audit-{'dark' if dark else 'light'}-{width}.png", full_page=True)


def test_a_section_is_reached_from_the_top(address, open_page):
    report = open_page(address)
    report.get_by_role("link", name="Deployment").click()
    assert report.locator("h2", has_text="Deployment").bounding_box()["y"] < 100


def test_it_can_be_printed(address, open_page):
    report = open_page(address, dark=True)
    report.emulate_media(media="print")
    assert brightness(report.locator("body"), "backgroundColor") == 255, "black paper"
    assert not report.locator("nav").is_visible()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        """A test prints no log of requests."""
