"""Alarms: too little memory or disk on one node, and no node takes messages any more."""

from collections.abc import Iterator
from contextlib import contextmanager

from rabbitlab import containers, limits, wholeness
from rabbitlab.faults.fault import Fault, made
from rabbitlab.nodes import NODES


@contextmanager
def memory_alarm(node: str = "rabbit1") -> Iterator[Fault]:
    """Raise a memory alarm by lowering the limit to one byte; inside, every node blocks its publishers.

    Afterwards the limit is the one of rabbitmq.conf. Nothing uses more memory for it.

    Args:
        node: The one whose limit is crossed.

    Raises:
        Mendable: an unknown node, or one that does not answer; names the command that mends it.
    """
    with _alarm(limits.MEMORY, "1", "memory", node) as fault:
        yield fault


@contextmanager
def disk_alarm(node: str = "rabbit1") -> Iterator[Fault]:
    """Raise a disk alarm by asking for more free space than there is; inside, every node blocks its publishers.

    Afterwards the limit is the one of rabbitmq.conf. Nothing is written to the disk for it.

    Args:
        node: The one whose limit is crossed.

    Raises:
        Mendable: an unknown node, or one that does not answer; names the command that mends it.
    """
    with _alarm(limits.DISK, "1000000GB", "disk", node) as fault:
        yield fault


@contextmanager
def _alarm(limit: limits.Limit, crossed: str, what: str, node: str) -> Iterator[Fault]:
    (name,) = containers.known([node])

    def unknown_to(asked) -> bool:
        try:
            return not any(raised.startswith(what) and raised.endswith(f" on {name}") for raised in wholeness.raised_alarms(asked))
        except OSError:  # it is slow; or cut off, and then it has no publishers
            return wholeness.view(asked) is not None

    def seen() -> str:
        ignorant = [asked.name for asked in NODES if containers.state(asked.name) == "running" and unknown_to(asked)]
        return f"{', '.join(ignorant)} know nothing of the alarm" if ignorant else ""

    with made(f"{what} alarm on {name}", (name,), lambda: limit.set(name, crossed), lambda: limit.restore(name), seen) as fault:
        yield fault
