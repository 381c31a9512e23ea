"""A consumer that loses no message and comes back by itself.

A handler runs on a worker thread. Its message is acknowledged when it has returned, and no sooner; when it raises, the message waits and
is tried again, and after the last try it is in the dead letter queue, with the reason.

The connection belongs to one thread, which does nothing but talk to RabbitMQ (see ``link``). A second connection, made when a handler
fails for the first time, publishes what is tried again: RabbitMQ stops reading from connections that publish when it runs out of memory,
and acknowledgements, which make room, must not wait behind that.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from pika.exceptions import ChannelClosedByBroker

from .care import Care
from .connecting import LOST, Addresses, login_refused, parameters
from .link import Link, first
from .message import Message, Reject
from .metrics import Metrics
from .moves import Mover
from .retries import USUAL, Retries, told
from .retry import Backoff
from .rounds import Failures
from .subscription import Abandoned, Cancelled, Settle, Subscription
from .workers import Workers

log = logging.getLogger(__name__)
BACKOFF = Backoff(cap=2.0)  # a queue that is there again must not wait longer for its consumer
NO_ANSWER = 405  # RESOURCE_LOCKED: what a queue with a single active consumer says to basic_get
STEADY = 10.0  # seconds after which a consumer that is cancelled begins with the shortest wait again
GRACE = 10.0  # seconds for taking leave of RabbitMQ, after those that handlers have


@dataclass(frozen=True)
class Health:
    """Whether messages flow, which is more than being connected.

    Attributes:
        flowing: The consumer is attached to its queue and takes messages, a handler thread is free or has not been busy for too long, and
            what failed could be put off or parked.
        since: When this began, in seconds of ``time.time()``.
        why: In words, for whoever is on call.
    """

    flowing: bool
    since: float
    why: str


class ResilientConsumer:
    """Calls ``handler(message)`` for each message of *queue*, at least once, until it is stopped.

    Whatever ends the connection or the consumer (a node that dies, falls silent or is cut off; a queue that is deleted; a handler that
    exceeds the consumer timeout), it attaches again by itself, over the nodes in turn. A node that is cut off from the other nodes alone
    keeps its clients and gives them nothing; so a consumer that has waited for some seconds asks its queue for a message, with
    ``basic_get``, and leaves a node at which the queue does not answer. Messages that were in hand then come again, so a
    handler must bear to be called twice: remember each ``message_id`` together with the effect.

    A handler that raises :class:`Reject` has its message dead-lettered at once; any other exception counts as a failed attempt. A process
    that dies with messages in hand counts as one for each of them, as a quorum queue tells. Before the last attempt of such a message the
    consumer takes one message at a time, so that only what kills the process alone ends in the dead letter queue for it.

    It declares nothing: see :func:`retries.declare_topology`. Its user needs to read the queue, and to write to the two exchanges.

    Args:
        urls: The nodes, as for :func:`connecting.parameters`.
        queue: A quorum queue; any other has no protection from handlers that kill their process.
        handler: Called on ``workers`` threads at once.
        name: Of the connection, for the management UI and the logs.
        prefetch: Messages held at a time, in work or waiting for a thread. More is faster, and longer for others to wait for when it dies.
        workers: Threads. 1 keeps the order of messages, as long as none fails and no connection is lost.
        retries: How often a message is tried, and when.
        heartbeat: Seconds, as for :func:`connecting.parameters`.
        backoff: Waits between two attempts to attach.
        metrics: Counted there, together with what is published to put messages off or park them: that shows in ``confirmed``,
            ``in_flight`` and ``reconnects`` under the same name.
        stuck_after: Seconds after which a call of a handler is no longer thought to come back, for :attr:`health`.

    Raises:
        ValueError: an address is wrong or there is none, or *prefetch* or *workers* is less than 1.
    """

    def __init__(
        self,
        urls: Addresses,
        queue: str,
        handler: Callable[[Message], object],
        *,
        name: str = "consumer",
        prefetch: int = 20,
        workers: int = 4,
        retries: Retries = USUAL,
        heartbeat: int = 10,
        backoff: Backoff = BACKOFF,
        metrics: Metrics | None = None,
        stuck_after: float = 60.0,
    ):
        if prefetch < 1 or workers < 1:
            raise ValueError(f"at least one message at a time and one thread, not prefetch={prefetch} and workers={workers}")
        parameters(urls, name=name)  # a wrong address is told here, and not by a thread
        self._addresses = partial(parameters, urls, name=name, heartbeat=heartbeat)
        self._queue, self._handler, self._name = queue, handler, name
        self._retries, self._backoff, self._stuck_after = retries, backoff, stuck_after
        self._metrics = metrics or Metrics.off()
        self._care = Care(retries, prefetch)
        self._workers = Workers(workers, name, self._handle)
        self._mover = Mover(urls, queue, retries, self._workers.put, name=f"{name} (moves)", heartbeat=heartbeat, metrics=self._metrics)
        self._stopping, self._ended = threading.Event(), threading.Event()
        self._patience = 0.0  # seconds that handlers have to finish once it is stopping
        self._link: Link | None = None
        self._connected_before = False
        self._failures = Failures()
        self._asks = True
        self._subscription: Subscription | None = None
        self._attached_at: float | None = None
        self._state = Health(False, time.time(), "not started")
        self._process = 0  # in which it was started; its threads do not survive a fork
        self._error: BaseException | None = None

    def run(self) -> None:
        """Consume until :meth:`stop`. A consumer that was stopped is not used again.

        Raises:
            pika.exceptions.ProbableAuthenticationError, pika.exceptions.ProbableAccessDeniedError: the login was refused.
            pika.exceptions.ChannelClosedByBroker: 403, this user may not read the queue.
        """
        self._process = os.getpid()
        self._workers.start()
        failures = 0
        try:
            while not self._stopping.is_set():
                try:
                    self._consume()
                except Abandoned as error:
                    log.warning("%s: stopped, and %s", self._name, error)
                except LOST as error:
                    if _is_final(error):
                        raise
                    failures = 1 if self._was_steady() else failures + 1
                    self._wait(self._backoff.seconds(failures - 1), error)
        except BaseException as error:
            self._error = error
            self._say(False, f"ended: {told(error)}")
            log.error("%s: %s", self._name, self._state.why)
            raise
        finally:
            self._workers.stop()
            self._mover.close()
            self._hang_up()
            if self._stopping.is_set():
                self._say(False, "stopped")
            self._ended.set()

    def start(self) -> "ResilientConsumer":
        """:meth:`run` in a thread of its own; what it raises, :meth:`join` raises."""
        self._process = os.getpid()
        threading.Thread(target=self._run, name=self._name, daemon=True).start()
        return self

    def join(self, timeout: float | None = None) -> bool:
        """Wait for its end, so many seconds at most; False when it still runs. Raises what :meth:`run` raised in its thread.

        In a forked child there is nothing of it to wait for.
        """
        ended = self._elsewhere() or self._ended.wait(timeout)
        if self._error is not None:
            raise self._error
        return ended

    def stop(self, timeout: float = 25.0) -> bool:
        """Finish what handlers are at, give the other messages back, and end.

        Given back messages are ready for other consumers at once, and nothing counts as failed. Stopping twice does no harm, and in a
        forked child it does nothing at all: the threads and the connection are the parent's.

        Args:
            timeout: Seconds that handlers have. What is not finished then comes again somewhere else, although its handler may still be
                at it. Kubernetes and Docker kill after 30 and 10 s unless told otherwise; choose less.

        Returns:
            Whether it has ended; False at once when a handler calls it, which cannot wait for itself.
        """
        if self._elsewhere():
            return True
        self._patience = timeout
        self._stopping.set()
        if (link := self._link) is not None:
            link.call(self._drain)
        if self._workers.mine():
            return False
        return not self._process or self._ended.wait(timeout + GRACE)

    def stop_on_signals(self, *numbers: int, timeout: float = 25.0) -> None:
        """:meth:`stop` at SIGTERM and SIGINT, or at *numbers*. A second signal changes nothing.

        A child that is forked afterwards, as by a ``ProcessPoolExecutor``, does not end at these signals either: so what a handler waits
        for there is finished when all processes of a service get one. To end such a child, kill it or give it handlers of its own.

        Args:
            numbers: Of signals.
            timeout: Seconds that handlers have, as for :meth:`stop`.

        Raises:
            ValueError: this is not the main thread; Python lets no other one do this.
        """
        for number in numbers or (signal.SIGTERM, signal.SIGINT):
            # By another thread: this one may hold the very lock that stop() needs.
            signal.signal(number, lambda *_: threading.Thread(target=self.stop, args=[timeout], daemon=True).start())

    @property
    def health(self) -> Health:
        """Whether messages flow; for a health check that restarts nothing, and for an alert."""
        if self._elsewhere():
            return Health(False, time.time(), "runs in the process that forked this one")
        state, busy, held = self._state, self._workers.busy(), self._mover.trouble
        stuck = [seconds for seconds in busy if seconds > self._stuck_after]
        if not state.flowing:
            return state
        if held is not None:
            return Health(False, held[0], held[1])
        if len(stuck) == self._workers.number:
            since = time.time() - min(stuck) + self._stuck_after
            return Health(False, since, f"every handler has been busy for {min(stuck):.0f} s or more")
        told = f"; {len(stuck)} of {self._workers.number} handlers busy for {min(stuck):.0f} s or more" if stuck else ""
        return Health(True, state.since, state.why + told)

    def __enter__(self) -> "ResilientConsumer":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _elsewhere(self) -> bool:
        """Whether this is a forked child of the process that runs it."""
        return self._process not in (0, os.getpid())

    def _run(self) -> None:
        with suppress(BaseException):  # join() raises it
            self.run()

    def _consume(self) -> None:
        """Attach, on the connection that there is or on another, and stay until drained."""
        self._attached_at = None
        if self._link is None:
            self._link = first(self._addresses(), self._failures, self._stopping.is_set)
            if self._connected_before:
                self._metrics.reconnects.inc()
            self._connected_before = True
        try:
            self._subscription = Subscription(self._link, self._queue, self._care.prefetch, self._deliver, self._asks)
            self._subscription.run(self._attached)
        except (Cancelled, ChannelClosedByBroker) as error:
            if self._subscription is not None and self._subscription.asking and getattr(error, "reply_code", 0) == NO_ANSWER:
                self._asks = False
            raise  # the connection is still good
        except BaseException:
            self._failures.add(self._link.node)
            self._hang_up()
            raise
        finally:
            if self._subscription is not None:
                self._mover.release(self._subscription)

    def _attached(self) -> None:
        self._attached_at = time.monotonic()
        how = ", one message at a time, after crashes" if self._care.careful else ""
        if self._subscription and not self._subscription.draining:  # else a message that came at once has said what it waits for
            self._say(True, f"attached to {self._queue} at {self._link and self._link.node}{how}")
        log.info("%s: %s", self._name, self._state.why)
        if self._stopping.is_set():
            self._drain()

    def _deliver(self, message: Message) -> None:
        if message.redelivered:
            self._metrics.redelivered.inc()
        if self._care.changes(message):
            how = "one message at a time" if self._care.careful else "many messages at a time again"
            self._say(False, f"waits for what is in hand, before it takes {how}")
            self._drain()  # what is in hand is finished or given back, this message included, before it goes on
        else:
            self._workers.put(message)

    def _handle(self, message: Message) -> None:
        """On a worker thread."""
        subscription = message.subscription
        if not subscription.claim(message):
            return
        if self._care.is_proved(message):
            self._mover.park(message, f"{message.deaths} times its consumer was gone before it was done, at last with nothing else in hand")
            return
        began = time.monotonic()
        try:
            self._handler(message)
        except Reject as rejection:
            self._mover.park(message, str(rejection) or "Reject")
        except BaseException as error:  # a thread that ended for SystemExit would be missed
            if message.attempt < self._retries.limit:
                self._mover.put_off(message, told(error))
            else:
                self._mover.park(message, told(error))
        else:
            subscription.settle(message, Settle.ACK)
        finally:
            self._metrics.handler_seconds.observe(time.monotonic() - began)

    def _drain(self) -> None:
        """On the link's thread."""
        if (subscription := self._subscription) is None or (link := self._link) is None:
            return
        subscription.drain()
        self._mover.release(subscription)
        if self._stopping.is_set():
            link.later(self._patience, subscription.abandon)

    def _wait(self, seconds: float, error: BaseException) -> None:
        """Before the next attempt to attach; the connection is kept alive meanwhile, if there is one."""
        self._say(False, f"not attached to {self._queue}: {told(error)}")
        log.warning("%s: %s; again in %.1f s", self._name, self._state.why, seconds)
        if self._link is None:
            self._stopping.wait(seconds)
            return
        waited: list[bool] = []
        self._link.later(seconds, lambda: waited.append(True))
        try:
            self._link.until(lambda: waited or self._stopping.is_set())
        except LOST:
            self._hang_up()

    def _was_steady(self) -> bool:
        return self._attached_at is not None and time.monotonic() - self._attached_at > STEADY

    def _hang_up(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def _say(self, flowing: bool, why: str) -> None:
        since = self._state.since if self._state.flowing == flowing else time.time()
        self._state = Health(flowing, since, why)


def _is_final(error: BaseException) -> bool:
    """Whether only a person can help. A queue that another consumer has for itself, 403 as well, may be free again."""
    refused = isinstance(error, ChannelClosedByBroker) and error.reply_code == 403 and "exclusive" not in error.reply_text
    return refused or login_refused(error)
