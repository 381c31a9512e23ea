"""Nothing is asked for before it is taught: what a solution uses of pika and RabbitMQ is in a lesson before it, or in the brief or stub."""

import ast
import inspect
import re

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection

from rabbitlab import units
from rabbitlab.units import Unit

LESSONS = [unit for unit in units.every() if unit.kind == "lesson"]
GRADED = [unit for unit in units.every() if unit.graded]
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.S)
WORD = re.compile(r"amq\.[a-z.-]+|[a-z]+(?:-[a-z]+)+|[A-Za-z_]\w*")  # amq.fanout, x-queue-type, basic_publish
VALUES = {"direct", "fanout", "topic", "headers", "classic", "quorum", "stream", "all", "any"}
SPECIAL = re.compile(r"(x-|amq\.|reject-|drop-)[a-z.-]+|a(ll|ny)-with-x")  # values that are RabbitMQ's and nobody else's
CLASSES = (BlockingConnection, BlockingChannel, pika.BasicProperties, pika.ConnectionParameters, pika.URLParameters, pika.PlainCredentials)


def _names_of_pika() -> set[str]:
    names = {name for owner in (pika, pika.exceptions, pika.spec.Basic, *CLASSES) for name in dir(owner) if not name.startswith("_")}
    for owner in CLASSES:
        for name, method in inspect.getmembers(owner, inspect.isfunction):
            if name == "__init__" or not name.startswith("_"):
                names |= set(inspect.signature(method).parameters)
    return names - {"self", "args", "kwargs"}


PIKA = _names_of_pika()


def used(source: str) -> set[str]:
    """Methods, properties, arguments and exceptions of pika, and the names that RabbitMQ gives to types and arguments."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(attr=name) | ast.keyword(arg=name) if name in PIKA:
                found.add(name)
            case ast.ImportFrom(module=module, names=names) if (module or "").startswith("pika"):
                found |= {name.name for name in names}
            case ast.Constant(value=str(value)) if value in VALUES or SPECIAL.fullmatch(value):
                found.add(value)
    return found


def shown(text: str) -> set[str]:
    """The words in the code of a page, in its cells and in its sentences."""
    return {word for code in CODE.findall(text) for word in WORD.findall(code)}


def lessons_before(unit: Unit) -> list[Unit]:
    """The lessons of earlier modules, and those of its own up to the last one that leads to it; all, for a project."""
    own = [lesson for lesson in LESSONS if lesson.module == unit.module]
    if unit.kind == "exercise":
        leading = [n for n, lesson in enumerate(own) if f"exercises/{unit.stem}.md" in lesson.page.read_text()]
        assert leading, f"no lesson leads to {unit.page}"
        own = own[: leading[-1] + 1]
    return [lesson for lesson in LESSONS if lesson.module < unit.module] + own


def code_of(path) -> str:
    return "\n".join(file.read_text() for file in sorted(path.rglob("*.py"))) if path.is_dir() else path.read_text()


@pytest.mark.parametrize("unit", GRADED, ids=[unit.short for unit in GRADED])
def test_a_solution_needs_what_was_taught(unit):
    taught = set().union(*(shown(lesson.page.read_text()) for lesson in lessons_before(unit)))
    given = shown(unit.page.read_text()) | set(WORD.findall(code_of(unit.pristine)))
    early = used(code_of(unit.solution)) - taught - given
    last = lessons_before(unit)[-1]
    assert not early, f"{unit.solution} uses {sorted(early)}, which no lesson up to {last.page} shows, nor the brief or the stub"


def test_what_is_not_taught_is_found():
    program = """
from pika.exceptions import NackError
channel.queue_declare(queue="orders", exclusive=True, arguments={"x-max-priority": 3, "x-overflow": "reject-publish"})
channel.exchange_bind("a", "amq.fanout")
print("an order")
"""
    names = {"NackError", "queue_declare", "queue", "exclusive", "arguments", "x-max-priority", "x-overflow", "reject-publish"}
    assert used(program) == names | {"exchange_bind", "amq.fanout"}
    page = "We say `queue_declare`, and topic.\n```\nbind(queue='x-overflow')\n```\n"
    assert shown(page) == {"queue_declare", "bind", "queue", "x-overflow"}
