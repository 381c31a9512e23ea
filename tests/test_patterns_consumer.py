"""The consumer loses nothing, comes back by itself, and tries again as often as it says."""

import itertools
import json
import logging
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from unittest.mock import Mock

import pika
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pika.channel import Channel
from pika.exceptions import ChannelClosedByBroker, ProbableAuthenticationError
from pika.spec import Basic
from prometheus_client import CollectorRegistry

from rabbitlab import broker, faults
from rabbitlab.ledger import Ledger
from rabbitlab.nodes import NODES
from rabbitlab.patterns import moves
from rabbitlab.patterns.acks import AckJoiner
from rabbitlab.patterns.care import Care
from rabbitlab.patterns.consumer import ResilientConsumer
from rabbitlab.patterns.link import Link
from rabbitlab.patterns.message import Message, Reject
from rabbitlab.patterns.metrics import Metrics
from rabbitlab.patterns.publisher import ReliablePublisher
from rabbitlab.patterns.receipt import Outcome, PublisherClosed
from rabbitlab.patterns.retries import Retries, copied, declare_topology
from rabbitlab.patterns.subscription import Subscription
from rabbitlab.proxy import Proxy
from rabbitlab.units import ROOT
from tests.clients import until_silence

pytest_plugins = ["tests.rooms"]
QUICK = Retries(limit=3, base=0.25, factor=2.0, cap=10.0)
BUSY = 40  # seconds that this machine may need for what takes a moment


class Notes:
    """A handler that remembers what it was given, and when; *do* may raise."""

    def __init__(self, do=lambda message: None):
        self.do, self.calls, self.done = do, [], []
        self.lock = threading.Lock()

    def __call__(self, message):
        with self.lock:
            self.calls.append((message.message_id, time.monotonic(), message))
        self.do(message)
        with self.lock:
            self.done.append(message.message_id)

    def times(self, id):
        return [at for known, at, _ in self.calls if known == id]

    def messages(self, id):
        return [message for known, _, message in self.calls if known == id]


