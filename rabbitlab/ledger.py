"""What was sent, confirmed and handled, written down outside the code under test, and the verdict: what was lost.

A queue cannot tell what it has lost. Whoever wants to know writes down each promise and each effect when it happens, in a place that
outlives the programs, and compares. The model is the queue workload of Jepsen (https://jepsen.io).
"""

import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rabbitlab.timeline import Timeline

SENT, CONFIRMED, REFUSED, OPEN = "invoke", "ok", "fail", "unknown"  # what a publisher writes
STARTED, DONE, ACKED = "start", "effect", "acked"  # what a handler writes
KINDS = (SENT, CONFIRMED, REFUSED, OPEN, STARTED, DONE, ACKED)
SHOWN_ROWS = {"sent": SENT, "confirmed": CONFIRMED, "handled": DONE}
SHOWN = 5  # ids in a sentence


@dataclass(frozen=True)
class Entry:
    """One line of the ledger.

    Attributes:
        at: When, in seconds of ``time.monotonic()``, which all processes of a machine share.
        what: ``invoke``, ``ok``, ``fail``, ``unknown``, ``start``, ``effect`` or ``acked``.
        id: Of the message.
    """

    at: float
    what: str
    id: str


class Ledger:
    """An append-only file of promises and effects. Many processes may write to one path, and any of them may be killed.

    A publisher writes :meth:`invoke` before it sends, then what it knows: :meth:`ok` once confirmed, :meth:`fail` when returned or
    refused, :meth:`unknown` when the connection was lost before the confirm. It may send again; then it writes again. A handler writes
    :meth:`start`, :meth:`effect` when its work is done, and :meth:`acked`.

    Args:
        path: The file; a new one in the system's temporary folder when none is given. What it holds already counts.
        sync: Wait for the disk at each line, so that it survives the machine. A line survives its process either way.

    Attributes:
        path: The file.
    """

    def __init__(self, path: str | os.PathLike | None = None, sync: bool = True):
        if path is None:
            descriptor, path = tempfile.mkstemp(prefix="ledger-", suffix=".jsonl")
            os.close(descriptor)
        self.path = Path(path)
        self._sync = sync
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def __del__(self):
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)

    def invoke(self, id) -> None:
        """The publisher is about to send *id*."""
        self._write(SENT, id)

    def ok(self, id) -> None:
        """RabbitMQ has confirmed *id*: from now on it must not be lost."""
        self._write(CONFIRMED, id)

    def fail(self, id) -> None:
        """RabbitMQ has returned or refused *id*."""
        self._write(REFUSED, id)

    def unknown(self, id) -> None:
        """The connection was lost before the confirm: RabbitMQ may have *id*, or not."""
        self._write(OPEN, id)

    def start(self, id) -> None:
        """The handler was given *id*."""
        self._write(STARTED, id)

    def effect(self, id) -> None:
        """The work on *id* is done; the world has changed."""
        self._write(DONE, id)

    def acked(self, id) -> None:
        """The handler has acknowledged *id*."""
        self._write(ACKED, id)

    def entries(self) -> list[Entry]:
        """Everything written so far, by time. A line that its writer could not finish is passed over."""
        return sorted(_read(self.path), key=lambda entry: entry.at)

    def verdict(self, dead: Iterable = (), ready: Iterable = ()) -> "Verdict":
        """Compare the promises with the effects.

        Drain first: what is unacknowledged, or parked with a consumer that is gone, is in neither list and would count as lost.

        Args:
            dead: Ids found in the dead letter queue.
            ready: Ids still ready in their queue.
        """
        return Verdict(self.entries(), dead, ready)

    def timeline(self, faults: Iterable = (), verdict: "Verdict | None" = None, title: str = "") -> Timeline:
        """Draw what was sent, confirmed and handled over time, with the faults above.

        Args:
            faults: Each with ``.name``, ``.began`` and ``.ended`` in seconds of ``time.monotonic()``; ``.ended`` None is still going on.
            verdict: Says what was lost, where some messages are parked or waiting; without it, whatever was not handled is.
            title: Above the picture.
        """
        entries, lost, seen = self.entries(), set((verdict or self.verdict()).lost), set()
        rows = {name: [e.at for e in entries if e.what == what] for name, what in SHOWN_ROWS.items()}
        marks = {"handled again": [], "confirmed, then lost": []}
        for entry in entries:
            if entry.what == DONE and entry.id in seen:
                marks["handled again"].append(entry.at)
            elif entry.what == DONE:
                seen.add(entry.id)
            elif entry.what == CONFIRMED and entry.id in lost:
                marks["confirmed, then lost"].append(entry.at)
        return Timeline(rows, marks, faults, title)

    def _write(self, what: str, id) -> None:
        line = json.dumps({"at": time.monotonic(), "what": what, "id": str(id)}, ensure_ascii=False)
        # One write, so that lines of several processes do not mix; and a line break before it, should somebody have died within a line.
        os.write(self._descriptor, f"\n{line}\n".encode())
        if self._sync:
            os.fsync(self._descriptor)


