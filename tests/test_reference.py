"""The reference pages tell the truth: each of their blocks of Python is run on the cluster and must print what stands below it.

A block runs in a virtual host of its own that takes the place of the default one, so that no lesson's queue is touched. Where a text is cut
short on the page, ``...`` stands for the rest.
"""

import contextlib
import functools
import io
import re
import time

import pika
import pytest

from rabbitlab import broker
from rabbitlab.grading import fresh_vhost
from rabbitlab.units import ROOT

pytestmark = pytest.mark.cluster

BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```\n(?:\n```text\n(?P<shown>.*?)^```$)?", re.M | re.S)
# A page waits as long as it takes where nothing else is at work; a machine that tests may stand still for some seconds meanwhile.
BUSY = {"inactivity_timeout=1)": "inactivity_timeout=4)", "time.sleep(8)": "time.sleep(14)", "time.sleep(3)": "time.sleep(8)"}
HEADING = re.compile(r"^#+ (.+)$", re.M)


def blocks(name: str) -> list[tuple[str, str, str | None]]:
    """The blocks of a page as (heading they stand under, code, what they show or None)."""
    page = (ROOT / "docs" / name).read_text()
    return [(HEADING.findall(page[: m.start()])[-1], m["code"], m["shown"]) for m in BLOCK.finditer(page)]


@pytest.fixture(scope="module")
def room():
    """A virtual host that is the default one while this file's tests run."""
    with fresh_vhost("reference") as parameters, pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(pika.connection.Parameters, "DEFAULT_VIRTUAL_HOST", parameters.virtual_host)
        monkeypatch.setattr(pika.connection.Parameters, "DEFAULT_CREDENTIALS", parameters.credentials)
        for name in ("depth", "unacked", "consumers", "bindings"):
            monkeypatch.setattr(broker, name, functools.partial(getattr(broker, name), vhost=parameters.virtual_host))
        yield parameters.virtual_host


def run(code: str, names: dict, vhost: str) -> str:
    """What a block prints, and then the last line of its traceback, as a reader of the page would see it."""
    for quiet, busy in BUSY.items():
        code = code.replace(quiet, busy)
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            exec(code, names)
    except Exception as error:
        module = type(error).__module__
        name = f"{module}.{type(error).__name__}" if module != "builtins" else type(error).__name__
        printed.write(f"{name}: {error}\n" if str(error) else f"{name}\n")
    return printed.getvalue().replace(vhost, "/")


def matches(shown: str, printed: str) -> bool:
    pattern = ".*".join(re.escape(part) for part in shown.strip().split("..."))
    return re.fullmatch(pattern, printed.strip(), re.S) is not None


def test_the_quick_reference_does_what_it_shows(room):
    names = {}
    for heading, code, shown in blocks("quick_reference.md"):
        printed = run(code, names, room)
        assert matches(shown or "", printed), f"{heading}: {printed}"


PROVOKED = blocks("troubleshooting.md")


@pytest.mark.parametrize(("heading", "code", "shown"), PROVOKED, ids=[heading for heading, _, _ in PROVOKED])
def test_troubleshooting_shows_what_pika_says(heading, code, shown, room):
    with pika.BlockingConnection(pika.ConnectionParameters("localhost")) as connection:
        channel = connection.channel()
        channel.queue_delete(queue="orders")
        channel.queue_declare(queue="orders", durable=True)
        printed = run(code, {"pika": pika, "time": time, "connection": connection, "channel": channel}, room)
    assert matches(shown, printed), f"{heading}: {printed}"