class Shop:
    """The queue ``orders`` of a room, as an administrator made it, and those who use it."""

    def __init__(self, room, retries=QUICK, **arguments):
        self.room, self.retries, self.arguments = room, retries, arguments
        self.channel = room.channel()
        self.declare()
        self.consumers, self.programs = [], []

    def declare(self):
        arguments = {f"x-{key.replace('_', '-')}": value for key, value in self.arguments.items()}
        declare_topology(self.channel, "orders", self.retries, arguments=arguments)

    def url(self, port=NODES[0].amqp):
        return f"amqp://{self.room.vhost}:{self.room.password}@localhost:{port}/{self.room.vhost}"

    def urls(self):
        return [self.url(node.amqp) for node in NODES]

    def publish(self, *ids, body=b"order", **properties):
        """Put messages into the queue; it returns when they are there."""
        given = pika.BasicProperties(**properties)
        with ReliablePublisher(self.urls()) as publisher:
            receipts = [publisher.publish(body, routing_key="orders", properties=given, message_id=str(id)) for id in ids]
            assert {receipt.result() for receipt in receipts} == {Outcome.CONFIRMED}

    def consumer(self, handler, urls=None, **more):
        self.consumers.append(ResilientConsumer(urls or self.urls(), "orders", handler, **({"retries": self.retries} | more)))
        return self.consumers[-1].start()

    def program(self, folder, **options):
        """tests/patterns_worker.py, running."""
        waits = {"limit": self.retries.limit, "base": self.retries.base, "factor": self.retries.factor}
        options = {"urls": self.urls(), "ledger": f"{folder}/ledger", "go": f"{folder}/go", "retries": waits} | options
        command = [sys.executable, "-m", "tests.patterns_worker", json.dumps(options)]
        self.programs.append(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return self.programs[-1]

    def take(self, queue):
        """Everything that is ready in *queue*, as (message_id, properties, body)."""
        found = []
        for _, properties, body in until_silence(self.channel, queue, auto_ack=True):
            found.append((properties.message_id, properties, body))
        self.channel.cancel()
        return found

    def depth(self, queue="orders"):
        return self.channel.queue_declare(queue=queue, passive=True).method.message_count

    def attached(self):
        return self.channel.queue_declare(queue="orders", passive=True).method.consumer_count

    def empty(self):
        found = broker.counts(["orders"], vhost=self.room.vhost)["orders"]
        return found.ready == found.unacked == 0

    def end(self):
        for consumer in self.consumers:
            consumer.stop(timeout=0.5)
        for program in self.programs:
            program.kill()
            program.communicate()


@pytest.fixture
def shop(room):
    opened = []

    def open(**more):
        opened.append(Shop(room, **more))
        return opened[-1]

    yield open
    for one in opened:
        one.end()


def slack(shop):
    """Seconds by which this machine, busy with other things, may miss a promise: what a plain client takes for its errand, some times."""
    began = time.monotonic()
    with pika.BlockingConnection(shop.room.parameters()) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish(exchange="", routing_key="orders.dead", body=b"errand")
        for _ in channel.consume(queue="orders.dead", auto_ack=True, inactivity_timeout=BUSY):
            break
    return 3 * (time.monotonic() - began)


def until(condition, within=BUSY, what="", seen=None):
    broker.wait_until(condition, within, what, seen=seen)


@contextmanager
def arriving(room, queue):
    """When each message arrives in *queue*: a list of (message_id, time), filled by a thread."""
    found, ended = [], threading.Event()

    def watch():
        with pika.BlockingConnection(room.parameters()) as connection:
            channel = connection.channel()
            for method, properties, _ in channel.consume(queue=queue, auto_ack=True, inactivity_timeout=0.05):
                if ended.is_set():
                    return
                if method:
                    found.append((properties.message_id, time.monotonic(), properties))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


# Acknowledgements, headers and delays need no broker.


@given(data=st.data(), number=st.integers(1, 60))
def test_no_order_of_completion_acknowledges_what_is_unfinished(data, number):
    """The broker as a model: an ack must name what is unsettled, and may cover only what is finished."""
    order = data.draw(st.permutations(range(1, number + 1)))
    rejected = data.draw(st.sets(st.sampled_from(order)))
    joiner, unsettled, finished, frames = AckJoiner(), set(order), set(), 0
    while order:
        batch, order = order[: (size := data.draw(st.integers(1, len(order))))], order[size:]
        for tag in set(batch) & rejected:
            unsettled.remove(tag)
            joiner.settled(tag)
        finished |= set(batch)
        for tag, multiple in joiner.join(set(batch) - rejected):
            covered = {other for other in unsettled if other <= tag} if multiple else {tag}
            assert tag in unsettled, "406, unknown delivery tag"
            assert covered <= finished
            unsettled -= covered
            frames += 1
        assert not unsettled & finished, "what is finished waits for nobody"
    assert not unsettled
    assert frames <= number


def test_a_row_of_finished_messages_is_one_ack():
    joiner = AckJoiner()
    assert joiner.join([3, 1, 2]) == [(3, True)]
    assert joiner.join([5, 6]) == [(5, False), (6, False)]
    assert joiner.join([4, 8]) == [(4, False), (8, False)]
    joiner.settled(7)
    assert joiner.join([9, 10]) == [(10, True)]


def message(headers=None, redelivered=False, **properties):
    return Message(b"order", pika.BasicProperties(headers=headers, **properties), "orders", redelivered)


def test_an_attempt_is_counted_in_a_header_of_its_own_and_by_the_queue():
    assert message().attempt == 1
    assert message({"retry-attempt": 2}).attempt == 3
    assert message({"x-delivery-count": 2, "x-acquired-count": 2}, redelivered=True).attempt == 3
    assert message({"retry-attempt": 1, "x-delivery-count": 1, "x-acquired-count": 3}, redelivered=True).attempt == 3


@pytest.mark.parametrize("headers", [{"x-delivery-count": 7}, {"retry-attempt": "7"}, {"retry-attempt": -7}, {"retry-attempt": None}])
def test_a_publisher_cannot_have_its_message_parked_unread(headers):
    assert message({"x-acquired-count": 7} | headers).attempt == 1
    assert message(headers | {"x-acquired-count": 0}, redelivered=True).attempt == 1


def test_a_copy_has_what_the_original_had_but_for_what_would_lead_it_astray():
    given = {"CC": ["elsewhere"], "x-death": [{"count": 1}], "x-delivery-count": 1, "shop": "north"}
    original = message(given, user_id="till", expiration="100", message_id="7", priority=3, type="order", correlation_id="c")
    copy = copied(original, "orders", 2, "ValueError: \ud800" + 2000 * "x")
    assert copy.headers.keys() == {"shop", "retry-attempt", "reason", "retry-queue", "retry-routing-key"}
    assert (copy.headers["retry-attempt"], copy.headers["retry-queue"]) == (2, "orders")
    assert len(copy.headers["reason"].encode()) < 1100
    assert (copy.user_id, copy.expiration) == (None, None)
    assert (copy.message_id, copy.priority, copy.type, copy.correlation_id) == ("7", 3, "order", "c")


def test_the_routing_key_is_the_first_one_also_after_a_wait():
    first = Message(b"", pika.BasicProperties(), "order.placed", False)
    again = Message(b"", copied(first, "orders", 1, "ValueError"), "orders", False)
    assert again.routing_key == "order.placed"


def test_there_is_a_waiting_queue_for_each_delay_and_none_is_longer_than_the_cap():
    retries = Retries(limit=6, base=1, factor=5, cap=60)
    assert [retries.delay(n) for n in range(1, 6)] == [1000, 5000, 25000, 60000, 60000]
    assert retries.delays() == [1000, 5000, 25000, 60000]
    assert Retries(limit=10**6, factor=1).delays() == [1000]
    assert Retries(limit=4, base=0).delays() == []


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"base": -1}, {"factor": 0.5}, {"base": 10, "cap": 5}])
def test_retries_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="at least one attempt"):
        Retries(**wrong)


def test_an_address_that_is_none_is_told_at_once():
    with pytest.raises(ValueError, match="no address"):
        ResilientConsumer([], "orders", print)


@pytest.mark.parametrize("wrong", [{"prefetch": 0}, {"workers": 0}])
def test_a_window_without_room_is_told_at_once(wrong):
    with pytest.raises(ValueError, match="at least one"):
        ResilientConsumer("amqp://localhost", "orders", print, **wrong)


@settings(deadline=None)
@given(deaths=st.lists(st.integers(0, 3), max_size=25), prefetch=st.integers(1, 6))
def test_a_suspect_is_tried_alone_and_care_comes_to_an_end(deaths, prefetch):
    """A queue as a model: it delivers in order, what is given back is where it was, and at worst that is all of what came at once."""
    care, queue, turns = Care(QUICK, prefetch), deaths, 0
    while queue:
        turns += 1
        assert turns <= 3 * len(deaths), "of three turns, one brings something forward"
        alone, begun = care.prefetch == 1, handed_out(care, queue[: care.prefetch])
        assert alone or QUICK.limit - 1 not in begun
        queue = queue[len(begun) :]


