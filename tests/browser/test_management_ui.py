"""The management page as lesson 4.4 shows it. Its picture is left in .lab/screenshots; copied to docs/assets, it is the lesson's."""

import pika
import pytest

from rabbitlab import broker
from rabbitlab.nodes import HOST, NODES
from rabbitlab.units import ROOT

from .conftest import SCREENSHOTS

pytestmark = [pytest.mark.browser, pytest.mark.cluster]
QUEUE = "deliveries"  # the lesson's; they take turns on the cluster, since the lesson breaks it
MOST = 200_000  # bytes


@pytest.fixture
def three_deliveries():
    """Three messages that wait, after some that did not have to."""
    with pika.BlockingConnection(pika.ConnectionParameters(HOST)) as connection:
        channel = connection.channel()
        channel.queue_delete(queue=QUEUE)
        channel.queue_declare(queue=QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
        channel.confirm_delivery()
        try:
            # The API counts changes: what a quorum queue was given before its first report, it shows as 0 until the next change.
            broker.wait_until(lambda: "messages_ready" in broker.queue(QUEUE), what="the queue's first report")
            traffic(channel)
            yield
        finally:
            channel.queue_delete(queue=QUEUE)


def traffic(channel) -> None:
    """More arrives than is taken, for the charts; three remain."""
    for n in range(60):
        channel.basic_publish(exchange="", routing_key=QUEUE, body=f"lamp {n}")
        channel.connection.process_data_events(time_limit=0.1)
        if n % 20 == 19:
            while broker.depth(QUEUE) > 3:
                channel.basic_get(queue=QUEUE, auto_ack=True)


@pytest.fixture
def page(chromium):
    """A page that may have errors in its scripts, which are RabbitMQ's: as long as a chart has no samples, one of them fails."""
    context = chromium.new_context(viewport={"width": 1160, "height": 620})
    context.set_default_timeout(30_000)
    yield context.new_page()
    context.close()


def test_the_management_page_shows_the_queue_and_its_messages(three_deliveries, page):
    page.goto(f"http://{HOST}:{NODES[0].management}/")
    page.fill("input[name=username]", "guest")
    page.fill("input[name=password]", "guest")
    page.click("input[type=submit]")
    page.get_by_text("Cluster rabbit@").first.wait_for()
    page.goto(f"http://{HOST}:{NODES[0].management}/#/queues/%2F/{QUEUE}")
    page.get_by_role("heading", name=f"Queue {QUEUE}").wait_for()
    ready = page.get_by_role("row").filter(has=page.locator(".rate-visibility-option", has_text="Ready"))
    ready.get_by_text("3", exact=True).wait_for()
    page.evaluate("window.scrollTo(0, 0)")
    page.screenshot(path=SCREENSHOTS / "management_ui.png")


def test_the_picture_in_the_lesson_is_light():
    picture = ROOT / "docs" / "assets" / "management_ui.png"
    assert picture.stat().st_size < MOST
    assert "assets/management_ui.png" in (ROOT / "docs/module_4_production/04_monitoring.md").read_text()
