"""Time in which the machine gave this process no processor: what a limit in seconds must not count, when it judges somebody else.

A laptop under load, or a virtual machine whose host is busy, stands still for a second now and then. To a process it looks as if the
clock had jumped. A thread that does nothing but sleep notes each jump; :func:`lost` says how much of a span was lost so, :func:`spent`
what was not, and :func:`clock` is a clock without them. What is slow for another reason (a node, a disk, a program) is not left out.
"""

import os
import threading
from time import monotonic, sleep  # a test that replaces those of the module time must not reach the watching thread

BEAT = 0.05  # seconds between two looks at the clock
STALL = 0.25  # seconds beyond a beat that are a stall; less than this happens all the time, and no limit is as short

_stalls: list[tuple[float, float]] = []  # when each began and ended
_beat: list[float] = []  # the last look at the clock, of this process; empty until somebody asks
_guard = threading.Lock()


def lost(began: float = 0.0, ended: float | None = None) -> float:
    """Seconds between two moments of ``time.monotonic()`` in which this process stood still; it is watched from the first call on.

    Args:
        began: From when; from the first call on unless given.
        ended: Until when; until now unless given.
    """
    return sum(_within(began, ended))


def longest(began: float) -> float:
    """Seconds of the longest time in which this process stood still since *began*, a moment of ``time.monotonic()``."""
    return max(_within(began, None), default=0.0)


def spent(began: float, ended: float | None = None) -> float:
    """Seconds between two moments of ``time.monotonic()``, now unless *ended* is given, without those in which this process stood still."""
    ended = monotonic() if ended is None else ended
    return ended - began - lost(began, ended)


def clock() -> float:
    """``time.monotonic()`` without the time in which this process stood still; only differences mean something."""
    now = monotonic()
    return now - lost(ended=now)


def _within(began: float, ended: float | None) -> list[float]:
    _watch()
    with _guard:
        now = monotonic()
        # The watching thread may not have had its turn yet: the stall that has just ended is in no list.
        found = [*_stalls, *_stall(_beat[0], now)]
    until = now if ended is None else ended
    return [max(0.0, min(end, until) - max(start, began)) for start, end in found]


def _watch() -> None:
    with _guard:
        if not _beat:
            threading.Thread(target=_look, name="stalls", daemon=True).start()
            _beat.append(monotonic())  # not before: where no thread can be had, nothing would move it on


def _look() -> None:
    while True:
        sleep(BEAT)
        with _guard:
            now = monotonic()
            _stalls.extend(_stall(_beat[0], now))
            _beat[0] = now


def _stall(last: float, now: float) -> list[tuple[float, float]]:
    return [(last, now)] if now - last > BEAT + STALL else []


def _forked() -> None:
    """A thread is not forked with its process: the next question starts one anew. The lock may have been held by a thread that is gone."""
    global _guard
    _guard = threading.Lock()
    _beat.clear()


os.register_at_fork(after_in_child=_forked)