class Verdict:
    """What became of the messages. It prints as sentences.

    Attributes:
        lost: Confirmed, and neither handled, dead-lettered nor ready.
        unexpected: Handled, and never sent.
        duplicated: Handled more than once.
        recovered: Never confirmed, and yet arrived after its publisher had to give it up as unknown.
        times: How often each id was handled.
        counts: How many different ids were ``sent``, ``confirmed``, ``refused`` (and never confirmed), ``unknown`` (likewise),
            ``handled``, ``dead`` and ``ready``.
    """

    def __init__(self, entries: list[Entry], dead: Iterable = (), ready: Iterable = ()):
        by = {what: Counter(e.id for e in entries if e.what == what) for what in KINDS}
        dead, ready = dict.fromkeys(map(str, dead)), dict.fromkeys(map(str, ready))
        self.times: Counter = by[DONE]
        arrived = by[DONE].keys() | dead.keys() | ready.keys()
        unsure = [id for id in by[OPEN] if id not in by[CONFIRMED]]
        self.lost = [id for id in by[CONFIRMED] if id not in arrived]
        self.unexpected = [id for id in dict.fromkeys((*by[STARTED], *by[DONE])) if id not in by[SENT]]
        self.duplicated = [id for id, times in self.times.items() if times > 1]
        self.recovered = [id for id in unsure if id in arrived]
        self.counts = {
            "sent": len(by[SENT]),
            "confirmed": len(by[CONFIRMED]),
            "refused": len([id for id in by[REFUSED] if id not in by[CONFIRMED] and id not in by[OPEN]]),
            "unknown": len(unsure),
            "handled": len(by[DONE]),
            "dead": len(dead),
            "ready": len(ready),
        }

    @property
    def valid(self) -> bool:
        """Nothing lost, nothing unexpected. Duplicates are allowed."""
        return not self.lost and not self.unexpected

    def __str__(self) -> str:
        told = ", ".join(f"{what} {number}" for what, number in self.counts.items())
        lines = [f"{'valid' if self.valid else 'NOT valid'}: lost {_listed(self.lost)}, unexpected {_listed(self.unexpected)}", f"  {told}"]
        lines += [f"  handled more than once: {_listed(self.duplicated)}"] if self.duplicated else []
        lines += [f"  unknown to the publisher, and yet arrived: {_listed(self.recovered)}"] if self.recovered else []
        return "\n".join(lines)

    __repr__ = __str__


def _read(path: Path) -> Iterator[Entry]:
    for line in path.read_bytes().split(b"\n"):
        try:
            entry = Entry(**json.loads(line))
        except (ValueError, TypeError):
            continue
        if entry.what in KINDS:
            yield entry


def _listed(ids: list[str]) -> str:
    """``3 (order-1, order-2, order-3)``."""
    shown = ", ".join(ids[:SHOWN]) + (", ..." if len(ids) > SHOWN else "")
    return f"{len(ids)} ({shown})" if ids else "0"
