"""Put a message off, or park it: publish a copy, and acknowledge the original once RabbitMQ has confirmed that copy.

In that order a message may be there twice, and is never missing.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from .connecting import Addresses
from .message import Message
from .metrics import Counter, Metrics
from .publisher import ReliablePublisher
from .receipt import Outcome, PublisherClosed, Receipt
from .retries import Retries, copied, told
from .retry import Backoff
from .subscription import Settle, Subscription

log = logging.getLogger(__name__)
AGAIN = Backoff(base=0.5, cap=10.0)  # between two attempts to publish a copy that RabbitMQ did not confirm


@dataclass(eq=False)
class _Move:
    message: Message
    exchange: str
    routing_key: str
    reason: str
    counter: Counter
    failures: int = 0


class Mover:
    """Moves messages out of their queue, over a connection of its own that is made when it is needed.

    Args:
        urls: The nodes.
        queue: Where messages come from.
        retries: Where they go.
        work: Has a function called by a thread that may wait.
        name: Of the connection.
        heartbeat: Of the connection, in seconds.
        metrics: Counted there.
    """

    def __init__(
        self, urls: Addresses, queue: str, retries: Retries, work: Callable[[object], None], *, name: str, heartbeat: int, metrics: Metrics
    ):
        self._queue, self._retries, self._metrics, self._work = queue, retries, metrics, work
        self._make = partial(ReliablePublisher, urls, name=name, heartbeat=heartbeat, metrics=metrics)
        self._publisher: ReliablePublisher | None = None
        self._lock = threading.Lock()
        self._held: dict[_Move, tuple[float, str]] = {}  # not confirmed, and to be tried again: since, why

    @property
    def trouble(self) -> tuple[float, str] | None:
        """Since when (``time.time()``) some message can be moved nowhere, and why; None where all is well."""
        return min((told for move, told in list(self._held.items()) if not move.message.subscription.over), default=None)

    def put_off(self, message: Message, reason: str) -> None:
        """To a waiting queue, or back at once where there is none."""
        wait = self._retries.delay(message.attempt) / 1000
        log.warning("%s: attempt %d of %d failed, again in %g s: %s", message, message.attempt, self._retries.limit, wait, reason)
        if self._retries.waits:
            self._move(_Move(message, *self._retries.later(self._queue, message.attempt), reason, self._metrics.retried))
        else:
            self._metrics.retried.inc()
            message.subscription.settle(message, Settle.REJECT)

    def park(self, message: Message, reason: str) -> None:
        """To the dead letter queue."""
        log.error("%s: parked: %s", message, reason)
        self._move(_Move(message, *self._retries.dead(self._queue), reason, self._metrics.dead_lettered))

    def release(self, subscription: Subscription) -> None:
        """Give back what could be moved nowhere so far: the subscription is being drained, or is over."""
        for move in list(self._held):
            if move.message.subscription is subscription and self._held.pop(move, None) is not None:
                subscription.settle(move.message, Settle.REJECT)

    def close(self) -> None:
        """End the connection, if there is one."""
        with self._lock:
            if self._publisher is not None:
                self._publisher.close(timeout=0)

    def _move(self, move: _Move) -> None:
        if move.message.subscription.over:  # it comes again
            return
        publisher: ReliablePublisher | None = None
        try:
            publisher = self._there()
            receipt = publisher.publish(
                move.message.body,
                exchange=move.exchange,
                routing_key=move.routing_key,
                properties=copied(move.message, self._queue, move.message.attempt, move.reason),
                message_id=move.message.message_id,
            )
        except Exception as error:
            if isinstance(error, PublisherClosed):  # its login was refused; another one may be let in again
                self._forget(publisher)
            self._hold(move, told(error))
        else:
            receipt.add_done_callback(partial(self._done, move))

    def _there(self) -> ReliablePublisher:
        with self._lock:
            if self._publisher is None:
                self._publisher = self._make()
            return self._publisher

    def _forget(self, closed: ReliablePublisher | None) -> None:
        with self._lock:
            if self._publisher is closed:  # another thread may have made a new one since
                self._publisher = None

    def _done(self, move: _Move, receipt: Receipt) -> None:
        if receipt.outcome is Outcome.CONFIRMED:
            move.message.subscription.settle(move.message, Settle.ACK)
            move.counter.inc()
        else:
            self._hold(move, f"{receipt.outcome and receipt.outcome.value}: {receipt.reply_code or ''} {receipt.reply_text}")

    def _hold(self, move: _Move, why: str) -> None:
        """Keep the original, and try again."""
        subscription = move.message.subscription
        if subscription.over:
            return
        if subscription.draining:
            subscription.settle(move.message, Settle.REJECT)
            return
        seconds = AGAIN.seconds(move.failures)
        move.failures += 1
        why = f"{move.message} cannot be moved to exchange {move.exchange!r} with key {move.routing_key!r}: {why}"
        log.error("%s; again in %.1f s", why, seconds)
        self._held[move] = (time.time(), why)
        subscription.later(seconds, lambda: self._work(lambda: self._retry(move)))

    def _retry(self, move: _Move) -> None:
        if self._held.pop(move, None) is not None:
            self._move(move)