def handed_out(care, deaths):
    """What handlers begin with when these messages come at once. pika tells of each, whatever was made of those before it."""
    link, begun = Mock(), []

    def take(message):
        if care.changes(message):
            subscription.drain()
        else:
            begun.append(message.deaths)

    def read(done, *within):
        for tag, message in enumerate([] if within else map(dying, deaths), start=1):
            receive(subscription, message, tag)

    link.until = read
    subscription = Subscription(link, "orders", care.prefetch, take)
    subscription.run(attached=Mock())
    return [] if subscription.draining else begun


def receive(subscription, message, tag=1):
    method = Basic.Deliver(delivery_tag=tag, redelivered=message.redelivered, routing_key="orders")
    subscription._receive(None, method, message.properties, message.body)


def dying(times, failures=0):
    return message({"x-delivery-count": times, "x-acquired-count": times, "retry-attempt": failures}, redelivered=times > 0)


def test_what_kills_its_process_is_known_when_it_was_alone():
    care = Care(QUICK, prefetch=20)
    assert [care.changes(dying(times)) for times in (0, 1, 3)] == [False, False, False]
    assert [care.is_proved(dying(times)) for times in (0, 1, 2, 3)] == [False, False, False, True]
    assert care.changes(dying(2))
    assert care.prefetch == 1
    assert [care.changes(dying(times)) for times in (2, 0, 2, 0, 0)] == [False, False, False, False, True]
    assert care.prefetch == 20


@pytest.mark.parametrize("failures", range(7))
def test_one_lost_consumer_proves_nothing_however_often_handlers_have_failed(failures):
    """Also for one that an operator took from the dead letters and put back as it was."""
    care = Care(Retries(limit=5), prefetch=20)
    assert not care.is_proved(dying(1, failures))
    assert care.changes(dying(1, failures)) == (failures >= 3), "with one attempt left, or none, it is tried alone"
    assert care.is_proved(dying(2, failures)) == (failures >= 3)


def test_where_the_queue_counts_failures_too_no_message_is_a_suspect():
    care = Care(Retries(limit=3, base=0), prefetch=20)
    assert not care.changes(dying(2))
    assert not care.is_proved(dying(9))


def test_a_suspect_that_comes_together_with_the_consumer_stops_the_flow():
    """The answer to basic_consume and the first messages may be read at once."""
    consumer, seen = ResilientConsumer("amqp://localhost", "orders", print, retries=QUICK), []

    def read(done, within=None, what=""):
        if what.startswith("consume"):
            receive(consumer._subscription, dying(QUICK.limit - 1))
        seen.append(consumer.health)

    consumer._link = Mock(until=read)
    consumer._consume()
    assert not seen[-1].flowing
    assert "one message at a time" in seen[-1].why


def test_a_publisher_made_anew_is_not_dropped_by_a_thread_that_hears_late_that_the_old_one_is_closed(monkeypatch):
    refused, made = PublisherClosed("the login was refused"), []

    def meanwhile(*_, **__):
        """A second thread finds the publisher closed as well, and a third has a new one made, before the first one hears of it."""
        made[0].publish.side_effect = refused
        park()
        park()
        raise refused

    def make(*_, **__):
        made.append(Mock(**{"publish.side_effect": None if made else meanwhile}))
        return made[-1]

    def park():
        parked = message(message_id="7")
        parked._subscription = Mock(over=False, draining=False)
        mover.park(parked, "no such street")

    monkeypatch.setattr(moves, "ReliablePublisher", make)
    mover = moves.Mover("amqp://localhost", "orders", QUICK, print, name="moves", heartbeat=10, metrics=Metrics.off())
    park()
    park()
    assert [publisher.publish.call_count for publisher in made] == [2, 2]
    mover.close()
    assert made[-1].close.called, "no connection is left"


# Messages flow, each is acknowledged after its effect, and no other.


@pytest.mark.cluster
def test_each_message_is_handled_once_and_leaves_its_queue(shop):
    shop, notes = shop(), Notes()
    shop.publish(*range(200))
    consumer = shop.consumer(notes)
    until(lambda: len(notes.done) == 200)
    assert consumer.health.flowing
    assert consumer.stop()
    assert set(Counter(notes.done).values()) == {1}
    assert shop.depth() == 0


@pytest.mark.cluster
def test_nothing_is_acknowledged_before_its_handler_has_returned(shop):
    """While handlers hang, the consumer dies without a word: each message comes again, and those that were done before do not."""
    go = threading.Event()
    shop, notes = shop(consumer_disconnected_timeout=1000), Notes(lambda message: message.body == b"hold" and go.wait(60))
    with Proxy(NODES[0].amqp) as proxy:
        first = shop.consumer(notes, urls=[shop.url(proxy.port)], workers=2, prefetch=10)
        shop.publish(*range(5))
        until(lambda: len(notes.done) == 5)
        shop.publish(*range(5, 10), body=b"hold")
        until(lambda: len(notes.calls) == 7)
        assert shop.depth() == 0, "the consumer holds five"
        proxy.black_hole()
        proxy.reset()
        until(lambda: shop.depth() == 5, what="what no handler has finished is ready again")
        go.set()
        proxy.heal()
        until(lambda: len(notes.done) >= 12)
        until(shop.empty)
        first.stop()
    assert all(len(notes.times(str(n))) == 1 for n in range(5))
    assert {id for id, _, _ in notes.calls} == {str(n) for n in range(10)}


