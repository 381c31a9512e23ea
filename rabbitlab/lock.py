"""Whose turn it is on the cluster: shared among those who use it, exclusive for those who break it, across processes.

A killed node is seen by everybody on the cluster. So whoever only uses it (a check, a notebook being validated) holds this lock in common
with others, and whoever breaks it (:mod:`rabbitlab.faults`) waits until they are done and keeps them out until the cluster is whole.

A process inherits the turn of the one that started it, through an environment variable: a notebook's kernel acts under the turn that pytest
took for it. So a notebook which breaks the cluster takes the exclusive turn from its beginning (see :func:`needed`), and a grader's check
or a test which does is marked ``faults``.

All copies of the course that a user has on a machine use the same containers, so they have their locks in one folder.
"""

import fcntl
import math
import os
import re
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rabbitlab.cluster import PROJECT
from rabbitlab.errors import Mendable

FOLDER = Path(f"/tmp/{PROJECT}-{os.getuid()}")  # what a user's copies of the course share; not TMPDIR, which differs between terminals
SHARED, EXCLUSIVE = "shared", "exclusive"
INHERITED = "RABBITLAB_TURN"  # the turn under which a process was started
HEALED_WITHIN = 180  # seconds: longer than one healing takes
LONG = 2.0  # seconds of waiting after which somebody who looks on is told
# What breaks the cluster for others. Closed connections are one's own affair.
_BREAKS = re.compile(r"\bfaults\.(?!(?:closed_connections|whole)\b)[a-z_]+\(")
_guard = threading.RLock()
_depth = 0
_descriptor = -1
_held: set[int] = set()  # descriptors of the other locks


def on_stderr(sentence: str) -> None:
    """Print it at once."""
    print(sentence, file=sys.stderr, flush=True)


@contextmanager
def shared(tell: Callable[[str], None] = on_stderr) -> Iterator[None]:
    """Use the cluster: nobody breaks it inside the ``with``. Waits while somebody does.

    Args:
        tell: Is given a sentence when the wait is long.
    """
    with _turn(SHARED, tell):
        yield


@contextmanager
def exclusive(tell: Callable[[str], None] = on_stderr) -> Iterator[None]:
    """Have the cluster to oneself, to break it. Waits until those who use it are done; who comes later waits in turn.

    Args:
        tell: Is given a sentence when the wait is long.

    Raises:
        Mendable: this process, or the one that started it, holds a shared turn: waiting for itself would never end.
    """
    with _turn(EXCLUSIVE, tell):
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
    """Be the only one who has files of one's own in Prometheus, and may pause it. To be taken before a turn on the cluster, never after."""
    with _closing(_take("prometheus.lock")):
        yield


def prometheus_is_taken() -> bool:
    """Whether some process, this one perhaps, is inside :func:`prometheus`."""
    taken = os.open(folder() / "prometheus.lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(taken, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(taken)
    return False


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


def folder() -> Path:
    """:data:`FOLDER`, which is made where it is missing.

    Raises:
        Mendable: it is somebody else's.
    """
    with suppress(FileExistsError):
        FOLDER.mkdir(mode=0o700)
    found = FOLDER.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise Mendable(f"{FOLDER} is not a folder of yours, and has to be: the locks of the cluster are in it. Let its owner remove it.")
    return FOLDER


def turn_here() -> str:
    """The turn under which this process acts already: ``shared``, ``exclusive``, or nothing."""
    return os.environ.get(INHERITED, "")


def descriptor() -> int:
    """The file descriptor that holds the turn of this process; for a child that must keep it when this one is killed. -1: none."""
    return _descriptor


@contextmanager
def _turn(kind: str, tell: Callable[[str], None] = on_stderr) -> Iterator[None]:
    global _depth
    with _guard:  # a turn that another thread of ours has is not given back between the question and our part in it
        inherited = os.environ.get(INHERITED)
        ours = bool(inherited) and _descriptor >= 0 and not (kind == EXCLUSIVE and inherited == SHARED)
        _depth += ours
    if inherited:
        if kind == EXCLUSIVE and inherited == SHARED:
            raise Mendable(
                "This breaks the cluster for others, and runs where only using it was announced. "
                "In a page, call the fault as faults.name(...), so that it can be found beforehand; mark a check or a test with "
                "@pytest.mark.faults. See rabbitlab/lock.py."
            )
        try:
            yield
        finally:
            _leave() if ours else None
        return
    _enter(kind, tell)
    try:
        yield
    finally:
        _leave()


def _enter(kind: str, tell: Callable[[str], None]) -> None:
    """Take the turn. Who waits for the exclusive one holds the gate meanwhile, so that newcomers do not keep it waiting for ever."""
    global _depth, _descriptor
    with _closing(_take("cluster.gate", tell=tell)):
        lock = _take("cluster.lock", fcntl.LOCK_EX if kind == EXCLUSIVE else fcntl.LOCK_SH, tell=tell)
    with _guard:
        if _descriptor >= 0:  # two threads of ours have come at once: one turn is enough
            os.close(lock)
            _depth += 1
            return
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


def _let_go_in_child() -> None:
    """A forked child acts under its parent's turn, as any process that was started, and must not keep it when the parent is gone."""
    global _guard, _depth, _descriptor
    _guard = threading.RLock()
    for held in _held | {_descriptor} - {-1}:
        os.close(held)
    _held.clear()
    _depth, _descriptor = 0, -1


os.register_at_fork(after_in_child=_let_go_in_child)


@contextmanager
def _closing(descriptor: int) -> Iterator[None]:
    _held.add(descriptor)
    try:
        yield
    finally:
        if descriptor in _held:  # else we are a child that was forked meanwhile
            _held.remove(descriptor)
            os.close(descriptor)


def _take(name: str, operation: int = fcntl.LOCK_EX, within: float = math.inf, tell: Callable[[str], None] = on_stderr) -> int:
    taken = os.open(folder() / name, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _wait_for(taken, operation, within, tell)
        os.utime(taken)  # it is in use: nobody who tidies up takes it for old
    except BaseException:
        os.close(taken)
        raise
    return taken


def _wait_for(descriptor: int, operation: int, within: float, tell: Callable[[str], None]) -> None:
    began, told = time.monotonic(), False
    while True:
        try:
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if not told and time.monotonic() - began > LONG:
                tell("Waiting for the cluster: another check, notebook or fault has its turn.")
                told = True
            if time.monotonic() - began > within:
                raise Mendable(
                    f"Another process breaks or heals the cluster for {within:.0f} s by now. To see how it is: ./lab doctor"
                ) from None
            time.sleep(0.05)
