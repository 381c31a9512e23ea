"""Try again, a little later each time, and never in step with the others.

A broker that comes back meets all its clients at once. Waits that grow leave it room; waits that differ (jitter) keep a thousand clients
from knocking in the same millisecond.
"""

import itertools
import logging
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class Backoff:
    """How long to wait after each failure: ``base``, then ``factor`` times as long each time, up to ``cap``.

    Iterate over one to get the waits of one attempt after the other; a new iteration begins with ``base`` again::

        for wait in Backoff(attempts=5):
            if connect() or stopping.wait(wait):
                break

    Attributes:
        base: Seconds to wait after the first failure.
        factor: How many times as long each further wait is.
        cap: Seconds that no wait exceeds, jitter aside.
        jitter: Part of the wait that chance may add or take away: 0.2 makes 10 s anything from 8 to 12 s.
        attempts: How many there may be in all, the first one included; None for no end.
    """

    base: float = 0.1
    factor: float = 2.0
    cap: float = 10.0
    jitter: float = 0.2
    attempts: int | None = None

    def __post_init__(self) -> None:
        if self.base < 0 or self.cap < 0 or self.factor < 1 or not 0 <= self.jitter <= 1:
            raise ValueError(f"a wait must not be negative nor shrink: {self}")
        if self.attempts is not None and self.attempts < 1:
            raise ValueError(f"attempts includes the first one, so it is 1 or more: {self}")

    def seconds(self, n: int) -> float:
        """The wait after failure *n*, the first being 0: within ``jitter`` of ``min(base * factor**n, cap)``, and new at each call."""
        try:
            wait = min(self.base * self.factor**n, self.cap)
        except OverflowError:  # after a day of failures
            wait = self.cap
        return wait * random.uniform(1 - self.jitter, 1 + self.jitter)

    def __iter__(self) -> Iterator[float]:
        n = 0
        while self.attempts is None or n < self.attempts:
            yield self.seconds(n)
            n += 1


def retry(
    call: Callable[[], T],
    *,
    on: type[Exception] | tuple[type[Exception], ...],
    backoff: Backoff = Backoff(),
    within: float | None = None,
    unless: Callable[[Exception], bool] | None = None,
    wait: Callable[[float], object] | None = None,
) -> T:
    """Call until it works, and return what it returns.

    What is called again must bear it: a message that is published again may be there twice, with the same ``message_id``.

    Args:
        call: Without arguments; make it one with ``functools.partial``.
        on: The errors worth another try. Any other goes through. ``connecting.LOST`` is for connecting only: it includes what RabbitMQ says
            about one message or one channel (no queue, a nack, 404), which would be tried again for ever.
        backoff: The waits between two calls, and how many calls there may be.
        within: Seconds in all. The last wait is cut short, so that a last call begins as they end. A call that hangs is not interrupted.
        unless: ``unless(error)`` true ends it, such as ``connecting.login_refused``.
        wait: Called with the seconds to wait, ``time.sleep`` unless given. A true result ends it, so that a service can pass
            ``stopping.wait`` of its ``threading.Event`` and need not wait out a back-off.

    Raises:
        The last error of ``call``, where it gives up.
    """
    deadline = None if within is None else time.monotonic() + within
    wait = wait or time.sleep
    for n in itertools.count():
        try:
            return call()
        except on as error:
            if n + 1 == backoff.attempts or (unless and unless(error)):
                raise
            seconds = backoff.seconds(n)
            if deadline is not None:
                seconds = min(seconds, deadline - time.monotonic())
            if seconds < 0:
                raise
            log.info("failed, again in %.1f s: %.200r", seconds, error)
            if wait(seconds):
                raise
    raise AssertionError("unreachable")
