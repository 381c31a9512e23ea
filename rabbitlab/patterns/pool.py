"""A pool of connections for threads: each is lent to one thread at a time, and none that is dead.

"One channel per thread" is advice for other clients. In pika a connection with everything on it belongs to one thread: four threads on
four channels of one ``BlockingConnection`` published 0 of 800 messages. So what is shared is a pool, and what is lent a whole connection.
"""

import logging
import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPConnectionError

from .connecting import LOST, Addresses, NotAsked, limited, login_refused, parameters
from .pooled import GOODBYE, MOMENT, Pooled
from .turns import Turns

log = logging.getLogger(__name__)
T = TypeVar("T")
_pools: "weakref.WeakSet[ConnectionPool]" = weakref.WeakSet()


class PoolTimeout(NotAsked):
    """Every connection was lent, for as long as the borrower would wait. It is no error of the network, and in no sense ``LOST``."""


class PoolClosed(NotAsked):
    """The pool has been closed."""


class ConnectionPool:
    """Lend up to ``size`` connections to any number of threads, and make them when they are needed.

    Before it is lent a connection is looked at: one that is closed, too old, or that does not answer is replaced. While idle it is kept
    alive by a thread of the pool, for a ``BlockingConnection`` sends no heartbeats of its own. Borrowers are served in the order in which
    they came; the connection used last is lent first.

    Borrow for a batch rather than for a message: a channel costs three round trips (open, confirms, close), about as much as
    publishing three messages.

    In a forked child the pool is empty and makes connections of its own; what the parent has lent or idle is left alone.

    Args:
        urls: The nodes, as for :func:`connecting.parameters`; a new connection goes to one at random.
        size: Connections that may be open at once.
        name: Of the connections, in the management UI, and in messages.
        max_age: Seconds after which a connection is replaced when it is next idle (one fifth earlier at most, so that not all are at
            once). In this way connections return to a node that was away.
        max_idle: Seconds that a connection may lie unused before it is closed; None: as long as its heartbeats are kept.
        heartbeat: Seconds, as for :func:`connecting.parameters`.
        connect: Makes a connection, in place of all the above; it should have a timeout.

    Raises:
        ValueError: for a size below 1, and for addresses that are none.
    """

    def __init__(
        self,
        urls: Addresses = (),
        *,
        size: int = 8,
        name: str = "pool",
        max_age: float = 3600.0,
        max_idle: float | None = None,
        heartbeat: int = 10,
        connect: Callable[[], pika.BlockingConnection] | None = None,
    ):
        if size < 1:
            raise ValueError(f"a pool of {size} connections lends none")
        if connect is None:
            parameters(urls, name=name, heartbeat=heartbeat)  # raises where these are no addresses
        self.name, self.size = name, size
        self._urls, self._heartbeat, self._connect = urls, heartbeat, connect
        self._max_age = max_age
        self._max_idle: float = float("inf") if max_idle is None else max_idle
        # A node gives up after 2 heartbeats without a byte. Nobody has looked for one: the process was suspended, say.
        self._unattended = float(heartbeat) if heartbeat else float("inf")
        self._round = max(min((heartbeat or 60) / 4, self._max_idle / 2), 0.05)
        self._begin()
        _pools.add(self)

    @contextmanager
    def connection(self, timeout: float = 5.0) -> Iterator[pika.BlockingConnection]:
        """Lend a connection to this thread, and to no other until the ``with`` ends.

        Channels that were opened on it are closed then; do not use it any more, and give neither away to another thread. Whoever holds it
        longer than the heartbeats allow, and does something else, must call its ``process_data_events()`` now and then.

        Args:
            timeout: Seconds to wait, for others to give one back and for a node to answer.

        Raises:
            PoolTimeout: all are lent.
            PoolClosed: the pool is closed, or was closed meanwhile.
            One of connecting.LOST: none was idle, and no node would make a new one; at once where all refuse.
        """
        with self._loan(timeout, Pooled.hello) as (loan, _):
            assert loan.pooled
            yield loan.pooled.connection

    @contextmanager
    def channel(self, timeout: float = 5.0, confirm: bool = True) -> Iterator[BlockingChannel]:
        """Lend a new channel on a connection of its own, as :meth:`connection`; it is closed when the ``with`` ends.

        Args:
            timeout: Seconds to wait, until the channel is open.
            confirm: With publisher confirms: each ``basic_publish`` returns once RabbitMQ has the message.

        Raises:
            PoolTimeout: all are lent.
            PoolClosed: the pool is closed, or was closed meanwhile.
            One of connecting.LOST: no node would make a connection, or none opened the channel in time.
            pika.exceptions.ChannelClosedByBroker: as the ``with`` ends, for something in it that RabbitMQ refused and pika could not tell
                before, such as a message for an exchange that is not there, published without confirms.
        """
        with self._loan(timeout, Pooled.with_confirms if confirm else Pooled.plain) as (loan, channel):
            yield channel
            if not self._has(loan):
                return
            assert loan.pooled
            # Whatever was confirmed is safe, so a connection that breaks only now is no error.
            with suppress(AMQPConnectionError), limited(loan.pooled.connection, GOODBYE):
                if channel.is_open:
                    channel.close()

    def close(self, timeout: float = 5.0) -> int:
        """Lend nothing any more; close what is idle at once, and what is lent as soon as it is given back.

        Args:
            timeout: Seconds to wait, for what is lent and for nodes to answer the goodbye.

        Returns:
            How many are still lent. With 0 the pool has left no socket and no thread.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            self._closed.set()
            keeper = self._keeper
        self._turns.close()
        if keeper:
            keeper.join()
        while idle := self._pop():
            idle.end(within=deadline - time.monotonic())
        with self._changed:
            self._changed.wait_for(lambda: not self._loans, max(deadline - time.monotonic(), 0))
            return len(self._loans)

    def __enter__(self) -> "ConnectionPool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self) -> None:
        """Own nothing: at first, and in a forked child, where locks may be held by threads that are not there."""
        self._changed = threading.Condition()  # guards what follows
        self._closed = threading.Event()
        self._turns = Turns(self.size)  # whoever has one may have one connection: so there are never more
        self._idle: list[Pooled] = []  # the one used last is the last
        self._loans: list[_Loan] = []
        self._keeper: threading.Thread | None = None

    @contextmanager
    def _loan(self, timeout: float, ask: Callable[[Pooled], T]) -> Iterator[tuple["_Loan", T]]:
        """Lend a connection that has just answered *ask*, with the answer."""
        deadline = time.monotonic() + timeout
        loan = self._take_turn(timeout)
        try:
            yield loan, self._find(loan, ask, deadline)
            loan.whole = True
        except Exception:  # of the message or of the work, as a rule; where it is the connection, that will be seen
            loan.whole = True
            raise
        finally:  # without whole, Ctrl-C may have come in the midst of a frame
            self._give_back(loan)

    def _take_turn(self, timeout: float) -> "_Loan":
        turn = not self._closed.is_set() and self._turns.take(timeout)
        with self._changed:
            if turn and not self._closed.is_set():
                self._loans.append(loan := _Loan())
                return loan
            oldest = self._loans[0] if self._loans else None
        if turn:
            self._turns.end()
        if self._closed.is_set():
            raise PoolClosed(f"the pool {self.name!r} is closed")
        longest = f", the longest to {oldest.thread} for {time.monotonic() - oldest.began:.1f} s" if oldest else ""
        raise PoolTimeout(f"no connection of the pool {self.name!r} was free within {timeout:.1f} s: all {self.size} are lent{longest}")

    def _find(self, loan: "_Loan", ask: Callable[[Pooled], T], deadline: float) -> T:
        """Give the loan an idle connection that answers, or a new one."""
        while pooled := self._pop():
            loan.pooled = pooled
            asked_until = (time.monotonic() + deadline) / 2  # half of the time is left for a new one
            if self._is_kept(pooled):
                try:
                    return pooled.answer(ask, within=asked_until - time.monotonic())
                except LOST as error:
                    log.info("a connection of the pool %r was dead: %.100r", self.name, error)
            pooled.end(within=asked_until - time.monotonic())
            loan.pooled = None
            if time.monotonic() >= asked_until:
                break  # it was silent, and so may be others to the same node
        loan.pooled = self._make(deadline)
        return loan.pooled.answer(ask, within=deadline - time.monotonic())

    def _make(self, deadline: float) -> Pooled:
        connection = self._connect() if self._connect else self._connected(deadline)
        with self._changed:
            if not self._keeper and not self._closed.is_set():
                self._keeper = threading.Thread(target=self._keep, name=f"{self.name}-keeper", daemon=True)
                self._keeper.start()
        return Pooled(connection, expires=time.monotonic() + self._max_age * random.uniform(0.8, 1))

    def _connected(self, deadline: float) -> pika.BlockingConnection:
        """Ask one node after the other, each for its share of the time."""
        nodes = parameters(self._urls, name=self.name, heartbeat=self._heartbeat)
        for left, node in zip(range(len(nodes), 0, -1), nodes, strict=True):
            node.socket_timeout = node.stack_timeout = max((deadline - time.monotonic()) / left, MOMENT)
            try:
                return pika.BlockingConnection(node)
            except LOST as error:
                if left == 1 or login_refused(error) or time.monotonic() > deadline:
                    raise
        raise AssertionError("unreachable: parameters() names a node")

    def _has(self, loan: "_Loan") -> bool:
        """Whether this process lent it. A forked child that ends the ``with`` of its parent must not touch the parent's connection."""
        with self._changed:
            return loan in self._loans

    def _give_back(self, loan: "_Loan") -> None:
        if not self._has(loan):
            return
        pooled = loan.pooled
        try:
            if pooled and not (loan.whole and pooled.is_tidy() and self._push(pooled)):
                pooled.end()
        finally:
            self._turns.end()
            with self._changed:
                self._loans.remove(loan)
                self._changed.notify_all()

    def _pop(self, seen_before: float | None = None) -> Pooled | None:
        """Take an idle connection: the one used last, or one that nobody has looked at since then."""
        with self._changed:
            for index in range(len(self._idle) - 1, -1, -1):
                if seen_before is None or self._idle[index].seen < seen_before:
                    return self._idle.pop(index)
        return None

    def _push(self, pooled: Pooled, *, first: bool = False) -> bool:
        with self._changed:
            if not self._closed.is_set():
                self._idle.insert(0 if first else len(self._idle), pooled)
            return not self._closed.is_set()

    def _is_kept(self, pooled: Pooled) -> bool:
        """Whether an idle connection is one to keep: neither old, nor long unused or unattended, nor closed by the node."""
        now = time.monotonic()
        if now > pooled.expires or now - pooled.used > self._max_idle or now - pooled.seen > self._unattended:
            return False
        return pooled.is_alive()

    def _keep(self) -> None:
        """Look after what is idle, until the pool is closed."""
        while not self._closed.wait(self._round):
            began = time.monotonic()
            # Each with a turn, so that a borrower who finds nothing idle meanwhile does not make one too many.
            while not self._closed.is_set() and self._turns.take(0):
                try:
                    pooled = self._pop(seen_before=began)
                    if pooled and not (self._is_kept(pooled) and self._push(pooled, first=True)):
                        pooled.end()
                finally:
                    self._turns.end()
                if not pooled:
                    break


@dataclass(eq=False)
class _Loan:
    """Who has a connection, or is about to."""

    thread: str = field(default_factory=lambda: threading.current_thread().name)
    began: float = field(default_factory=time.monotonic)
    pooled: Pooled | None = None
    whole: bool = False


def _begin_anew_in_child() -> None:
    for pool in list(_pools):
        closed = pool._closed.is_set()
        pool._begin()
        if closed:
            pool._closed.set()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew_in_child)
