"""A message in a handler's hands, and how often it has been there."""

from typing import TYPE_CHECKING, Any

from pika.spec import BasicProperties

if TYPE_CHECKING:
    from .subscription import Subscription

ATTEMPT = "retry-attempt"  # how many calls of a handler have failed; a header of our own, since a client cannot write x-death
ROUTING_KEY = "retry-routing-key"  # with which it was published first


class Reject(Exception):
    """Raised by a handler for a message that no further try will help: it goes to the dead letter queue at once.

    What it is given is the ``reason`` there: ``raise Reject("no such street")``.
    """


class Message:
    """What a handler is given.

    Attributes:
        body: Bytes, as they were published.
        properties: As they were published; ``headers`` may have some that were added on the way.
        redelivered: RabbitMQ has delivered it before, so its work may be done already, in part or as a whole.
        failures: How many calls of a handler have failed on it.
        deaths: How often a consumer went away that held it, whether it had begun with it or not. Only quorum queues count that.
    """

    __slots__ = ("_key", "_subscription", "_tag", "body", "deaths", "failures", "properties", "redelivered")

    def __init__(self, body: bytes, properties: BasicProperties, routing_key: str, redelivered: bool):
        self.body, self.properties, self.redelivered = body, properties, redelivered
        self._key = routing_key
        self._tag = 0
        self._subscription: Subscription | None = None
        headers = properties.headers or {}
        self.failures = _count(headers.get(ATTEMPT))
        # A publisher may write x-delivery-count, too; then RabbitMQ's own count of deliveries gives it away.
        self.deaths = min(_count(headers.get("x-delivery-count")), _count(headers.get("x-acquired-count"))) if redelivered else 0

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1. A consumer that went away with the message counts as one that failed."""
        return self.failures + self.deaths + 1

    @property
    def message_id(self) -> str | None:
        """What a handler remembers to do the work once: the same for each copy, if the publisher gave one.

        Published without, a message has None at its first call, and the copy that is put off gets a random one: no handler can tell the two
        for the same.
        """
        known: str | None = self.properties.message_id
        return known

    @property
    def headers(self) -> dict[str, Any]:
        """Never None."""
        return self.properties.headers or {}

    @property
    def routing_key(self) -> str:
        """With which it was published first; its way through a waiting queue does not show."""
        return str(self.headers.get(ROUTING_KEY, self._key)) if self.failures else self._key

    @property
    def subscription(self) -> "Subscription":
        """Who received it: for the consumer, which settles it there."""
        assert self._subscription is not None
        return self._subscription

    def __repr__(self) -> str:
        return f"<Message {self.message_id or '(no message_id)'}, attempt {self.attempt}, {len(self.body)} bytes>"


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0
