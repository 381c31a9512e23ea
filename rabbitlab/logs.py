"""The logs of the three nodes in one place: merged by time, searched by text, level and node.

The nodes log JSON to their containers' consoles (``log.console.formatter`` in docker/rabbitmq/rabbitmq.conf), and Docker keeps it. Lines
that are no JSON, such as a node's first words or those of other services, pass through as they are.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from rabbitlab import cluster
from rabbitlab.nodes import NODES

LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
ALL_NODES = tuple(node.name for node in NODES)
# "rabbit1-1  | 2026-11-22T01:41:41.112330123Z what it said", as compose prints it
_LOGGED = re.compile(r"^(?P<service>[a-z][a-z0-9-]*?)-\d+\s+\| (?P<time>\S+) ?(?P<said>.*)$")
_VARIES = (
    (re.compile(r" ?<\d+\.\d+\.\d+>"), ""),  # Erlang processes
    (re.compile(r"\d+\.\d+\.\d+\.\d+:\d+"), "<address>"),
    (re.compile(r"'\d+(?:ms|s)'|'[\d, MmHh:s]+'"), "<time>"),
)


@dataclass(frozen=True)
class Line:
    """A line of a log.

    Attributes:
        time: When, in UTC.
        node: Who: ``rabbit1``.
        level: ``info``, ``warning``, ``error``, ...; empty for what is no JSON.
        category: What it is about: ``user``, ``connection``, ``queue``; empty where the node does not say.
        text: What it says.
    """

    time: datetime
    node: str
    level: str
    category: str
    text: str

    def __str__(self) -> str:
        """The line without what differs from run to run: no time, no ports, no processes."""
        said = self.text
        for pattern, instead in _VARIES:
            said = pattern.sub(instead, said)
        return " ".join([self.node, *filter(None, (f"[{self.level}]" if self.level else "", self.category)), said.replace("\n", " ")])

    def shown(self) -> str:
        """The line for a terminal, with its time."""
        about = "".join(f"{word:<{width}} " for word, width in ((f"[{self.level}]", 9), (self.category, 10)) if self.level)
        return f"{self.time:%H:%M:%S}.{self.time.microsecond // 1000:03d} {self.node:<7} {about}" + self.text.strip().replace(
            "\n", "\n    "
        )


def search(
    text: str = "",
    *,
    since: datetime | None = None,
    level: str | None = None,
    category: str | None = None,
    nodes: Iterable[str] = ALL_NODES,
) -> list[Line]:
    """The lines that contain *text*, of all nodes, the oldest first.

    A line is there some milliseconds after the thing that it tells of: wait for it with :func:`rabbitlab.broker.wait_until`.

    Args:
        text: Anywhere in the line, in upper or lower case.
        since: Only what was logged from then on: ``datetime.now(UTC)``, taken before the thing to look for.
        level: At least of this level: ``"warning"`` finds errors, too.
        category: Only about this: ``"user"``, ``"connection"``.
        nodes: Only of these.

    Raises:
        ValueError: there is no such level.
    """
    return [line for line in read(nodes, since=since) if matches(line, text, level, category) and (not since or line.time >= since)]


def matches(line: Line, text: str = "", level: str | None = None, category: str | None = None) -> bool:
    """Whether a line contains *text*, is at least of *level*, and about *category*.

    Raises:
        ValueError: there is no such level.
    """
    if level and level not in LEVELS:
        raise ValueError(f"There is no level {level!r}. Levels: {', '.join(LEVELS)}.")
    severe = not level or (line.level in LEVELS and LEVELS.index(line.level) >= LEVELS.index(level))
    return severe and text.lower() in line.text.lower() and category in (None, line.category)


def read(services: Iterable[str], *, since: datetime | None = None, tail: int | None = None) -> list[Line]:
    """All lines of these services that Docker has kept, the oldest first.

    Args:
        services: Compose services.
        since: Only what Docker got from then on.
        tail: At most so many of each service, the newest.
    """
    options = ["--since", since.isoformat()] if since else []
    options += ["--tail", str(tail)] if tail else []
    done = cluster.compose(*_COMMAND, *options, *services, capture=True)
    return sorted(parsed(done.stdout.splitlines()), key=lambda line: line.time)


def follow(services: Iterable[str]) -> Iterator[Line]:
    """The lines of these services as they arrive, beginning with the last ten of each; ends when the reader goes."""
    with cluster.composing(*_COMMAND, "--follow", "--tail", "10", *services) as process:
        yield from parsed(process.stdout)


def parsed(lines: Iterable[str]) -> Iterator[Line]:
    """What ``docker compose logs --timestamps`` prints, as lines of the log."""
    for raw in lines:
        if found := _LOGGED.match(raw.rstrip("\n")):
            yield _line(found["service"], found["time"], found["said"])


def _line(service: str, stamp: str, said: str) -> Line:
    try:
        fields = json.loads(said[said.index("{") :])  # a node's first line of JSON stands behind its last greeting
        time = datetime.fromisoformat(fields["time"])
        category = fields.get("domain", "").partition(".")[2]
        return Line(time, service, fields["level"], category, str(fields["msg"]))
    except (ValueError, KeyError, TypeError):
        # Docker writes nanoseconds, and Python reads microseconds.
        return Line(datetime.fromisoformat(re.sub(r"(\.\d{6})\d*Z?$", r"\1+00:00", stamp)).astimezone(UTC), service, "", "", said)


_COMMAND = ("--profile", "*", "logs", "--no-color", "--timestamps")