@pytest.mark.cluster
def test_a_message_whose_ack_was_lost_comes_again_and_no_other(shop):
    shop, ledger = shop(), Ledger(sync=False)
    with Proxy(NODES[0].amqp) as proxy:

        def work(message):
            ledger.start(message.message_id)
            if message.message_id == "5" and not message.redelivered:
                proxy.black_hole("to_broker")  # its ack will not arrive
            ledger.effect(message.message_id)

        shop.consumer(work, urls=[shop.url(proxy.port)], prefetch=1, workers=1)
        for n in range(10):
            ledger.invoke(n)
            shop.publish(n)
            ledger.ok(n)
        until(lambda: ledger.verdict().times["5"] == 1)
        proxy.reset()
        proxy.heal()
        until(lambda: len(ledger.verdict().times) == 10)
        until(shop.empty)
    verdict = ledger.verdict()
    assert verdict.valid, verdict
    assert verdict.duplicated == ["5"]
    assert verdict.times["5"] == 2


@pytest.mark.cluster
def test_a_slow_handler_keeps_its_connection(shop, room):
    """Eight seconds, with a heartbeat of two: the connection of a handler that sleeps on it is gone by then."""
    shop, slept = shop(), threading.Event()
    notes = Notes(lambda message: message.message_id == "slow" and slept.wait(8))
    shop.consumer(notes, name="sleeper", heartbeat=2)
    shop.publish("slow")
    until(lambda: notes.calls)
    before = broker.connections("sleeper", vhost=room.vhost)
    shop.publish(*range(20))
    until(lambda: len(notes.done) == 20, what="the others flow past")
    until(lambda: "slow" in notes.done)
    until(shop.empty)
    assert broker.connections("sleeper", vhost=room.vhost) == before
    assert len(notes.times("slow")) == 1


@pytest.mark.cluster
def test_metrics_tell_what_became_of_messages(shop):
    def stumble(message):
        if message.message_id == "bad":
            raise ValueError

    shop, registry = shop(), CollectorRegistry()
    shop.publish("good", "bad")
    shop.consumer(stumble, metrics=Metrics("orders", registry))

    def told(what):
        return registry.get_sample_value(f"rabbitmq_client_{what}", {"name": "orders"})

    until(lambda: told("dead_lettered_total") == 1)
    assert (told("retried_total"), told("handler_seconds_count")) == (2, 4)


# What fails waits, is tried again, and is parked.


@pytest.mark.cluster
def test_poison_is_tried_as_often_as_said_and_then_parked_with_the_reason(shop, room):
    poison = [f"bad-{n}" for n in range(4)]

    def stumble(message):
        if message.message_id in poison:
            raise ValueError("no such street")

    shop, notes = shop(), Notes(stumble)
    with arriving(room, "orders.dead") as parked:
        shop.consumer(notes)
        shop.publish(poison[0])  # for it, the connection for copies is made
        until(lambda: len(parked) == 1)
        shop.publish(*poison[1:], headers={"shop": "north"}, type="order")
        shop.publish(*range(20))
        until(lambda: len(notes.done) == 20, what="the others flow past")
        until(lambda: len(parked) == len(poison))
        until(shop.empty)
    assert [len(notes.times(id)) for id in poison] == [3] * len(poison)
    assert sorted(notes.done) == sorted(map(str, range(20)))
    for _, _, properties in parked:
        assert (properties.headers["reason"], properties.headers["retry-attempt"]) == ("ValueError: no such street", 3)
    assert [(properties.headers["shop"], properties.type) for _, _, properties in parked[1:]] == [("north", "order")] * 3
    assert min(at - notes.times(id)[-1] for id, at, _ in parked) < 2 + slack(shop)
    for n, wanted in enumerate((0.25, 0.5)):
        waited = [notes.times(id)[n + 1] - notes.times(id)[n] for id in poison]
        assert min(waited) >= wanted
        assert min(waited) <= wanted * 1.2 + 0.25 + slack(shop)


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


@pytest.mark.cluster
def test_without_waiting_queues_the_queue_counts(shop):
    def stumble(message):
        raise ValueError("no such street")

    shop, notes = shop(retries=Retries(limit=3, base=0)), Notes(stumble)
    shop.publish("bad")
    shop.consumer(notes)
    until(lambda: shop.depth("orders.dead") == 1)
    assert len(notes.calls) == 3
    assert broker.queues(vhost=shop.room.vhost) == ["orders", "orders.dead"]
    assert shop.take("orders.dead")[0][1].headers["reason"] == "ValueError: no such street"


@pytest.mark.cluster
def test_a_message_that_can_be_moved_nowhere_is_kept_and_health_says_so(shop):
    def stumble(message):
        if message.message_id == "bad":
            raise Reject("no such street")

    shop, notes = shop(), Notes(stumble)
    shop.channel.exchange_delete(exchange="orders.dead")
    consumer = shop.consumer(notes)
    shop.publish("bad", *range(10))
    until(lambda: not consumer.health.flowing and "orders.dead" in consumer.health.why, what="health to name the exchange")
    until(lambda: len(notes.done) == 10, what="the others flow past")
    shop.declare()
    until(lambda: shop.depth("orders.dead") == 1)
    until(lambda: consumer.health.flowing)
    assert len(notes.times("bad")) == 1
    until(shop.empty)


@pytest.mark.cluster
def test_what_can_be_moved_nowhere_is_given_back_at_the_end(shop):
    def reject(message):
        raise Reject("no such street")

    shop = shop()
    shop.channel.exchange_delete(exchange="orders.dead")
    consumer = shop.consumer(Notes(reject))
    shop.publish("bad")
    until(lambda: "orders.dead" in consumer.health.why)
    assert consumer.stop()
    until(lambda: shop.depth() == 1)


