"""The consumer loses nothing, comes back by itself, and tries again as often as it says."""

import threading
import time
from collections import Counter

import pika
import pytest

from rabbitlab import broker
from rabbitlab.patterns.consumer import ResilientConsumer
from rabbitlab.patterns.message import Reject
from rabbitlab.patterns.retries import Retries, declare_topology

pytest_plugins = ["tests.rooms"]
QUICK = Retries(limit=3, base=0.25, factor=2.0, cap=10.0)


class Notes:
    """A handler that remembers what it was given, and when; *do* may raise."""

    def __init__(self, do=lambda message: None):
        self.do, self.calls, self.done = do, [], []
        self.lock = threading.Lock()

    def __call__(self, message):
        with self.lock:
            self.calls.append((message.message_id, time.monotonic(), message.attempt))
        self.do(message)
        with self.lock:
            self.done.append(message.message_id)

    def times(self, id):
        return [at for known, at, _ in self.calls if known == id]


class Shop:
    """The queue ``orders`` of a room, as an administrator made it, and those who use it."""

    def __init__(self, room, retries=QUICK, **arguments):
        self.room, self.retries = room, retries
        self.channel = room.channel()
        self.declare(**arguments)
        self.consumers = []

    def declare(self, **arguments):
        declare_topology(self.channel, "orders", self.retries, arguments={f"x-{key.replace('_', '-')}": v for key, v in arguments.items()})

    def publish(self, *ids, **properties):
        for id in ids:
            self.channel.basic_publish(
                exchange="",
                routing_key="orders",
                body=f"order {id}".encode(),
                properties=pika.BasicProperties(message_id=str(id), delivery_mode=2, **properties),
                mandatory=True,
            )

    def consumer(self, handler, urls=None, **more):
        more = {"retries": self.retries} | more
        self.consumers.append(ResilientConsumer(urls or [self.room.parameters()], "orders", handler, **more))
        return self.consumers[-1].start()

    def take(self, queue):
        """Everything that is ready in *queue*, as (message_id, properties, body)."""
        found = []
        while True:
            _, properties, body = self.channel.basic_get(queue=queue, auto_ack=True)
            if properties is None:
                return found
            found.append((properties.message_id, properties, body))

    def depth(self, queue="orders"):
        return broker.depth(queue, vhost=self.room.vhost)

    def empty(self):
        found = broker.counts(["orders"], vhost=self.room.vhost)["orders"]
        return found.ready == found.unacked == 0


@pytest.fixture
def shop(room):
    opened = []

    def open(**more):
        opened.append(Shop(room, **more))
        return opened[-1]

    yield open
    for shop in opened:
        for consumer in shop.consumers:
            consumer.stop(timeout=1)


def until(condition, within=10, what=""):
    broker.wait_until(condition, within, what)


@pytest.mark.cluster
def test_each_message_is_handled_once_and_leaves_its_queue(shop):
    shop, notes = shop(), Notes()
    shop.publish(*range(200))
    consumer = shop.consumer(notes)
    until(lambda: len(notes.done) == 200)
    assert consumer.health.flowing
    assert consumer.stop()
    assert set(Counter(notes.done).values()) == {1}
    until(shop.empty)


@pytest.mark.cluster
def test_closed_connections_are_made_again(shop, room):
    shop, notes = shop(), Notes()
    consumer = shop.consumer(notes, name="worker")
    until(lambda: consumer.health.flowing)
    for n in range(3):
        gone = broker.connections("worker", vhost=room.vhost)
        broker.api(broker.path("connections", gone[0]), "DELETE")
        shop.publish(n)
        began = time.monotonic()
        until(lambda n=n: str(n) in notes.done, 5)
        assert time.monotonic() - began < 2


@pytest.mark.cluster
def test_poison_is_tried_as_often_as_said_and_then_parked_with_the_reason(shop):
    def stumble(message):
        if message.message_id == "3":
            raise ValueError("no such street")

    shop, notes = shop(), Notes(stumble)
    shop.publish(*range(20), headers={"shop": "north"}, expiration="600000", type="order")
    shop.consumer(notes)
    until(lambda: shop.depth("orders.dead") == 1)
    parked = time.monotonic()
    calls = notes.times("3")
    assert len(calls) == 3
    assert parked - calls[-1] < 2
    assert sorted(notes.done) == sorted(str(n) for n in range(20) if n != 3)
    [(id, properties, body)] = shop.take("orders.dead")
    assert (id, body, properties.type) == ("3", b"order 3", "order")
    assert properties.headers["reason"] == "ValueError: no such street"
    assert properties.headers["shop"] == "north"
    for wanted, waited in zip((0.25, 0.5), (b - a for a, b in zip(calls, calls[1:], strict=False)), strict=True):
        assert wanted <= waited <= wanted * 1.2 + 0.25
    until(shop.empty)


@pytest.mark.cluster
def test_what_is_rejected_is_parked_at_once(shop):
    def reject(message):
        raise Reject("no such street")

    shop, notes = shop(), Notes(reject)
    shop.publish("bad")
    shop.consumer(notes)
    until(lambda: shop.depth("orders.dead") == 1)
    assert len(notes.calls) == 1
    [(_, properties, _)] = shop.take("orders.dead")
    assert properties.headers["reason"] == "no such street"
