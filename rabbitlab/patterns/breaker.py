"""A circuit breaker: fail at once while RabbitMQ is down, and let one call at a time find out whether it is back.

A service that waits 30 seconds for a dead broker at each request soon has all its threads waiting. Ready-made breakers were tried under
threads first: one held its lock during the protected call, so that all stood behind one that hung; two let every call through as a trial.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPConnectionError, InvalidFrameError, ProtocolVersionMismatch, UnexpectedFrameError

from .connecting import NotAsked
from .metrics import Metrics

log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")
CLOSED, HALF_OPEN, OPEN = "closed", "half-open", "open"
GAUGE = {CLOSED: 0, HALF_OPEN: 1, OPEN: 2}
TROUBLE = (AMQPConnectionError, AMQPConnectorException, InvalidFrameError, UnexpectedFrameError, ProtocolVersionMismatch, OSError)


def is_connection_trouble(error: BaseException) -> bool:
    """Whether *error* says that RabbitMQ cannot be reached, and not that it has answered about one message or one channel.

    No exchange (404), no queue (312), no right (403), declared otherwise (406) and a nack are answers: the next call may well work. So
    they must not keep others from calling. A refused login, and a connection that RabbitMQ closes, are none: no call works without one.
    """
    return isinstance(error, TROUBLE)


class CircuitOpen(NotAsked):
    """Refused without a call.

    Attributes:
        seconds: Until a call may go through as a trial; 0 while another one is doing that.
    """

    def __init__(self, seconds: float, reason: str):
        super().__init__(f"circuit open, a trial {f'in {seconds:.1f} s' if seconds else 'is under way'}; last failure: {reason}")
        self.seconds = seconds


@dataclass(frozen=True)
class _Pass:
    """Lets one call through. It reports to the period in which it began: one that hung and fails much later has nothing to say any more."""

    period: int
    trial: bool


class CircuitBreaker:
    """Stop calling a broker that is down, and notice when it is back.

    While *closed*, calls go through and failures in a row are counted, of all threads together. After ``threshold`` of them it is *open*:
    calls fail at once with :class:`CircuitOpen`, without touching the network. After ``cooldown`` seconds it is *half-open*: one call goes
    through as a trial and decides which of the two it will be next; the others still fail at once.

    What RabbitMQ says about one message or one channel is an answer, and as good as a success. A ``PoolTimeout``, and whatever else is
    :class:`NotAsked`, is neither: the failures before it and after it are in a row, and a trial that ends with it is made again.

    Any number of threads may share one. A call within a call, in the same thread, belongs to the outer one. Nothing ends a call that
    hangs: give what you call a timeout of its own, or a trial may keep the circuit open for as long as it hangs.

    A breaker protects the caller, not the messages: what is refused here must be kept somewhere else or given back.

    Args:
        threshold: Failures in a row that open it.
        cooldown: Seconds it stays open.
        counts: ``counts(error)`` true is a failure, whatever else is said above.
        clock: Monotonic clock, in seconds; tests pass their own.
        metrics: Its ``breaker_state`` follows.

    Raises:
        ValueError: for a threshold below 1.
        CircuitOpen: from :meth:`call` and from ``with breaker:``, while open.
    """

    def __init__(
        self,
        threshold: int = 5,
        cooldown: float = 10.0,
        *,
        counts: Callable[[BaseException], bool] = is_connection_trouble,
        clock: Callable[[], float] = time.monotonic,
        metrics: Metrics | None = None,
    ):
        if threshold < 1:
            raise ValueError(f"a circuit opens after one failure or more, not {threshold}")
        self._threshold, self._cooldown = threshold, cooldown
        self._counts, self._clock = counts, clock
        self._gauge = (metrics or Metrics.off()).breaker_state
        self._lock = threading.Lock()  # held to decide, never during a call
        self._mine = threading.local()
        self._failures = 0
        self._reason = ""  # a text, not the error: its traceback would keep connections alive
        self._period = 0  # one more each time it opens, tries or closes
        self._open_until: float | None = None
        self._trying = False
        self._gauge.set(GAUGE[CLOSED])

    @property
    def state(self) -> str:
        """``"closed"``, ``"open"`` or ``"half-open"``, which is: a trial may be made, or is under way."""
        with self._lock:
            if self._open_until is None:
                return CLOSED
            return HALF_OPEN if self._trying or self._clock() >= self._open_until else OPEN

    def call(self, function: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
        """What ``function(*args, **more)`` returns or raises, unless the circuit is open."""
        with self:
            return function(*args, **more)

    def __enter__(self) -> "CircuitBreaker":
        passes = self._passes()
        passes.append(passes[-1] if passes else self._admit())
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        passes = self._passes()
        mine = passes.pop()
        if passes:
            return
        try:
            if error is not None and self._counts(error):
                self._failed(mine, f"{error!r:.200}")
            elif error is None or (isinstance(error, Exception) and not isinstance(error, NotAsked)):
                self._worked(mine)
        finally:
            if mine.trial:
                self._broken_off(mine)

    def _passes(self) -> list[_Pass]:
        """Of the calls that this thread is in."""
        if not hasattr(self._mine, "passes"):
            self._mine.passes = []
        passes: list[_Pass] = self._mine.passes
        return passes

    def _admit(self) -> _Pass:
        with self._lock:
            if self._open_until is None:
                return _Pass(self._period, trial=False)
            left = self._open_until - self._clock()
            if self._trying or left > 0:
                raise CircuitOpen(max(left, 0.0), self._reason)
            self._trying = True
            self._turn(HALF_OPEN)
            return _Pass(self._period, trial=True)

    def _worked(self, mine: _Pass) -> None:
        with self._lock:
            if mine.period != self._period:
                return
            self._failures = 0
            if not mine.trial:
                return
            self._trying, self._open_until = False, None
            self._turn(CLOSED)
        log.info("circuit closed: the trial call worked")

    def _failed(self, mine: _Pass, reason: str) -> None:
        with self._lock:
            if mine.period != self._period:
                return
            self._failures, self._reason = self._failures + 1, reason
            if not mine.trial and self._failures < self._threshold:
                return
            self._trying, self._open_until = False, self._clock() + self._cooldown
            self._turn(OPEN)
        log.warning("circuit open for %.1f s: %s", self._cooldown, reason)

    def _broken_off(self, mine: _Pass) -> None:
        """A trial that has neither worked nor failed, for Ctrl-C or a busy pool, says nothing: the next call tries again."""
        with self._lock:
            if mine.period == self._period:
                self._trying = False

    def _turn(self, state: str) -> None:
        self._period += 1
        self._gauge.set(GAUGE[state])
