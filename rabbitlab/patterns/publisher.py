"""A publisher that knows of each message what became of it, at the speed of a connection and not of a round trip.

Confirm after each publish, and a program sends some hundred messages a second, because it waits for each. Here up to a window of messages
is on its way at once; each has a receipt, which is settled when RabbitMQ has answered, or when the message's deadline has passed. A lost
connection is made again, to another node where need be, and what was not answered is sent again.

What happens to the connection is logged by ``rabbitlab.patterns.publisher``, in one line each. pika logs the same in many; a service may
want ``logging.getLogger("pika").setLevel(logging.CRITICAL)``.
"""

import logging
import os
import time
import weakref
from types import TracebackType

from pika.connection import Parameters
from pika.spec import BasicProperties

from .connecting import Addresses, parameters
from .frames import encoded, new_id
from .metrics import Metrics
from .receipt import ERRORS, Outcome, Receipt
from .retry import Backoff
from .sender import Sender
from .window import Window

log = logging.getLogger(__name__)
PERSISTENT, TRANSIENT = 2, 1
BACKOFF = Backoff()


_made: "weakref.WeakSet[ReliablePublisher]" = weakref.WeakSet()


class ReliablePublisher:
    """Publish from any number of threads over one connection, and know the outcome of each message by its deadline.

    Three promises. *CONFIRMED* means that RabbitMQ has the message. Each receipt is settled within its deadline, and never as CONFIRMED
    for a message that came back or was not taken. No more than ``window`` messages are without an answer at any moment, so neither
    memory nor the number of doubtful messages grows while RabbitMQ is away; whoever publishes then waits.

    What it does by itself: it connects at once, in the background, to the first node that answers. After a lost connection it tries the
    others, then all of them again, ever less often. It sends what was not answered again, under the same ``message_id`` and in the same
    order; such a message may be in the queue twice, and the consumer tells by the id. A node that leaves messages unanswered for
    ``patience`` seconds is left for another one, which covers paused nodes and those in a minority. While RabbitMQ is short of memory or
    disk it keeps the connection and sends nothing, and deadlines go on; the alarm holds for every node, so another would not help, until
    ``blocked_timeout``. When RabbitMQ closes the channel over a message, that one is found and REFUSED, and the others go on; so is
    one that has three connections in a row end with 541, INTERNAL_ERROR. When the login is refused, everything is given up and nothing is
    tried again.

    What it leaves to you: whether to publish again what came back (RETURNED, no use), was not taken (NACKED, later), or is UNKNOWN (under
    the same id). And to close it: a program that ends without loses what is open.

    All messages share the window. A queue that stores nothing, because most of its members are gone, takes places in it until the deadlines
    pass, and at last holds up the others: give queues that may fail by themselves publishers of their own.

    A single message may take less than ``patience`` seconds on its way, its bytes over the bandwidth of the link: RabbitMQ says nothing
    before it has the whole of it, and the node would be taken for dead. With 6 s and 1 MB/s that is 6 MB.

    Call nothing of it in a signal handler, which may have interrupted one of these calls: set an event there.

    Make one after a fork, never before: a thread does not survive it. In the child, a publisher of the parent takes no messages.

    Args:
        urls: As for :func:`~rabbitlab.patterns.connecting.parameters`.
        name: Of the connection in the management UI, and in log lines and metrics.
        window: Messages without an answer at most. More is faster, up to a thousand or two.
        deadline: Seconds that a message may take, unless it has one of its own.
        heartbeat: Seconds; see :func:`~rabbitlab.patterns.connecting.parameters`.
        backoff: Between two rounds of attempts to connect.
        patience: Seconds without any answer until another node is tried; from the third on longer each time, while none answers.
        timeout: Seconds for a node to take a connection; at first 0.4 of that, where there are several.
        blocked_timeout: Seconds to wait for memory or disk until another node is tried all the same.
        metrics: Counts outcomes and reconnects, and how many messages are open.

    Raises:
        ValueError: for a window below 1, and for addresses that are none.
    """

    def __init__(
        self,
        urls: Addresses,
        *,
        name: str = "publisher",
        window: int = 1000,
        deadline: float = 30.0,
        heartbeat: int = 10,
        backoff: Backoff = BACKOFF,
        patience: float = 6.0,
        timeout: float = 4.0,
        blocked_timeout: float = 120.0,
        metrics: Metrics | None = None,
    ):
        def nodes() -> list[Parameters]:
            # A cut cable is noticed by patience; TCP would take a node that does not read, in an alarm or under load, for one.
            limits = {"timeout": timeout, "blocked_timeout": blocked_timeout, "cut_timeout": blocked_timeout}
            return parameters(urls, name=name, heartbeat=heartbeat, **limits)

        nodes()  # a wrong address is an error here, not on another thread
        metrics = metrics or Metrics.off()
        self._name = name
        self._deadline = deadline
        self._window = Window(window, metrics)
        self._sender = Sender(nodes, self._window, name=name, backoff=backoff, patience=patience, metrics=metrics)
        self._sender.start()
        _made.add(self)

    @property
    def connected(self) -> bool:
        """Whether messages can be sent at the moment."""
        return self._sender.ready and not self._sender.blocked

    @property
    def node(self) -> str:
        """The node that it is connected to, or tries to connect to: ``"127.0.0.1:5672"``."""
        return self._sender.node

    @property
    def blocked(self) -> bool:
        """Whether RabbitMQ takes no messages, because a node is short of memory or disk."""
        return self._sender.blocked

    def publish(
        self,
        body: bytes,
        *,
        routing_key: str,
        exchange: str = "",
        properties: BasicProperties | None = None,
        message_id: str | None = None,
        deadline: float | None = None,
        mandatory: bool = True,
        persistent: bool = True,
    ) -> Receipt:
        """Hand a message over. Returns at once while the window has room; otherwise it waits for some.

        A message for which there is no room until its deadline gets a receipt that is settled as UNKNOWN, with ``attempts`` 0. In a
        receipt's callback a full window settles it so at once, for the thread that would make room is this one.

        Args:
            body: Of the message.
            routing_key: For the default exchange, the queue.
            exchange: Must exist.
            properties: Others than those below; copied, not changed.
            message_id: Names the message wherever it goes; that of *properties*, or a new UUID, unless given. A string, or bytes that are
                not UTF-8, as pika gives them for the id of a message of somebody else's.
            deadline: Seconds from now in which it is settled; the publisher's own unless given.
            mandatory: Have it back if no queue would get it. Without, RabbitMQ confirms it and drops it.
            persistent: Ask classic queues to keep it on disk, unless *properties* say otherwise (``delivery_mode``). Quorum queues and
                streams always do.

        Raises:
            PublisherClosed: nothing is taken any more.
            TypeError, ValueError, pika.exceptions.AMQPError: it cannot be encoded; nothing was sent. A TypeError for a body without bytes,
                and for names that are no strings; a ValueError for properties, headers included, of more than a frame (128 KiB).
        """
        if not isinstance(body, bytes):
            body = bytes(memoryview(body))  # a TypeError for a string, which has no bytes before it has an encoding
        if message_id is None:
            message_id = (properties.message_id if properties else None) or new_id()
        if not (isinstance(exchange, str) and isinstance(routing_key, str) and (isinstance(message_id, str) or _is_no_text(message_id))):
            named = f"exchange {exchange!r}, routing_key {routing_key!r}, message_id {message_id!r}"
            raise TypeError(f"names are strings, for pika gives them as strings for what comes back: {named}")
        mode = PERSISTENT if persistent else TRANSIENT
        head, rest = encoded(body, exchange, routing_key, mandatory, message_id, mode, properties)
        until = self._window.clock() + (self._deadline if deadline is None else deadline)
        receipt = Receipt(message_id, exchange, routing_key, head, rest, until, self._window)
        if self._window.put(receipt):
            self._sender.wake()
        return receipt

    def send(
        self,
        body: bytes,
        *,
        routing_key: str,
        exchange: str = "",
        properties: BasicProperties | None = None,
        message_id: str | None = None,
        deadline: float | None = None,
        mandatory: bool = True,
        persistent: bool = True,
    ) -> Receipt:
        """Publish, and wait until RabbitMQ has it: the short form, for one message at a time. Arguments as for :meth:`publish`.

        Raises:
            Returned, Nacked, Refused, Unknown: it was not confirmed; each is a PublishError, with the receipt.
            RuntimeError: in a callback of a receipt, which must not wait. The message is published all the same.
            PublisherClosed, TypeError, ValueError, pika.exceptions.AMQPError: as for :meth:`publish`.
        """
        receipt = self.publish(
            body,
            routing_key=routing_key,
            exchange=exchange,
            properties=properties,
            message_id=message_id,
            deadline=deadline,
            mandatory=mandatory,
            persistent=persistent,
        )
        outcome = receipt.result()
        if outcome is not Outcome.CONFIRMED:
            raise ERRORS[outcome](receipt)
        return receipt

    def flush(self, timeout: float | None = None) -> list[Receipt]:
        """Wait until every message that is open now is settled.

        Args:
            timeout: Seconds; None waits until the last deadline.

        Returns:
            The receipts that are still open.

        Raises:
            RuntimeError: in a callback of a receipt, which must not wait.
        """
        until = None if timeout is None else time.monotonic() + timeout
        waited_for = self._window.pending()
        self._sender.wake()  # whoever should have done so may have been interrupted by Ctrl-C
        for receipt in waited_for:
            try:
                receipt.result(None if until is None else max(0.0, until - time.monotonic()))
            except TimeoutError:
                break
        return [receipt for receipt in waited_for if not receipt.done()]

    def close(self, timeout: float | None = 10.0) -> list[Receipt]:
        """Take no more messages, wait for those that are open, and close the connection. No thread and no socket is left.

        Args:
            timeout: Seconds to wait for open messages; None waits until the last deadline. A node that is silent costs four more.

        Returns:
            The receipts that were still open then; they have ended as UNKNOWN.

        Raises:
            RuntimeError: in a callback of a receipt, which must not wait. It takes no more messages then; let another thread close it.
        """
        self._window.close("the publisher is closed")
        left = self.flush(timeout)
        self._sender.stop()
        if left:
            log.warning(
                "%s: closed with %d messages open: %s", self._name, len(left), ", ".join(f"{receipt.message_id}" for receipt in left[:5])
            )
        return left

    def __enter__(self) -> "ReliablePublisher":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _is_no_text(name: object) -> bool:
    if not isinstance(name, bytes):
        return False
    try:
        name.decode()
    except UnicodeDecodeError:
        return True
    return False


def _forget() -> None:
    for publisher in _made:
        publisher._window.forget()
        publisher._sender.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
