"""Whose turn it is on the cluster: shared among those who use it, exclusive for those who break it, across processes.

A killed node is seen by everybody on the cluster. So whoever only uses it (a check, a notebook being validated) holds this lock in common
with others, and whoever breaks it (:mod:`rabbitlab.faults`) waits until they are done and keeps them out until the cluster is whole.

A process inherits the turn of the one that started it, through an environment variable: a notebook's kernel acts under the turn that pytest
took for it. So a notebook which breaks the cluster takes the exclusive turn from its beginning (see :func:`needed`), and a grader's check
or a test which does is marked ``faults``.
"""

import fcntl
import math
import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rabbitlab.errors import Mendable
from rabbitlab.units import STATE

SHARED, EXCLUSIVE = "shared", "exclusive"
INHERITED = "RABBITLAB_TURN"  # the turn under which a process was started
HEALED_WITHIN = 180  # seconds: longer than one healing takes
LONG = 2.0  # seconds of waiting after which somebody who looks on is told
# What breaks the cluster for others. Closed connections are one's own affair.
_BREAKS = re.compile(r"\bfaults\.(?!(?:closed_connections|whole)\b)[a-z_]+\(")
_guard = threading.RLock()
_depth = 0
_descriptor = -1


@contextmanager
def shared() -> Iterator[None]:
    """Use the cluster: nobody breaks it inside the ``with``. Waits while somebody does."""
    with _turn(SHARED):
        yield


@contextmanager
def exclusive() -> Iterator[None]:
    """Have the cluster to oneself, to break it. Waits until those who use it are done; who comes later waits in turn.

    Raises:
        Mendable: this process, or the one that started it, holds a shared turn: waiting for itself would never end.
    """
    with _turn(EXCLUSIVE):
        yield


@contextmanager
def turn(path: Path) -> Iterator[None]:
    """The turn that the notebook or page at *path* needs, for as long as it runs."""
    with _turn(needed(path)):
        yield


def needed(path: Path) -> str:
    """``exclusive`` where the text of *path* calls a fault that others on the cluster would notice, else ``shared``."""
    return EXCLUSIVE if _BREAKS.search(path.read_text(encoding="utf-8")) else SHARED


@contextmanager
def prometheus() -> Iterator[None]:
    """Be the only one who has files of one's own in Prometheus. To be taken before a turn on the cluster, never after it."""
    with _closing(_take("prometheus.lock")):
        yield


@contextmanager
def healing() -> Iterator[None]:
    """Heal the cluster alone: nobody else heals, or breaks something, inside the ``with``; under which turn is another question.

    Raises:
        Mendable: another process breaks or heals it for too long.
    """
    with _closing(take_healing()):
        yield


def take_healing() -> int:
    """The descriptor of a file that one process at a time has, until it and every child that it was passed to have closed it.

    Raises:
        Mendable: another process has it for too long.
    """
    return _take("healing.lock", within=HEALED_WITHIN)


def turn_here() -> str:
    """The turn under which this process acts already: ``shared``, ``exclusive``, or nothing."""
    return os.environ.get(INHERITED, "")


def descriptor() -> int:
    """The file descriptor that holds the turn of this process; for a child that must keep it when this one is killed. -1: none."""
    return _descriptor


@contextmanager
def _turn(kind: str) -> Iterator[None]:
    global _depth
    inherited = os.environ.get(INHERITED)
    if inherited:
        if kind == EXCLUSIVE and inherited == SHARED:
            raise Mendable(
                "This breaks the cluster for others, and runs where only using it was announced. "
                "In a page, call the fault as faults.name(...), so that it can be found beforehand; mark a check or a test with "
                "@pytest.mark.faults. See rabbitlab/lock.py."
            )
        with _guard:
            _depth += 1 if _descriptor >= 0 else 0
        try:
            yield
        finally:
            _leave() if _descriptor >= 0 else None
        return
    _enter(kind)
    try:
        yield
    finally:
        _leave()


def _enter(kind: str) -> None:
    """Take the turn. Who waits for the exclusive one holds the gate meanwhile, so that newcomers do not keep it waiting for ever."""
    global _depth, _descriptor
    with _closing(_take("cluster.gate")):
        lock = _take("cluster.lock", fcntl.LOCK_EX if kind == EXCLUSIVE else fcntl.LOCK_SH)
    with _guard:
        _descriptor, _depth = lock, 1
        os.environ[INHERITED] = kind


def _leave() -> None:
    """Give the turn back when the last ``with`` that stands on it ends."""
    global _depth, _descriptor
    with _guard:
        _depth -= 1
        if _depth == 0:
            os.environ.pop(INHERITED, None)
            os.close(_descriptor)
            _descriptor = -1


@contextmanager
def _closing(descriptor: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(descriptor)


def _take(name: str, operation: int = fcntl.LOCK_EX, within: float = math.inf) -> int:
    STATE.mkdir(exist_ok=True)
    taken = os.open(STATE / name, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _wait_for(taken, operation, within)
    except BaseException:
        os.close(taken)
        raise
    return taken


def _wait_for(descriptor: int, operation: int, within: float = math.inf) -> None:
    began, told = time.monotonic(), False
    while True:
        try:
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if not told and time.monotonic() - began > LONG:
                print("Waiting for the cluster: another check, notebook or fault has its turn.", file=sys.stderr, flush=True)
                told = True
            if time.monotonic() - began > within:
                raise Mendable(
                    f"Another process breaks or heals the cluster for {within:.0f} s by now. To see how it is: ./lab doctor"
                ) from None
            time.sleep(0.05)