@pytest.mark.cluster
def test_poison_that_kills_its_process_is_parked_and_its_neighbours_are_not(shop, tmp_path):
    shop = shop()
    ledger = Ledger(tmp_path / "ledger", sync=False)
    for id in [*range(5), "bad", *range(5, 12)]:
        ledger.invoke(id)
        shop.publish(id, body=b"kill" if id == "bad" else b"order")
        ledger.ok(id)
    ends = []
    while shop.depth("orders.dead") == 0:
        program = shop.program(tmp_path)
        until(lambda program=program: program.poll() is not None or shop.depth("orders.dead") == 1, 30)
        ends.append(program.poll())
        assert len(ends) <= 4
    until(lambda: len(ledger.verdict().times) == 12, 30, what="the neighbours are handled")
    program.terminate()
    assert program.wait(20) == 0
    assert ends == [9, 9, 9, None]
    dead = shop.take("orders.dead")
    assert [id for id, _, _ in dead] == ["bad"]
    assert "3 times its consumer was gone" in dead[0][1].headers["reason"]
    verdict = ledger.verdict(dead=["bad"])
    assert verdict.valid, verdict
    assert sum(entry.what == "start" and entry.id == "bad" for entry in ledger.entries()) == 3


@pytest.mark.cluster
def test_a_suspect_stops_nobody_behind_it(shop):
    """It has one attempt left, after two consumers that went away with it; it is tried, and what stands behind it is handled."""
    shop, notes = shop(), Notes()
    suspect(shop)
    shop.publish(*range(5))
    shop.consumer(notes)
    until(lambda: len(notes.done) == 6, 20, what="the suspect and five others to be handled")
    assert notes.done[0] == "suspect"
    until(shop.empty)


def suspect(shop, hold=False):
    """A message with one attempt left, in the queue or, with its delivery tag, in the hands of the shop's own channel."""
    shop.publish("suspect")
    for _ in range(QUICK.limit - 1):
        shop.channel.basic_reject(delivery_tag=get(shop), requeue=True)
    return get(shop) if hold else None


def get(shop):
    found = []
    until(lambda: found.append(shop.channel.basic_get(queue="orders")[0]) or found[-1], what="a message to come")
    return found[-1].delivery_tag


# It comes back by itself.


@pytest.mark.cluster
def test_connections_that_the_broker_closes_are_made_again(shop, room):
    shop, notes, gaps = shop(), Notes(), []
    consumer = shop.consumer(notes, name="worker")
    for n in range(3):
        until(lambda: consumer.health.flowing)
        broker.api(broker.path("connections", "username", room.vhost), "DELETE")
        began = time.monotonic()
        shop.channel = room.channel()
        shop.publish(n)
        until(lambda n=n: str(n) in notes.done)
        gaps.append(time.monotonic() - began)
    assert min(gaps) < 2 + slack(shop)


def ends_with_541(link) -> None:
    """Have RabbitMQ close this link with 541, for a queue that is declared in a way not permitted any more. Its own thread only."""
    arguments = {"x-queue-master-locator": "min-masters"}
    refused = {"queue": "refused", "durable": True, "arguments": arguments}
    link._connection.channel(on_open_callback=lambda channel: channel.queue_declare(**refused))


def said_541(caplog):
    """What the consumer has logged about such ends."""
    said = [record.getMessage() for record in list(caplog.records) if record.name == "rabbitlab.patterns.consumer"]
    return [line for line in said if line.startswith("consumer: not attached to orders: ConnectionClosedByBroker: (541, 'INTERNAL_ERROR")]


@pytest.mark.cluster
def test_connections_that_end_with_541_under_load_lose_nothing_and_are_told(shop, caplog):
    """An INTERNAL_ERROR takes the connection, with all that was in hand."""
    shop, ledger = shop(), Ledger(sync=False)
    with flowing(shop, ledger) as (consumer, notes):
        for n in range(3):
            until(lambda: consumer.health.flowing)
            began, handled, link = time.monotonic(), len(notes.done), consumer._link
            link.call(lambda link=link: ends_with_541(link))
            until(lambda n=n: len(said_541(caplog)) == n + 1, what="the consumer to say why", seen=lambda: caplog.text)
            until(lambda handled=handled: consumer.health.flowing and len(notes.done) > handled + 100, what="flow")
            assert gap(notes, began) < 2 + slack(shop)
    until(shop.empty)
    verdict = ledger.verdict()
    assert verdict.valid, verdict
    assert len(said_541(caplog)) == 3


@pytest.mark.cluster
def test_a_541_at_each_connection_is_told_tried_ever_less_often_and_overcome(shop, caplog, monkeypatch):
    """No person needs to start the consumer again when the cause is gone; until then log and health name it."""
    shop, notes, opens = shop(), Notes(), Link.channel
    shop.publish(*range(20))

    def channel(link):
        ends_with_541(link)
        link.until(lambda: False, BUSY, "the end of the connection")

    monkeypatch.setattr(Link, "channel", channel)
    consumer = shop.consumer(notes)
    until(lambda: len(said_541(caplog)) >= 4, what="further attempts")
    assert not consumer.health.flowing
    assert "not attached to orders: ConnectionClosedByBroker: (541, 'INTERNAL_ERROR" in consumer.health.why
    assert not consumer.join(0)
    waits = [float(line.rpartition("again in ")[2].removesuffix(" s")) for line in said_541(caplog)]
    assert waits[:4] == sorted(waits[:4])  # 0.1, 0.2, 0.4 and 0.8 s, each a fifth more or less
    monkeypatch.setattr(Link, "channel", opens)
    until(lambda: len(notes.done) == 20)
    until(shop.empty)
    assert consumer.health.flowing
    assert Counter(notes.done) == Counter(str(n) for n in range(20))


