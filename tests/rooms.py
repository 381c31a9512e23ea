"""A virtual host and a user for a test that talks to the cluster, made through the management API and removed afterwards."""

import secrets
from dataclasses import dataclass, field

import pika
import pytest

from rabbitlab import broker
from rabbitlab.grading import management
from rabbitlab.grading.room import remove as remove_room
from rabbitlab.management import answer_of
from rabbitlab.nodes import NODES, Node
from tests.clients import hang_up

EVERYTHING = {"configure": ".*", "write": ".*", "read": ".*"}


@dataclass
class Room:
    """A virtual host, and a user of the same name who may enter no other.

    Attributes:
        vhost: Its name.
    """

    vhost: str
    password: str
    opened: list[pika.BlockingConnection] = field(default_factory=list)

    def parameters(self, node: Node = NODES[0], **more) -> pika.ConnectionParameters:
        """How to connect to *node* as the room's user, unless *more* says otherwise."""
        more.setdefault("credentials", pika.PlainCredentials(self.vhost, self.password))
        return pika.ConnectionParameters("localhost", node.amqp, self.vhost, **more)

    def connection(self, name: str | None = None, node: Node = NODES[0]) -> pika.BlockingConnection:
        """A connection that stays open until the test ends."""
        given = {"client_properties": {"connection_name": name}} if name else {}
        self.opened.append(pika.BlockingConnection(self.parameters(node, **given)))
        return self.opened[-1]

    def channel(self, name: str | None = None, node: Node = NODES[0]):
        """A channel of its own connection, with confirms."""
        channel = self.connection(name, node).channel()
        channel.confirm_delivery()
        return channel

    def fill(self, channel, queue: str, number: int, type: str = "classic") -> None:
        """Declare *queue* and publish *number* messages."""
        channel.queue_declare(queue=queue, durable=True, arguments={"x-queue-type": type})
        for n in range(number):
            channel.basic_publish(exchange="", routing_key=queue, body=f"message {n}")

    def make(self) -> None:
        management.call("PUT", "vhosts", self.vhost, body={})
        management.call("PUT", "users", self.vhost, body={"password": self.password, "tags": ""})
        self.let_in(self.vhost)
        broker.wait_until(lambda: all(self._known_to(node) for node in NODES), within=60, what="each node to know the room")

    def _known_to(self, node: Node) -> bool:
        try:
            return answer_of(node, broker.path("permissions", self.vhost, self.vhost))[0] == 200
        except OSError:  # busy
            return False

    def let_in(self, user: str) -> None:
        """Permit *user* everything here."""
        management.call("PUT", "permissions", self.vhost, user, body=EVERYTHING)

    def remove(self) -> None:
        """Remove user and virtual host; the broker closes what is open there."""
        hang_up(self.opened)
        remove_room(self.vhost)


@pytest.fixture
def room():
    made = Room(f"test-{secrets.token_hex(4)}", secrets.token_urlsafe(8))
    try:
        made.make()
        yield made
    finally:
        made.remove()
