"""What all faults have in common: broken, seen to be broken, mended, seen to be whole."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rabbitlab import healing, lock, wholeness

whole = wholeness.missing
HAPPENS_WITHIN = 30  # seconds
_guard = threading.RLock()
_there: list["Fault"] = []  # the faults whose ``with`` has not ended, the outermost first


@dataclass
class Fault:
    """A fault that was made.

    Attributes:
        name: ``"rabbit2 killed"``.
        began: When it was made, in seconds of ``time.monotonic()``.
        ended: When all was well again, in the same seconds; None before that. The cluster as a whole is looked at when the last of
            several nested faults ends.
        count: How many connections were closed, of ``closed_connections``; else None.
    """

    name: str
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None
    count: int | None = None


def heal() -> list[str]:
    """Put the whole cluster right, from any state, and return when it is whole; :func:`rabbitlab.healing.heal` does it.

    Returns:
        What was mended, one sentence each; empty when there was nothing to mend.

    Raises:
        Mendable: what could not be mended.
    """
    with lock.exclusive():
        return healing.heal()


@contextmanager
def made(name: str, break_it: Callable[[], None], mend: Callable[[], None], seen: Callable[[], str]) -> Iterator[Fault]:
    """Make a fault, look that it is there, and mend it in the end, whatever happens.

    Args:
        name: Of the fault.
        break_it: Makes it.
        mend: Takes it back; must do no harm where it was only half made.
        seen: An empty string once the fault is there, else what is still missing.
    """
    with lock.exclusive():
        fault = Fault(name)
        with _guard:
            _there.append(fault)
        try:
            fault.began = time.monotonic()
            break_it()
            healing.wait(seen, HAPPENS_WITHIN, f"{name}")
            yield fault
        finally:
            _end(fault, mend)


def _end(fault: Fault, mend: Callable[[], None]) -> None:
    """Take the fault back; the last one to end leaves a whole cluster."""
    try:
        mend()
    finally:
        with _guard:
            _there.remove(fault)
            last = not _there
        if last:
            healing.settle()
        fault.ended = time.monotonic()