@pytest.mark.cluster
def test_a_node_that_falls_silent_is_left_for_another(shop, caplog):
    shop, notes = shop(), Notes()
    with Proxy(NODES[0].amqp) as silent:
        consumer = shop.consumer(notes, urls=[shop.url(silent.port)])
        until(lambda: consumer.health.flowing)
        consumer._addresses = ResilientConsumer(shop.urls(), "orders", notes)._addresses  # the others
        silent.black_hole()
        began = time.monotonic()
        until(lambda: "has said nothing" in caplog.text, 40)  # another node is found within a moment: health may not be seen to change
        until(lambda: consumer.health.flowing, 40)
        assert time.monotonic() - began < 15 + slack(shop)
        silent.reset()  # until then the node took the first consumer for alive, and might send it messages
        until(lambda: shop.attached() == 1)
        shop.publish("late")
        until(lambda: "late" in notes.done)


@pytest.fixture
def asked(monkeypatch):
    """How often consumers have asked their queue for a message; they do so soon here."""
    from rabbitlab.patterns import subscription

    asked, ask = [], Channel.basic_get
    monkeypatch.setattr(subscription, "IDLE", 0.3)
    monkeypatch.setattr(Channel, "basic_get", lambda *args, **more: (asked.append(True), ask(*args, **more)))
    return asked


@pytest.mark.cluster
def test_a_consumer_that_waits_asks_its_queue_and_takes_what_it_is_given(shop, asked):
    shop, notes, registry = shop(), Notes(), CollectorRegistry()
    consumer = shop.consumer(notes, metrics=Metrics("orders", registry))
    until(lambda: len(asked) >= 3)
    for n in range(30):  # some come as an answer, and some as a delivery
        shop.publish(n)
        until(lambda n=n: notes.done[-1:] == [str(n)])
    assert consumer.health.flowing
    assert len(notes.calls) == 30
    assert registry.get_sample_value("rabbitmq_client_reconnects_total", {"name": "orders"}) == 0
    until(shop.empty)


@pytest.mark.cluster
def test_a_queue_that_takes_no_question_is_asked_once(shop, asked, caplog):
    shop, notes, registry = shop(single_active_consumer=True), Notes(), CollectorRegistry()
    consumer = shop.consumer(notes, metrics=Metrics("orders", registry))
    until(lambda: "not attached to orders: ChannelClosedByBroker: (405" in caplog.text)
    until(lambda: consumer.health.flowing)
    shop.publish(*range(20))
    until(lambda: len(notes.done) == 20)
    asked.clear()
    shop.publish("last")
    until(lambda: "last" in notes.done)
    assert not asked
    assert registry.get_sample_value("rabbitmq_client_reconnects_total", {"name": "orders"}) == 0


@pytest.mark.cluster
def test_a_queue_that_was_deleted_has_its_consumer_back_when_it_is_there_again(shop, caplog):
    shop, notes = shop(), Notes()
    caplog.set_level(logging.WARNING, "rabbitlab.patterns.consumer")
    consumer = shop.consumer(notes)
    until(lambda: consumer.health.flowing)
    broker.forget("orders", vhost=shop.room.vhost)
    until(lambda: "404" in consumer.health.why, what="health to say what is missing")
    assert not consumer.health.flowing
    until(lambda: sum("404" in record.message for record in caplog.records) >= 4, what="further attempts")
    times = [record.created for record in caplog.records if record.name == "rabbitlab.patterns.consumer"]
    assert all(later - earlier > 0.08 for earlier, later in itertools.pairwise(times)), "no hot loop"
    gone = broker.connections(vhost=shop.room.vhost)
    assert len(gone) == 2, "it keeps its connection"
    shop.declare()
    began = time.monotonic()
    shop.publish("after")
    until(lambda: "after" in notes.done)
    assert time.monotonic() - began < 5 + slack(shop)
    until(lambda: consumer.health.flowing)


@pytest.mark.cluster
def test_a_handler_that_exceeds_the_consumer_timeout_costs_one_consumer_and_no_message(shop):
    shop, go = shop(consumer_timeout=1000), threading.Event()
    notes = Notes(lambda message: not message.redelivered and message.message_id == "slow" and go.wait(60))
    consumer = shop.consumer(notes, workers=2)
    shop.publish("slow")
    until(lambda: notes.calls)
    until(lambda: len(notes.times("slow")) == 2, what="it comes again")
    go.set()  # the first call returns, too late to acknowledge anything
    shop.publish(*range(20))
    until(lambda: len(notes.done) == 22)
    until(shop.empty)
    assert consumer.health.flowing
    assert shop.attached() == 1, "the consumer that RabbitMQ has cancelled is gone"
    assert notes.times("slow")[1] - notes.times("slow")[0] < 1 + 5 + slack(shop)


@pytest.mark.cluster
def test_what_only_a_person_can_mend_is_raised(shop):
    shop = shop()
    stranger = f"test-{secrets.token_hex(4)}"
    broker.api(broker.path("users", stranger), "PUT", {"password": "secret", "tags": ""})
    broker.api(broker.path("permissions", shop.room.vhost, stranger), "PUT", {"configure": "", "write": "", "read": ""})
    try:
        url = shop.url()
        unread = ResilientConsumer(url.replace(shop.room.vhost, stranger, 1).replace(shop.room.password, "secret"), "orders", print)
        with pytest.raises(ChannelClosedByBroker, match="403"):
            unread.run()
        unknown = ResilientConsumer(url.replace(shop.room.password, "wrong"), "orders", print).start()
        with pytest.raises(ProbableAuthenticationError):
            unknown.join(BUSY)
    finally:
        broker.api(broker.path("users", stranger), "DELETE")
    for consumer in (unread, unknown):
        assert not consumer.health.flowing
        assert "403" in consumer.health.why


@pytest.mark.cluster
def test_a_topology_that_is_there_and_declared_otherwise_is_told(shop):
    shop = shop()
    shop.declare()
    with pytest.raises(ChannelClosedByBroker, match="inequivalent arg 'x-delivery-limit'"):
        declare_topology(shop.channel, "orders", QUICK, arguments={"x-delivery-limit": 7})


