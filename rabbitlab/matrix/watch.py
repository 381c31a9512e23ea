"""Follow a ledger while it is written: what has been sent, confirmed and handled so far, without reading it all again each time."""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

from rabbitlab.ledger import CONFIRMED, DONE, OPEN, REFUSED, SENT, STARTED, Entry


class Watch:
    """What a ledger says so far.

    Args:
        path: The ledger's file.

    Attributes:
        entries: All of them, in the order in which they were written.
        by: How often each kind was written of each id: ``by["effect"]["17"]``.
        last: When each kind was written last, in seconds of ``time.monotonic()``.
    """

    def __init__(self, path: Path):
        self.entries: list[Entry] = []
        self.by: dict[str, Counter] = {what: Counter() for what in (SENT, CONFIRMED, REFUSED, OPEN, STARTED, DONE, "acked")}
        self.last: dict[str, float] = {}
        self._path, self._at, self._rest = path, 0, b""

    def look(self) -> "Watch":
        """Read what is new."""
        with self._path.open("rb") as file:
            file.seek(self._at)
            data = self._rest + file.read()
            self._at = file.tell()
        *lines, self._rest = data.split(b"\n")
        for line in lines:
            try:
                entry = Entry(**json.loads(line))
            except (ValueError, TypeError):
                continue
            self.entries.append(entry)
            self.by[entry.what][entry.id] += 1
            self.last[entry.what] = max(entry.at, self.last.get(entry.what, 0.0))
        return self

    def number(self, what: str) -> int:
        """Of how many ids something was written."""
        return len(self.by[what])

    def moments(self, what: str, since: float = 0.0) -> list[float]:
        """When it was written, by time."""
        return sorted(entry.at for entry in self.entries if entry.what == what and entry.at >= since)

    def open(self) -> list[str]:
        """The ids whose publisher has not said yet what became of them."""
        told = self.by[CONFIRMED].keys() | self.by[REFUSED].keys() | self.by[OPEN].keys()
        return [id for id in self.by[SENT] if id not in told]

    def not_arrived(self) -> list[str]:
        """The ids that were confirmed and not handled yet."""
        return [id for id in self.by[CONFIRMED] if id not in self.by[DONE]]


def longest_gap(moments: list[float], began: float, until: float) -> tuple[float, float]:
    """The longest time in which nothing happened, of those that reach into a span.

    Args:
        moments: When something happened, by time.
        began: Of the span.
        until: Its end; what happened later still ends a gap.

    Returns:
        Its seconds, and when it began; a gap that never ended lasts until the span ends.
    """
    found = [(later - earlier, earlier) for earlier, later in pairwise(moments) if later >= began and earlier <= until]
    if moments and moments[-1] < until:
        found.append((until - moments[-1], moments[-1]))
    return max(found, default=(until - began, began))
