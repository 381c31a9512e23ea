"""What users of lesson 4.3 rely on: a rolling restart loses no confirmed message, and healing takes a fourth node off every queue."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pika
import pytest

from rabbitlab import broker, cluster, containers, healing, wholeness
from rabbitlab.ledger import Ledger
from rabbitlab.nodes import LOAD_BALANCER_PORT, NODES

pytest_plugins = ["tests.rooms"]
pytestmark = [pytest.mark.cluster, pytest.mark.faults]
NAMES = [node.name for node in NODES]


def publish(channel, body: str) -> None:
    channel.basic_publish(exchange="", routing_key="stock", body=body, mandatory=True)


@contextmanager
def selling(parameters: pika.ConnectionParameters) -> Iterator[Ledger]:
    """Publish with confirms until the ``with`` ends, on a new connection whenever one is lost."""
    book, closing = Ledger(sync=False), threading.Event()

    def sell() -> None:
        number = 0
        while not closing.is_set():
            try:
                with pika.BlockingConnection(parameters) as connection:
                    channel = connection.channel()
                    channel.confirm_delivery()
                    while not closing.is_set():
                        book.invoke(number)
                        publish(channel, str(number))
                        book.ok(number)
                        number += 1
                        closing.wait(0.05)
            except pika.exceptions.AMQPConnectionError:
                book.unknown(number)
                closing.wait(0.1)

    till = threading.Thread(target=sell)
    till.start()
    try:
        yield book
    finally:
        closing.set()
        till.join(30)


def test_a_rolling_restart_loses_no_confirmed_message(room):
    """A node awaits its turn, is drained, and its container is made again on the same volume; then the next. Two of three, for time."""
    room.fill(room.channel(), "stock", 0, type="quorum")
    try:
        through_the_balancer = room.parameters()
        through_the_balancer.port = LOAD_BALANCER_PORT
        with selling(through_the_balancer) as book:
            for name in NAMES[:2]:
                containers.run(name, "rabbitmq-upgrade", "--quiet", "await_online_quorum_plus_one")
                containers.run(name, "rabbitmq-upgrade", "--quiet", "drain")
                assert broker.leader("stock", vhost=room.vhost) != name, "a drained node leads nothing"
                cluster.compose("up", "--detach", "--force-recreate", "--no-deps", name, capture=True, check=True)
                healing.settle()
    finally:
        healing.heal()
    verdict = book.verdict(ready=bodies(room))
    assert verdict.valid, verdict
    assert verdict.counts["confirmed"] > 50, f"hardly anything was sold meanwhile: {verdict}"


def bodies(room) -> list[str]:
    """Everything in the queue, taken out."""
    channel, found = room.channel(), []
    while (got := channel.basic_get(queue="stock", auto_ack=True))[0]:
        found.append(got[2].decode())
    return found


def test_a_queue_grown_onto_a_fourth_node_has_three_members_again_after_healing(room):
    channel = room.channel()
    room.fill(channel, "stock", 1, type="quorum")
    try:
        cluster.compose("--profile", "fourth", "up", "--detach", "rabbit4", capture=True, check=True)
        broker.wait_until(lambda: "rabbit4" in broker.running_nodes(), 60, "the fourth node to join")
        grow = ("rabbitmq-queues", "--quiet", "grow", "rabbit@rabbit4", "all", "--vhost-pattern", f"^{room.vhost}$")

        def grown():  # its status is 0 also where the queue did not take the member
            containers.run("rabbit1", *grow)
            return broker.members("stock", vhost=room.vhost) == [*NAMES, "rabbit4"]

        broker.wait_until(grown, 30, "a member on rabbit4")
        assert "rabbit4" in wholeness.missing()
    finally:
        healing.heal()
    assert broker.running_nodes() == NAMES
    assert "rabbit4" not in containers.all_of_them()
    assert broker.members("stock", vhost=room.vhost) == NAMES
    publish(channel, "one more")
    assert broker.depth("stock", vhost=room.vhost) == 2