@pytest.mark.cluster
def test_handlers_that_hang_are_no_flow(shop):
    shop, go = shop(), threading.Event()
    consumer = shop.consumer(lambda message: go.wait(60), workers=2, stuck_after=0.3)
    shop.publish(1)
    until(lambda: "1 of 2 handlers" in consumer.health.why)
    assert consumer.health.flowing
    shop.publish(2)
    until(lambda: not consumer.health.flowing and "every handler" in consumer.health.why)
    go.set()
    until(lambda: consumer.health.flowing)


@pytest.mark.cluster
def test_waiting_for_a_handler_before_a_suspect_is_tried_alone_is_no_flow(shop):
    shop, go = shop(), threading.Event()
    notes = Notes(lambda message: message.message_id == "slow" and go.wait(60))
    tag = suspect(shop, hold=True)
    consumer = shop.consumer(notes)
    shop.publish("slow")
    until(lambda: notes.calls)
    assert consumer.health.flowing
    shop.channel.basic_nack(delivery_tag=tag, requeue=True)
    until(lambda: not consumer.health.flowing and "one message at a time" in consumer.health.why, seen=lambda: consumer.health)
    assert len(notes.calls) == 1
    go.set()
    until(lambda: consumer.health.flowing and "one message at a time" in consumer.health.why, seen=lambda: consumer.health)
    until(lambda: sorted(notes.done) == ["slow", "suspect"])
    until(shop.empty)


@pytest.mark.cluster
def test_a_user_who_may_read_one_queue_and_write_to_two_exchanges_can_run_it(shop):
    def stumble(message):
        if message.message_id == "bad":
            raise ValueError("no such street")

    shop, notes = shop(), Notes(stumble)
    worker = f"test-{secrets.token_hex(4)}"
    broker.api(broker.path("users", worker), "PUT", {"password": "secret", "tags": ""})
    rights = {"configure": "^$", "write": r"^orders\.(retry|dead)$", "read": "^orders$"}
    broker.api(broker.path("permissions", shop.room.vhost, worker), "PUT", rights)
    url = shop.url().replace(shop.room.vhost, worker, 1).replace(shop.room.password, "secret")
    try:
        with pika.BlockingConnection(pika.URLParameters(url)) as connection, pytest.raises(ChannelClosedByBroker, match="403"):
            connection.channel().queue_declare(queue="orders.more", durable=True)
        consumer = shop.consumer(notes, urls=url)
        shop.publish("good", "bad")
        until(lambda: shop.depth("orders.dead") == 1)
        assert len(notes.times("bad")) == 3
        assert notes.done == ["good"]
        consumer.stop()
    finally:
        broker.api(broker.path("users", worker), "DELETE")


# It stops when it is asked to.


@pytest.mark.cluster
def test_stopping_finishes_what_runs_and_gives_back_the_rest_as_if_it_had_never_had_it(shop):
    shop, go = shop(), threading.Event()
    notes = Notes(lambda message: go.wait(60))
    shop.publish(*range(150))
    consumer = shop.consumer(notes, workers=2, prefetch=100)
    until(lambda: len(notes.calls) == 2)
    stopped = threading.Thread(target=consumer.stop)
    stopped.start()
    until(lambda: shop.depth() == 148, what="the others are ready while two are at work")
    go.set()
    stopped.join(BUSY)
    assert not stopped.is_alive()
    assert sorted(notes.done) == ["0", "1"]
    left = shop.take("orders")
    assert sorted(int(id) for id, _, _ in left) == list(range(2, 150))
    assert not [properties for _, properties, _ in left if "x-delivery-count" in (properties.headers or {})]
    assert consumer.health.why == "stopped"


@pytest.mark.cluster
def test_stopping_under_load_counts_for_no_message_as_a_failure(shop):
    shop, notes = shop(), Notes()
    shop.publish(*range(3000))
    consumer = shop.consumer(notes, prefetch=50)
    until(lambda: len(notes.done) > 100)
    assert consumer.stop()
    left = shop.take("orders")
    assert len(left) + len(notes.done) == 3000
    assert left
    assert not [properties for _, properties, _ in left if "x-delivery-count" in (properties.headers or {})]


@pytest.mark.cluster
def test_a_handler_that_does_not_end_in_time_keeps_nobody_waiting(shop):
    shop, go = shop(), threading.Event()
    consumer = shop.consumer(lambda message: go.wait(60))
    shop.publish(1)
    until(lambda: consumer._workers.busy())
    began = time.monotonic()
    assert consumer.stop(timeout=0.5)
    assert time.monotonic() - began < 5 + slack(shop)
    until(lambda: shop.depth() == 1, what="its message is ready for others")
    go.set()


@pytest.mark.cluster
@pytest.mark.parametrize("wait", [False, True], ids=["missing", "nobody listens"])
def test_stopping_does_not_wait_for_what_is_not_there(shop, wait):
    shop = shop()
    shop.channel.queue_delete(queue="orders")
    consumer = shop.consumer(print, urls=["amqp://localhost:1/"] if wait else None)
    until(lambda: "not attached" in consumer.health.why)
    began = time.monotonic()
    assert consumer.stop()
    assert time.monotonic() - began < 5 + slack(shop)


