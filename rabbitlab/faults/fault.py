"""What all faults have in common: broken, seen to be broken, mended, seen to be whole."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from rabbitlab import containers, healing, lock
from rabbitlab.errors import Mendable
from rabbitlab.faults import guardian

HAPPENS_WITHIN = 30  # seconds
ENDS_WITHIN = 60  # seconds


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


class _There:
    """The faults of this process whose ``with`` has not ended, and the guardian that stands by meanwhile."""

    def __init__(self):
        self.guard = threading.RLock()
        self.faults: list[Fault] = []
        self.guardian: guardian.Guardian | None = None


_there = _There()


def _forget() -> None:
    """A forked child has broken nothing, and must not keep the guardian from seeing its parent's end."""
    global _there
    if _there.guardian:
        _there.guardian.leave_to()
    _there = _There()


os.register_at_fork(after_in_child=_forget)


def heal(tell: Callable[[str], None] = lambda sentence: None) -> list[str]:
    """Put the whole cluster right, from any state, and return when it is whole.

    Args:
        tell: Is given what was mended, and what is waited for.

    Returns:
        What was mended, one sentence each; empty when there was nothing to mend.

    Raises:
        Mendable: what could not be mended, or a fault of this process is still wanted.
    """
    if wanted := [fault.name for fault in _there.faults]:
        raise Mendable(f"You broke the cluster on purpose ({', '.join(wanted)}). End the `with faults...` first; it heals by itself.")
    return healing.put_right(tell)


@contextmanager
def made(
    name: str,
    nodes: tuple[str, ...],
    break_it: Callable[[], None],
    mend: Callable[[], None],
    seen: Callable[[], str],
    gone: Callable[[], str] = lambda: "",
) -> Iterator[Fault]:
    """Make a fault, look that it is there, and mend it in the end, whatever happens.

    Args:
        name: Of the fault.
        nodes: Those that have to run, or it cannot be made.
        break_it: Makes it.
        mend: Takes it back; must do no harm where it was only half made.
        seen: An empty string once the fault is there, else what is still missing.
        gone: The same for its end, asked while another fault is there; after the last one the whole cluster is looked at.

    Raises:
        Mendable: it cannot be made, or not be seen, or the cluster is not whole in the end.
    """
    with lock.exclusive():
        for node in nodes:
            if (state := containers.state(node)) != "running":
                raise Mendable(f"{node} is not running ({state}), so there is nothing to break. To put the cluster right: ./lab heal")
        fault = Fault(name)
        try:
            _begin(fault)
            fault.began = time.monotonic()
            break_it()
            healing.wait(seen, HAPPENS_WITHIN, name)
            yield fault
        finally:
            _end(fault, mend, gone)


def _begin(fault: Fault) -> None:
    """Note it; the first one has a guardian called."""
    with _there.guard:
        if not _there.guardian:
            _there.guardian = guardian.Guardian()
        _there.faults.append(fault)


def _end(fault: Fault, mend: Callable[[], None], gone: Callable[[], str]) -> None:
    """Take the fault back; the last one to end leaves a whole cluster, or, if it cannot, leaves that to the guardian."""
    try:
        if fault not in _there.faults:  # there was no time to break anything
            return
        mended = _tried(mend)
        if not _was_last(fault, mended) and mended:
            with suppress(Mendable):  # what the other fault took away may be what is needed
                healing.wait(gone, ENDS_WITHIN, f"the end of: {fault.name}")
    finally:
        fault.ended = time.monotonic()
        _give_up(fault)


def _was_last(fault: Fault, mended: bool) -> bool:
    """Whether no other fault is there; then the cluster is whole. Nobody begins one meanwhile: it would be healed with this one."""
    with _there.guard:
        _there.faults.remove(fault)
        if _there.faults:
            return False
        healing.settle() if mended else healing.heal()
        _there.guardian.dismiss()
        _there.guardian = None
        return True


def _give_up(fault: Fault) -> None:
    """What did not come to its end by now is the guardian's, once no other fault is there."""
    with _there.guard:
        if fault in _there.faults:
            _there.faults.remove(fault)
        if _there.guardian and not _there.faults:
            _there.guardian.leave_to()
            _there.guardian = None


def _tried(mend: Callable[[], None]) -> bool:
    """Whether *mend* went through; what it met may be another fault, so the whole cluster is seen to later."""
    try:
        mend()
    except Mendable:
        return False
    return True
