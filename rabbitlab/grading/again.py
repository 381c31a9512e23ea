"""Make a check again whose answer may have gone home only because the machine stood still."""

import functools
import time
from collections.abc import Callable

from rabbitlab import stalls
from rabbitlab.grading.verdict import Late, Verdict

TIMES = 2


def again_after_a_stall(idle: float) -> Callable[[Callable], Callable]:
    """A decorator of checks in which an answer goes home after a silence: one that fails after a stall is made anew, twice at most.

    To an answer that waits for a silence a stall is one: it goes home before RabbitMQ has sent it what is there. Where nothing stands
    still, a check that fails has failed.

    Args:
        idle: Seconds of silence after which the answer goes home. A stall of half of that, or longer, is one.
    """

    def of(check: Callable) -> Callable:
        @functools.wraps(check)
        def checked(attempt, **others):
            stalls.lost()  # watched from now on
            for times_left in reversed(range(TIMES + 1)):
                began = time.monotonic()
                try:
                    check(attempt=attempt, **others)
                    return
                except (AssertionError, Verdict) as failed:
                    if not times_left or stalls.longest(began) < idle / 2 or _is_no_silence(failed):
                        raise
                attempt.wipe()

        return checked

    return of


def _is_no_silence(failed: AssertionError | Verdict) -> bool:
    """Whether it failed otherwise than by going home: it never did, say, or it printed without end."""
    return isinstance(failed, Verdict) and failed.kind != "failed" and not isinstance(failed, Late)