@pytest.mark.cluster
def test_sigterm_finishes_what_runs_and_a_second_one_is_harmless(shop, tmp_path):
    shop, ledger = shop(), Ledger(tmp_path / "ledger", sync=False)
    shop.publish(*range(30), body=b"hold")
    program = shop.program(tmp_path, more={"workers": 3})
    until(lambda: sum(entry.what == "start" for entry in ledger.entries()) == 3)
    program.send_signal(signal.SIGTERM)
    until(lambda: shop.depth() == 27, what="the rest is given back at once")
    program.send_signal(signal.SIGTERM)
    (tmp_path / "go").touch()
    assert program.communicate(timeout=BUSY)[0] == "ended\n"
    assert program.returncode == 0
    assert sorted(ledger.verdict().times) == ["0", "1", "2"]
    left = shop.take("orders")
    assert sorted(int(id) for id, _, _ in left) == list(range(3, 30))
    assert not [properties for _, properties, _ in left if "x-delivery-count" in (properties.headers or {})]


@pytest.mark.cluster
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # threads are running: that is the point
def test_a_forked_child_that_leaves_the_with_neither_waits_nor_stops_its_parent(shop):
    shop, notes = shop(), Notes()
    consumer = shop.consumer(notes)
    until(lambda: consumer.health.flowing)
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            began = time.monotonic()
            left = consumer.stop() and consumer.join() and not consumer.health.flowing
            os._exit(0 if left and time.monotonic() - began < 1 else 1)
        os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    shop.publish(1)
    until(lambda: notes.done == ["1"])
    assert consumer.health.flowing


@pytest.mark.cluster
def test_sigkill_loses_nothing(shop, tmp_path):
    shop, ledger = shop(), Ledger(tmp_path / "ledger", sync=False)
    for n in range(300):
        ledger.invoke(n)
    shop.publish(*range(300))
    for n in range(300):
        ledger.ok(n)
    for _ in range(2):
        already = len(ledger.verdict().times)
        program = shop.program(tmp_path, work=0.05)  # seconds a message: it must not be through before it is killed
        until(lambda already=already: len(ledger.verdict().times) > already + 20)
        os.kill(program.pid, signal.SIGKILL)
        program.wait()
    shop.program(tmp_path)
    until(lambda: len(ledger.verdict().times) == 300)
    until(shop.empty)
    verdict = ledger.verdict()
    assert verdict.valid, verdict
    assert len(verdict.duplicated) <= 2 * 20, "no more than the prefetch window for each kill"


# Nodes break.


@contextmanager
def flowing(shop, ledger, **more):
    """A publisher and a consumer of this module at work, through all nodes; yields what there is to ask them."""
    notes, ended, number = Notes(lambda message: ledger.effect(message.message_id)), threading.Event(), [0]
    consumer = shop.consumer(notes, **more)

    def settled(receipt):
        {Outcome.CONFIRMED: ledger.ok, Outcome.UNKNOWN: ledger.unknown}.get(receipt.outcome, ledger.fail)(receipt.message_id)

    def publish():
        with ReliablePublisher(shop.urls()) as publisher:
            while not ended.wait(0.01):
                number[0] += 1
                ledger.invoke(number[0])
                publisher.publish(b"order", routing_key="orders", message_id=str(number[0])).add_done_callback(settled)
            publisher.flush(60)

    publishing = threading.Thread(target=publish)
    publishing.start()
    try:
        until(lambda: len(notes.done) > 50)
        yield consumer, notes
    finally:
        ended.set()
        publishing.join()


def gap(notes, since):
    """Seconds from *since* until the first message that was handled after a pause that began there; the longest pause after it."""
    times = [since] + [at for _, at, _ in notes.calls if at > since]
    return max((later - earlier for earlier, later in itertools.pairwise(times)), default=float("inf"))


FAULTS = {
    "leader killed": (lambda shop: faults.killed(broker.leader("orders", vhost=shop.room.vhost)), 10),
    "its own node paused": (lambda shop: faults.paused(node_of(shop)), 15),
    "its own node cut off": (lambda shop: faults.cut_off(node_of(shop)), 15),
    "its own node alone in a partition": (lambda shop: faults.partitioned(node_of(shop)), 15),
}


def node_of(shop):
    port = int(shop.consumers[-1]._link.node.rpartition(":")[2])
    return next(node.name for node in NODES if node.amqp == port)


@pytest.mark.cluster
@pytest.mark.faults
@pytest.mark.parametrize("fault", FAULTS)
def test_messages_flow_again_while_the_fault_lasts_and_none_is_lost(shop, fault):
    shop, ledger = shop(consumer_disconnected_timeout=3000), Ledger(sync=False)
    make, limit = FAULTS[fault]
    with flowing(shop, ledger) as (consumer, notes):
        with make(shop) as made:
            handled = len(notes.done)
            until(lambda: consumer.health.flowing and len(notes.done) > handled + 100, 60, what="flow, before anything is mended")
            flows = gap(notes, made.began)
        handled = len(notes.done)
        until(lambda: len(notes.done) > handled + 50)
    until(shop.empty, 90)
    verdict = ledger.verdict()
    assert verdict.valid, verdict
    assert flows < limit + slack(shop)


@pytest.mark.cluster
@pytest.mark.faults
def test_acknowledgements_go_on_while_publishers_are_blocked(shop):
    """A copy that waits for memory must not keep the acks of its consumer waiting, which would free it."""

    def stumble(message):
        if message.message_id == "bad":
            raise Reject("no such street")

    shop, notes = shop(), Notes(stumble)
    shop.publish("bad", *range(100))
    with faults.memory_alarm():
        shop.consumer(notes)
        until(lambda: len(notes.done) == 100)
        until(lambda: broker.counts(["orders"], vhost=shop.room.vhost)["orders"].unacked == 1, what="all are acknowledged but one")
        assert shop.depth("orders.dead") == 0
    until(lambda: shop.depth("orders.dead") == 1, 40)
    assert len(notes.times("bad")) == 1
