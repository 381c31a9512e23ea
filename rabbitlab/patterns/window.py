"""The messages that are open: taken from the program, and neither confirmed nor given up. It knows nothing of sockets.

Threads of the program put receipts in at one end; the publisher's own thread takes them out to be sent, and settles them by what RabbitMQ
says. A message is at each moment in one of two places: ``queue``, to be sent, or ``sent``, on this connection and without an answer.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

from .metrics import Metrics
from .receipt import Outcome, PublisherClosed, Receipt

NEVER = float("inf")


class Window:
    """At most *size* open messages, and at most as many without an answer on the connection. See the tests for it as a model.

    The two differ where messages are given up at their deadline: these are no longer open, yet RabbitMQ may still answer for them.

    Args:
        size: How many messages.
        metrics: Its counters of outcomes and ``in_flight`` follow.
        clock: Monotonic, in seconds; tests pass their own.

    Attributes:
        open: How many messages are neither confirmed nor given up.
        queue: Those to be sent, the next one first. Under the lock.
        sent: Delivery tag on this channel, and what was sent by it and not answered. Changed under the lock by the publisher's thread only.
        clock: As given.
        heard: When RabbitMQ answered last, or when the first message went out that it has to answer.
        trouble: Why nothing is sent at the moment, for the receipts that are given up meanwhile.
    """

    def __init__(self, size: int, metrics: Metrics, clock: Callable[[], float] = time.monotonic):
        if size < 1:
            raise ValueError(f"a window holds one message or more, not {size}")
        self.size = size
        self.lock = threading.Lock()
        self.open = 0
        self.queue: deque[Receipt] = deque()
        self.sent: dict[int, Receipt] = {}
        self.heard = clock()
        self.trouble = ""
        self._owner = 0  # the publisher's thread
        self.clock = clock
        self._room = threading.Condition(self.lock)
        self._waiting = 0  # threads that wait for room
        self._enough = max(1, size // 8)  # of room, to wake them: a thread woken for one message costs more than the message
        self._tag = 0  # of the message sent last
        self._lowest = 1  # tags below it are answered
        self._soonest = NEVER  # no deadline is before it
        self._suspects = 0  # messages to be sent a few at a time, because one of them closes the channel
        self._few = 1
        self._blamed: Receipt | None = None  # was the only one without an answer when that happened last
        self._proofs = 0  # times in a row that it was
        self._settled: list[Receipt] = []  # whose callbacks are due
        self._closed: BaseException | str = ""
        self._in_flight = metrics.in_flight
        self._counters = {
            Outcome.CONFIRMED: metrics.confirmed,
            Outcome.RETURNED: metrics.returned,
            Outcome.NACKED: metrics.nacked,
            Outcome.REFUSED: metrics.nacked,
            Outcome.UNKNOWN: metrics.unknown,
        }

    # From here: any thread.

    def put(self, receipt: Receipt) -> bool:
        """Take a message in, waiting for room until its deadline; then it is settled as UNKNOWN, and was never sent.

        Returns:
            Whether the publisher's thread has to be woken.

        Raises:
            PublisherClosed: nothing is taken any more.
        """
        with self.lock:
            has_room = self.open < self.size or self._wait_for_room(receipt._until)
            if self._closed:
                raise PublisherClosed(str(self._closed)) from (None if isinstance(self._closed, str) else self._closed)
            if has_room:
                self.open += 1
                if receipt._until < self._soonest:
                    self._soonest = receipt._until
                self.queue.append(receipt)
                return len(self.queue) == 1  # otherwise somebody has woken it, or it cannot send at the moment
            self.open += 1
            self._settle(receipt, Outcome.UNKNOWN, f"not sent: the window of {self.size} stayed full{self._why()}")
        return False

    def may_wait(self) -> bool:
        """Whether this thread may wait for messages: not the one that settles them."""
        return threading.get_ident() != self._owner

    def pending(self) -> list[Receipt]:
        """The open messages, those sent first."""
        with self.lock:
            return [receipt for receipt in self._everything() if receipt.outcome is None]

    def close(self, reason: BaseException | str) -> None:
        """Take no more messages. Those that are open stay."""
        with self.lock:
            self._closed = self._closed or reason
            self._room.notify_all()

    def forget(self) -> None:
        """In a forked child, where that thread is not: whatever is open is the parent's."""
        self.lock = threading.Lock()  # some thread may have held the old one
        self._room = threading.Condition(self.lock)
        for receipt in self._everything():
            receipt._callbacks = ()
        self.end("it was made before this process was forked")

    # From here: the publisher's thread.

    def own(self) -> None:
        """This thread settles messages from now on."""
        self._owner = threading.get_ident()

    def take(self, size: int) -> list[Receipt]:
        """The next messages to write, now counted as sent; about *size* bytes of them, none where there are none or may be none now."""
        taken: list[Receipt] = []
        with self.lock:
            if not self.sent:
                self.heard = self.clock()
            allowed = self.size - len(self.sent)
            if self._suspects:
                allowed = 0 if self.sent else min(self._few, self.size)
            while self.queue and allowed > 0 and size > 0:
                receipt = self.queue.popleft()
                receipt.attempts += 1
                self._tag += 1
                self.sent[self._tag] = receipt
                taken.append(receipt)
                allowed -= 1
                size -= len(receipt._body) + len(receipt._head)
        return taken

    def answered(self, tag: int, multiple: bool, outcome: Outcome, text: str = "") -> None:
        """RabbitMQ has said CONFIRMED or NACKED for a tag, or for all up to it."""
        settled = 0
        with self.lock:
            self.heard = self.clock()
            tags = range(tag, tag + 1)
            if multiple:
                tags = range(self._lowest, (tag or self._tag) + 1)  # 0 is all of them
                self._lowest = tags.stop
            for number in tags:
                receipt = self.sent.pop(number, None)
                if receipt is None or receipt.outcome is not None:  # given up or returned
                    continue
                receipt.reply_text = text
                receipt._head = receipt._body = b""
                receipt.outcome = outcome
                settled += 1
                if receipt._callbacks:
                    self._settled.append(receipt)
            self.open -= settled
            if self._suspects and not self.sent:  # none of these it was
                self._suspects = max(0, self._suspects - self._few)
                self._few *= 2
            self._make_room()
        if settled:
            self._counters[outcome].inc(settled)
        self._tell()

    def returned(self, message_id: str | None, exchange: str, routing_key: str, code: int, text: str) -> bool:
        """RabbitMQ gave a message back. It answers for it next, and that answer says nothing.

        Returns:
            Whether it was found, open or given up.
        """
        said, found = (message_id, exchange, routing_key), False
        with self.lock:
            self.heard = self.clock()
            for receipt in self.sent.values():  # they come back in the order in which they were sent
                if (receipt.message_id, receipt.exchange, receipt.routing_key) == said:
                    found = True
                    if receipt.outcome is None:
                        self._settle(receipt, Outcome.RETURNED, text, code)
                        self._make_room()
                        break
        self._tell()
        return found

    def refused(self, code: int, text: str, proofs: int = 1) -> Receipt | None:
        """RabbitMQ closed the channel over one of the messages, and did not say which. Or the connection, and perhaps for another reason.

        If only one was without an answer, it is that one. Otherwise all of them are sent again, and few at a time: one, then two, four and
        so on while all goes well, and one again when the channel is closed again. That finds the message at fault, and every other one
        takes its way.

        Returns:
            The one at fault, once it is known: when this has happened *proofs* times in a row with nothing else without an answer.
        """
        with self.lock:
            there = [receipt for receipt in self.sent.values() if receipt.outcome is None]
            alone = there[0] if there and len(self.sent) == 1 else None
            self._proofs = self._proofs + 1 if alone is self._blamed else 1
            self._blamed = alone
            guilty = alone if self._proofs >= proofs else None
            if guilty:
                self._settle(guilty, Outcome.REFUSED, text, code)
                self._suspects = max(0, self._suspects - 1)
                self._make_room()
            elif not self._suspects:
                self._suspects = len(there)
            self._few = 1
            self._begin_again()
        self._tell()
        return guilty

    def lost(self) -> int:
        """The connection or the channel is gone. What it had not answered is the first to be sent again.

        Returns:
            How many messages that are.
        """
        with self.lock:
            return self._begin_again()

    def expire(self, now: float) -> list[Receipt]:
        """Give up what has reached its deadline.

        Returns:
            Those messages.
        """
        with self.lock:
            self._in_flight.set(self.open)
            self._make_room(enough=1)
            if now < self._soonest:
                return []
            late = [receipt for receipt in self._everything() if receipt.outcome is None and receipt._until <= now]
            for receipt in late:
                text = "not confirmed by its deadline" if receipt.attempts else "not sent by its deadline"
                self._settle(receipt, Outcome.UNKNOWN, text + self._why())
            self.queue = deque(receipt for receipt in self.queue if receipt.outcome is None)
            self._soonest = min((receipt._until for receipt in self._everything() if receipt.outcome is None), default=NEVER)
            self._make_room()
        self._tell()
        return late

    def end(self, reason: BaseException | str, code: int = 0) -> list[Receipt]:
        """Take no more messages, and give up all that are open.

        Returns:
            Those messages.
        """
        self.close(reason)
        with self.lock:
            ended = [receipt for receipt in self._everything() if receipt.outcome is None]
            for receipt in ended:
                self._settle(receipt, Outcome.UNKNOWN, f"given up: {reason}", code)
            self.queue.clear()
            self.sent.clear()
            self._in_flight.set(0)
        self._tell()
        return ended

    # From here: under the lock.

    def _everything(self) -> Iterator[Receipt]:
        yield from self.sent.values()
        yield from self.queue

    def _wait_for_room(self, until: float) -> bool:
        if not self.may_wait():  # a callback that publishes: room is made by the thread that it keeps
            return self.open < self.size
        self._waiting += 1
        try:
            while not self._closed:
                if self.open < self.size:
                    return True
                if not self._room.wait(min(until - self.clock(), threading.TIMEOUT_MAX)) and self.open >= self.size:
                    return False
            return False
        finally:
            self._waiting -= 1

    def _make_room(self, enough: int = 0) -> None:
        room = self.size - self.open
        if self._waiting and room >= (enough or self._enough):
            self._room.notify(room)

    def _settle(self, receipt: Receipt, outcome: Outcome, text: str, code: int = 0) -> None:
        receipt.reply_code, receipt.reply_text = code, text
        receipt._head = receipt._body = b""
        receipt.outcome = outcome  # last, because others read it without the lock
        self.open -= 1
        self._counters[outcome].inc()
        if receipt._callbacks:
            self._settled.append(receipt)

    def _begin_again(self) -> int:
        again = [receipt for receipt in self.sent.values() if receipt.outcome is None]
        self.queue.extendleft(reversed(again))
        self.sent.clear()
        self._tag, self._lowest = 0, 1
        return len(again)

    def _why(self) -> str:
        reason = self.trouble or (f"{len(self.sent)} messages wait for an answer" if self.sent else "")
        return f" ({reason})" if reason else ""

    def _tell(self) -> None:
        """Not under the lock: callbacks may publish."""
        if self._settled:
            told, self._settled = self._settled, []
            for receipt in told:
                receipt._tell()
