"""Where the answers of a quiz are played: a virtual host for each quiz, and what its questions do there."""

import pika
import pytest

from rabbitlab import broker
from rabbitlab.grading import fresh_vhost
from tests.clients import hang_up

QUORUM = {"x-queue-type": "quorum"}


class Shop:
    """A virtual host and as many connections as a question needs; closed in the end.

    A quiz that needs more has a class ``Shop`` of its own, which builds on this one.

    Attributes:
        parameters: How to get in.
        vhost: Its name.
    """

    def __init__(self, parameters: pika.ConnectionParameters):
        self.parameters = parameters
        self.vhost = parameters.virtual_host
        self._opened: list[pika.BlockingConnection] = []

    def connect(self, **options) -> pika.BlockingConnection:
        given = {"port": self.parameters.port, "virtual_host": self.vhost, "credentials": self.parameters.credentials}
        self._opened.append(pika.BlockingConnection(pika.ConnectionParameters("localhost", **{**given, **options})))
        return self._opened[-1]

    def channel(self, confirms: bool = True, **options):
        channel = self.connect(**options).channel()
        if confirms:
            channel.confirm_delivery()
        return channel

    def declare(self, queue: str, arguments: dict = QUORUM, exchange: str = "", keys: tuple[str, ...] = ()):
        """A new, empty queue, bound to *exchange* under *keys*; returns a channel with confirms."""
        channel = self.channel()
        broker.forget(queue, vhost=self.vhost)
        channel.queue_declare(queue=queue, durable=True, arguments=arguments)
        for key in keys:
            channel.queue_bind(queue=queue, exchange=exchange, routing_key=key)
        return channel

    def exchange(self, name: str, kind: str, **arguments) -> None:
        """A new exchange, with no binding; dashes in *arguments* written as underscores."""
        channel = self.channel()
        channel.exchange_delete(exchange=name)
        given = {key.replace("_", "-"): value for key, value in arguments.items()}
        channel.exchange_declare(exchange=name, exchange_type=kind, durable=True, arguments=given)

    def depth(self, queue: str) -> int:
        return broker.depth(queue, vhost=self.vhost)

    def becomes(self, queue: str, ready: int, unacked: int = 0) -> bool:
        """Whether the queue comes to hold so many."""

        def seen():
            return broker.depth(queue, vhost=self.vhost), broker.unacked(queue, vhost=self.vhost)

        broker.wait_until(lambda: seen() == (ready, unacked), within=10, what=f"{ready} ready, {unacked} unacknowledged", seen=seen)
        return True

    def close(self) -> None:
        hang_up(self._opened)


def drained(channel, queue: str) -> list[str]:
    """The bodies in a queue, in the order in which they are handed out."""
    bodies = []
    while (delivery := channel.basic_get(queue=queue, auto_ack=True))[0]:
        bodies.append(delivery[2].decode())
    return bodies


@pytest.fixture(scope="module")
def parameters(request):
    with fresh_vhost(request.module.__name__.rpartition("test_")[2]) as found:
        yield found


@pytest.fixture
def shop(request, parameters):
    shop = request.module.Shop(parameters)
    yield shop
    shop.close()
