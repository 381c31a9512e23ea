"""What became of a message: the receipt that ``ReliablePublisher.publish`` gives for each, and the errors that ``send`` raises.

A receipt is light, because there is one for every message: it has no lock and no event of its own.
"""

import enum
import logging
import threading
from collections.abc import Callable
from typing import Protocol

from .connecting import NotAsked

log = logging.getLogger(__name__)


class Outcome(enum.Enum):
    """How publishing a message ended. It never changes again."""

    CONFIRMED = "confirmed"  #: RabbitMQ has it, and answers for it.
    RETURNED = "returned"  #: RabbitMQ gave it back: no queue would have got it.
    NACKED = "nacked"  #: RabbitMQ did not take it: a full queue that rejects, or one that could not store it.
    #: RabbitMQ closed the channel over it: no such exchange (404), no right (403), too large (406). Or three connections in a row (541).
    REFUSED = "refused"
    UNKNOWN = "unknown"  #: No answer by its deadline. RabbitMQ may have it; only where ``attempts`` is 0 has it certainly not.


class Holder(Protocol):
    """What keeps receipts until they are settled: :class:`rabbitlab.patterns.window.Window`."""

    lock: threading.Lock

    def may_wait(self) -> bool: ...


class Receipt:
    """Of one message. It is settled by the message's deadline at the latest, whatever happens to the connection.

    Any thread may ask it. Reading ``outcome`` costs nothing; :meth:`result` waits.

    Attributes:
        message_id: As it was given or made, and as the consumer sees it, however often the message is sent.
        exchange: Where it was published to.
        routing_key: With which key.
        outcome: The :class:`Outcome`; None while the message is open.
        reply_code: What RabbitMQ said: 312 (no route), 404 (no exchange) and so on; 0 where it said nothing.
        reply_text: The reason in words, for every outcome but CONFIRMED.
        attempts: How often it was written to a connection. More than once: an earlier attempt may have arrived too, whatever the outcome of
            the last one. Never: it has certainly not arrived.
    """

    __slots__ = (
        "_body",
        "_callbacks",
        "_head",
        "_holder",
        "_until",
        "attempts",
        "exchange",
        "message_id",
        "outcome",
        "reply_code",
        "reply_text",
        "routing_key",
    )

    def __init__(self, message_id: str, exchange: str, routing_key: str, head: bytes, body: bytes, until: float, holder: Holder):
        self.message_id = message_id
        self.exchange = exchange
        self.routing_key = routing_key
        self.outcome: Outcome | None = None
        self.reply_code = 0
        self.reply_text = ""
        self.attempts = 0
        self._head = head  # its frames; without the body's, where that is not small. Both are let go of once it is settled
        self._body = body
        self._until = until  # time.monotonic()
        self._holder = holder
        self._callbacks: tuple[Callable[[Receipt], object], ...] = ()

    def done(self) -> bool:
        """Whether it is settled."""
        return self.outcome is not None

    def result(self, timeout: float | None = None) -> Outcome:
        """Wait for the outcome.

        Args:
            timeout: Seconds; None waits until the message's deadline has settled it.

        Raises:
            TimeoutError: it is still open. The message goes on.
            RuntimeError: asked in a callback, which the outcome would wait for.
        """
        if self.outcome is None:
            self._wait(timeout)
        assert self.outcome is not None
        return self.outcome

    def add_done_callback(self, function: Callable[["Receipt"], object]) -> None:
        """Have ``function(receipt)`` called once it is settled; at once where it is.

        It is called on the publisher's own thread, so it must not wait: every other message would wait with it. It may publish. What it
        raises is logged.
        """
        with self._holder.lock:
            if self.outcome is None:
                self._callbacks += (function,)
                return
        self._call(function)

    def __repr__(self) -> str:
        said = f" ({self.reply_code} {self.reply_text})" if self.reply_code else f" ({self.reply_text})" if self.reply_text else ""
        return f"<Receipt {self.message_id}: {self.outcome.value if self.outcome else 'open'}{said}>"

    def _wait(self, timeout: float | None) -> None:
        if not self._holder.may_wait():
            raise RuntimeError("a callback runs on the thread that would settle this receipt: use add_done_callback")
        settled = threading.Event()

        def tell(_: Receipt) -> None:
            settled.set()

        self.add_done_callback(tell)
        if not settled.wait(timeout) and self.outcome is None:
            with self._holder.lock:
                self._callbacks = tuple(known for known in self._callbacks if known is not tell)
            raise TimeoutError(f"no answer yet for {self.message_id}")

    def _tell(self) -> None:
        """Call whoever asked for it; without the lock."""
        callbacks, self._callbacks = self._callbacks, ()
        for function in callbacks:
            self._call(function)

    def _call(self, function: Callable[["Receipt"], object]) -> None:
        try:
            function(self)
        except Exception:
            log.exception("a callback of %r failed", self)


class PublishError(Exception):
    """A message that was not confirmed.

    Attributes:
        receipt: Its receipt.
    """

    def __init__(self, receipt: Receipt):
        code = f"{receipt.reply_code} " if receipt.reply_code else ""
        super().__init__(f"{receipt.message_id} {self.told}: {code}{receipt.reply_text}")
        self.receipt = receipt

    told = "was not confirmed"


class Returned(PublishError):
    """No queue would have got it. To publish it again is no use before a binding was made."""

    told = "came back"


class Nacked(PublishError):
    """RabbitMQ did not take it, now. Later it may: try again with a :class:`~rabbitlab.patterns.retry.Backoff`."""

    told = "was not taken"


class Refused(PublishError):
    """RabbitMQ closed the channel over it: a mistake in the program or in the broker's permissions and exchanges."""

    told = "was refused"


class Unknown(PublishError, TimeoutError):
    """RabbitMQ may have it or not. Published again under the same ``message_id``, it may be there twice, and can be recognised.

    A TimeoutError, so that a circuit breaker around ``send`` counts it as what it is: RabbitMQ cannot be reached.
    """

    told = "may be there or not"


class PublisherClosed(NotAsked, RuntimeError):
    """The publisher takes nothing any more: it was closed, or its login was refused, which is then the ``__cause__``."""


ERRORS: dict[Outcome, type[PublishError]] = {
    Outcome.RETURNED: Returned,
    Outcome.NACKED: Nacked,
    Outcome.REFUSED: Refused,
    Outcome.UNKNOWN: Unknown,
}
