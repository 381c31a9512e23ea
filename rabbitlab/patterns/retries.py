"""Try again later, through queues in which nobody consumes: topology, routes and headers.

A message that failed is published to a *waiting queue*, confirmed, and only then acknowledged. The waiting queue has a time limit; what
exceeds it is dead-lettered back to where it came from. There is one waiting queue for each delay, because a queue looks at the limit of
its first message only: with limits of their own, short ones would wait behind long ones.

Everything is published to exchanges with names, so that a user who may write to these two, read one queue and configure nothing can run
a consumer. Whoever may configure calls :func:`declare_topology` once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pika.adapters.blocking_connection import BlockingChannel
from pika.spec import BasicProperties

from .message import ATTEMPT, ROUTING_KEY, Message

REASON = "reason"  # why it failed the last time
QUEUE = "retry-queue"  # where it failed
LONGEST = 1000  # characters of a reason
SAFETY_NET = 20  # deliveries, RabbitMQ's own default, after which a quorum queue dead-letters by itself
# Written by RabbitMQ for one delivery or one dead-lettering, or an order to it to send copies elsewhere: nothing to be published again.
NOT_COPIED = frozenset({"CC", "BCC", "x-delivery-count", "x-acquired-count", "x-death"})
NOR_WHAT_BEGINS_WITH = ("x-first-death-", "x-last-death-")


@dataclass(frozen=True)
class Retries:
    """How often a message is tried, how long it waits in between, and where it goes.

    Attributes:
        limit: How often a handler is called with it before it is dead-lettered.
        base: Seconds to wait after the first failure. 0: no waiting queues; a message that failed is put back at once, and the quorum
            queue counts how often.
        factor: How many times as long each further wait is.
        cap: Seconds that no wait exceeds.
        exchange: In front of the waiting queues; ``<queue>.retry`` unless given.
        dead_exchange: In front of the dead letter queue; ``<queue>.dead`` unless given.
        dead_routing_key: With which dead letters are published; the queue's name unless given.
    """

    limit: int = 5
    base: float = 1.0
    factor: float = 5.0
    cap: float = 300.0
    exchange: str | None = None
    dead_exchange: str | None = None
    dead_routing_key: str | None = None

    def __post_init__(self) -> None:
        if self.limit < 1 or self.base < 0 or self.factor < 1 or self.cap < self.base:
            raise ValueError(f"at least one attempt, and waits that neither shrink nor exceed their cap: {self}")

    @property
    def waits(self) -> bool:
        """Whether there are waiting queues."""
        return self.base > 0 and self.limit > 1

    def delay(self, failures: int) -> int:
        """Milliseconds to wait after so many failures."""
        try:
            return round(1000 * min(self.base * self.factor ** (failures - 1), self.cap))
        except OverflowError:
            return round(1000 * self.cap)

    def delays(self) -> list[int]:
        """The different delays in milliseconds: one waiting queue each."""
        return sorted({self.delay(n) for n in range(1, self.limit)}) if self.waits else []

    def later(self, queue: str, failures: int) -> tuple[str, str]:
        """Exchange and routing key of the way to the waiting queue after so many failures."""
        return self.retry_exchange(queue), _named(self.delay(failures))

    def dead(self, queue: str) -> tuple[str, str]:
        """Exchange and routing key of the way to the dead letter queue."""
        exchange = f"{queue}.dead" if self.dead_exchange is None else self.dead_exchange
        return exchange, queue if self.dead_routing_key is None else self.dead_routing_key

    def retry_exchange(self, queue: str) -> str:
        """In front of the waiting queues."""
        return f"{queue}.retry" if self.exchange is None else self.exchange


USUAL = Retries()


def declare_topology(channel: BlockingChannel, queue: str, retries: Retries = USUAL, *, arguments: Mapping[str, Any] | None = None) -> None:
    """Make *queue*, its waiting queues and its dead letter queue, all of them quorum queues, with the exchanges in front of them.

    For an administrator, or for whatever deploys: it needs the right to configure, which :class:`ResilientConsumer` does not. Run again
    it changes nothing. No message leaves a queue before the next one has it (at-least-once dead lettering, which needs
    ``reject-publish``); so a message may be there twice, and a full queue refuses.

    None of them has a limit of length. Give *queue* one in ``arguments``, or all of them by a policy, with ``"overflow":
    "reject-publish"`` beside it: without, a full dead letter queue drops its oldest.

    A quorum queue keeps the messages of a consumer that it cannot reach for 60 s before it gives them to another, also some that came
    while the consumer's node was dying. Pass ``arguments={"x-consumer-disconnected-timeout": 3000}``, in milliseconds, where that is too
    long; and ``x-consumer-timeout`` above the longest that a handler takes, 30 minutes unless given.

    Args:
        channel: Of a user who may configure, read and write all of these.
        queue: ``orders`` makes ``orders``, ``orders.dead`` and, for instance, ``orders.retry.5s``.
        retries: As the consumers have it.
        arguments: More for *queue*, or other values than those given here.

    Raises:
        pika.exceptions.ChannelClosedByBroker: 406, one of them is there already, and declared otherwise.
    """
    to_dead, key = retries.dead(queue)
    dead_queue = f"{queue}.dead" if to_dead else key
    safe = {"x-queue-type": "quorum", "x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}
    # No delivery limit: who looks at a dead letter puts it back, and one look too many would throw it away.
    channel.queue_declare(queue=dead_queue, durable=True, arguments={"x-queue-type": "quorum", "x-delivery-limit": -1})
    if to_dead:
        channel.exchange_declare(exchange=to_dead, exchange_type="direct", durable=True)
        channel.queue_bind(queue=dead_queue, exchange=to_dead, routing_key=key)
    # Twice the limit: the queue counts what crashed, and must not decide before the consumer, which knows the reason.
    limit = max(SAFETY_NET, 2 * retries.limit)
    given = {"x-delivery-limit": limit, "x-dead-letter-exchange": to_dead, "x-dead-letter-routing-key": key}
    channel.queue_declare(queue=queue, durable=True, arguments=safe | given | dict(arguments or {}))
    if retries.waits:
        channel.exchange_declare(exchange=retries.retry_exchange(queue), exchange_type="direct", durable=True)
    for delay in retries.delays():
        waiting = f"{queue}.retry.{_named(delay)}"
        back = {"x-message-ttl": delay, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue}
        channel.queue_declare(queue=waiting, durable=True, arguments=safe | back)
        channel.queue_bind(queue=waiting, exchange=retries.retry_exchange(queue), routing_key=_named(delay))


def copied(message: Message, queue: str, failures: int, reason: str) -> BasicProperties:
    """The properties of the copy that goes to another queue: those of *message*, and why it goes.

    Left out are ``expiration``, with which it might not arrive, and ``user_id``, which must be that of the publishing user.
    """
    given = message.properties
    headers = {name: value for name, value in message.headers.items() if not _is_rabbitmqs(name)}
    headers |= {ATTEMPT: failures, REASON: _written(reason), QUEUE: queue, ROUTING_KEY: message.routing_key}
    return BasicProperties(  # type: ignore[no-untyped-call]
        app_id=given.app_id,
        content_encoding=given.content_encoding,
        content_type=given.content_type,
        correlation_id=given.correlation_id,
        delivery_mode=2,
        headers=headers,
        message_id=given.message_id,
        priority=given.priority,
        reply_to=given.reply_to,
        timestamp=given.timestamp,
        type=given.type,
    )


def told(error: BaseException) -> str:
    """An exception as a reason: ``ValueError: no such street``."""
    try:
        text = str(error)
    except Exception:
        text = "(it cannot be shown)"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _is_rabbitmqs(name: str | bytes) -> bool:
    """Whether a header is one that is not copied. Its name is bytes where it is no text."""
    return name in NOT_COPIED or (isinstance(name, str) and name.startswith(NOR_WHAT_BEGINS_WITH))


def _named(milliseconds: int) -> str:
    """``5s``, ``250ms``."""
    return f"{milliseconds // 1000}s" if milliseconds % 1000 == 0 else f"{milliseconds}ms"


def _written(reason: str) -> str:
    """Short, and such that it can be encoded."""
    return reason[:LONGEST].encode(errors="replace").decode()
