"""The reliable publisher on the cluster: what it promises, and what holds while nodes, connections and memory are taken away from it."""

import contextlib
import logging
import os
import secrets
import socket
import ssl
import threading
import time
from collections import Counter
from dataclasses import replace

import pika
import psutil
import pytest
import trustme
from pika.spec import FRAME_MAX_SIZE

from rabbitlab import broker, faults, stalls
from rabbitlab.ledger import Ledger
from rabbitlab.nodes import BY_NAME, NODES, Node
from rabbitlab.patterns import Nacked, Outcome, PublisherClosed, Refused, ReliablePublisher, Returned
from rabbitlab.patterns.frames import header_frame
from rabbitlab.patterns.sender import Sender
from rabbitlab.proxy import Proxy

pytest_plugins = ["tests.rooms"]
GRACE = 0.5  # seconds after a deadline in which a receipt is settled
SOON = 20  # seconds within which this machine does what it does at once, with others at work on it
QUEUE = "orders"


@pytest.fixture
def queue(room):
    """A quorum queue."""
    declare(room)
    return QUEUE


@pytest.fixture
def publisher(room):
    with ReliablePublisher(nodes_of(room), name="till") as made:
        yield made


def declare(room, node=NODES[0], type="quorum", **arguments):
    channel = room.channel(node=node)
    channel.queue_declare(queue=QUEUE, durable=True, arguments={"x-queue-type": type, **arguments})
    channel.connection.close()


def nodes_of(room) -> list[pika.ConnectionParameters]:
    return [room.parameters(node) for node in NODES]


def through(proxy) -> Node:
    return replace(NODES[0], amqp=proxy.port)


def held(room, number=0) -> list[str]:
    """The ids of the messages in the queue, which is emptied; waits some time for *number* of them."""
    ids: list[str] = []
    end = stalls.clock() + 3 * SOON
    channel = room.channel()
    for _, properties, _ in channel.consume(QUEUE, auto_ack=True, inactivity_timeout=1):
        if properties is None and (len(ids) >= number or stalls.clock() > end):
            break
        if properties is not None:
            ids.append(properties.message_id)
    channel.connection.close()
    return ids


def publishers_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("publisher")]


def ends_with_541(connection) -> None:
    """Have RabbitMQ close this connection of a ``SelectConnection``'s with 541. Its own thread only."""
    arguments = {"x-queue-master-locator": "min-masters"}  # removed, step by step: "deprecated_features" in the documentation
    connection.channel(on_open_callback=lambda channel: channel.queue_declare(queue="refused", durable=True, arguments=arguments))


def said_541(caplog) -> list[str]:
    """What the publisher has logged about such ends."""
    said = [record.getMessage() for record in list(caplog.records) if record.name == "rabbitlab.patterns.publisher"]
    return [line for line in said if "(541, 'INTERNAL_ERROR" in line and "next attempt in" in line]


class Load:
    """A program that publishes order after order until it is told to stop, and writes down what it was promised."""

    def __init__(self, publisher, deadline, body=bytes(256), pace=0.002):
        self.ledger = Ledger(sync=False)
        self.receipts: list = []
        self.confirmed: list[float] = []  # when
        self.late = 0.0  # seconds that some receipt or some call took longer than the deadline, while this process did not stand still
        self._publisher, self._deadline, self._body, self._pace = publisher, deadline, body, pace
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load")

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stopping.set()
        self._thread.join()

    def _run(self):
        while not self._stopping.wait(self._pace):
            name = f"order-{len(self.receipts)}"
            self.ledger.invoke(name)
            began = time.monotonic()
            receipt = self._publisher.publish(self._body, routing_key=QUEUE, message_id=name, deadline=self._deadline)
            self.late = max(self.late, stalls.spent(began) - self._deadline)
            receipt.add_done_callback(lambda settled, began=began: self._note(settled, began))
            self.receipts.append(receipt)

    def _note(self, receipt, began):
        now = time.monotonic()
        self.late = max(self.late, stalls.spent(began, now) - self._deadline)
        if receipt.outcome is Outcome.CONFIRMED:
            self.confirmed.append(now)
            self.ledger.ok(receipt.message_id)
        elif receipt.outcome is Outcome.UNKNOWN:
            self.ledger.unknown(receipt.message_id)
        else:
            self.ledger.fail(receipt.message_id)

    def goes_on(self, within, since=None) -> None:
        """Wait until more is confirmed than now."""
        before = time.monotonic() if since is None else since
        broker.wait_until(lambda: self.confirmed and self.confirmed[-1] > before, within, "a confirm")

    def gap(self) -> float:
        """The longest time without a confirm, in seconds, without those in which this process stood still."""
        return max((stalls.spent(earlier, later) for earlier, later in zip(self.confirmed, self.confirmed[1:], strict=False)), default=0.0)

    def judged(self, room):
        """The verdict, once all is settled."""
        assert not self._publisher.flush(60)
        confirmed = [receipt for receipt in self.receipts if receipt.outcome is Outcome.CONFIRMED]
        return self.ledger.verdict(ready=held(room, len(confirmed)))


# What becomes of a message.


@pytest.mark.cluster
def test_confirmed_is_in_the_queue_persistent_and_named(room, queue, publisher):
    receipt = publisher.send(b"a mug", routing_key=queue, properties=pika.BasicProperties(content_type="text/plain"))
    assert (receipt.outcome, receipt.attempts) == (Outcome.CONFIRMED, 1)
    _, properties, body = room.channel().basic_get(queue, auto_ack=True)
    assert body == b"a mug"
    assert (properties.message_id, properties.delivery_mode, properties.content_type) == (receipt.message_id, 2, "text/plain")


@pytest.mark.cluster
def test_many_are_confirmed_and_arrive_in_order(room, queue, publisher):
    receipts = [publisher.publish(str(n).encode(), routing_key=queue) for n in range(3000)]
    assert not publisher.flush(SOON)
    assert Counter(receipt.outcome for receipt in receipts) == {Outcome.CONFIRMED: 3000}
    assert held(room, 3000) == [receipt.message_id for receipt in receipts]


@pytest.mark.cluster
@pytest.mark.parametrize("size", [0, 4088, 4089, 131_064, 131_065, 1_000_000])
def test_a_body_of_any_size_arrives_whole(room, queue, publisher, size):
    body = os.urandom(size)
    publisher.send(body, routing_key=queue)
    assert room.channel().basic_get(queue, auto_ack=True)[2] == body


@pytest.mark.cluster
def test_what_no_queue_gets_comes_back_with_the_reason(queue, publisher):
    good = [publisher.publish(b"x", routing_key=queue) for _ in range(100)]
    lost = [publisher.publish(b"x", routing_key="nowhere") for _ in range(100)]
    with pytest.raises(Returned) as raised:
        publisher.send(b"x", routing_key="nowhere")
    assert (raised.value.receipt.reply_code, raised.value.receipt.reply_text) == (312, "NO_ROUTE")
    assert {receipt.result(SOON) for receipt in good} == {Outcome.CONFIRMED}
    assert {receipt.result(SOON) for receipt in lost} == {Outcome.RETURNED}
    assert publisher.send(b"x", routing_key="nowhere", mandatory=False).outcome is Outcome.CONFIRMED  # and gone: that was asked for


@pytest.mark.cluster
def test_what_a_full_queue_rejects_is_nacked_on_the_same_connection(room):
    declare(room, type="classic", **{"x-max-length": 1, "x-overflow": "reject-publish"})
    with Proxy(NODES[0].amqp) as proxy, ReliablePublisher(room.parameters(through(proxy))) as publisher:
        publisher.send(b"first", routing_key=QUEUE)
        with pytest.raises(Nacked):
            publisher.send(b"second", routing_key=QUEUE)
        receipts = [publisher.publish(b"x", routing_key=QUEUE) for _ in range(50)]
        assert {receipt.result(SOON) for receipt in receipts} == {Outcome.NACKED}
        assert proxy.accepted == 1
    assert len(held(room, 1)) == 1


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("wrong", "code", "text"),
    [
        ({"exchange": "missing", "routing_key": "x"}, 404, "no exchange 'missing'"),
        ({"routing_key": QUEUE, "properties": pika.BasicProperties(expiration="soon")}, 406, "expiration"),
    ],
)
def test_a_message_that_closes_the_channel_is_named_and_the_others_arrive(room, queue, wrong, code, text):
    with Proxy(NODES[0].amqp) as proxy, ReliablePublisher(room.parameters(through(proxy))) as publisher:
        good = [publisher.publish(b"x", routing_key=QUEUE) for _ in range(150)]
        bad = [publisher.publish(b"x", **wrong) for _ in range(3)]
        good += [publisher.publish(b"x", routing_key=QUEUE) for _ in range(150)]
        with pytest.raises(Refused, match=text):
            publisher.send(b"x", **wrong)
        assert {(receipt.result(SOON), receipt.reply_code) for receipt in bad} == {(Outcome.REFUSED, code)}
        assert {receipt.result(SOON) for receipt in good} == {Outcome.CONFIRMED}
        assert proxy.accepted == 1
    assert set(held(room, 300)) == {receipt.message_id for receipt in good}


@pytest.mark.cluster
def test_a_message_that_is_too_large_is_refused_and_the_next_one_arrives(room, queue, publisher):
    with pytest.raises(Refused, match="larger than configured max size"):
        publisher.send(bytes(16 * 1024 * 1024 + 1), routing_key=queue)
    assert publisher.send(b"x", routing_key=queue).outcome is Outcome.CONFIRMED


@pytest.mark.cluster
def test_headers_may_fill_a_frame_and_larger_ones_are_an_error_at_once(room, queue, publisher):
    """RabbitMQ closes the connection over them, so they would keep all others from being sent."""

    def headers(size):
        """Properties whose frame is of this size, with the id ``x`` and a delivery mode."""
        bare = len(header_frame(1, "x", 2, pika.BasicProperties(headers={"a": ""})))
        return pika.BasicProperties(headers={"a": "x" * (size - bare)}, message_id="x", delivery_mode=2)

    publisher.send(b"x", routing_key=queue, properties=headers(FRAME_MAX_SIZE))
    assert room.channel().basic_get(queue, auto_ack=True)[1].headers == headers(FRAME_MAX_SIZE).headers
    with pytest.raises(ValueError, match="131073 bytes"):
        publisher.publish(b"x", routing_key=queue, properties=headers(FRAME_MAX_SIZE + 1))
    publisher.send(b"x", routing_key=queue)
    with pytest.raises(pika.exceptions.ConnectionClosedByBroker, match="501"):  # it lets 8 bytes more pass than was agreed
        room.channel().basic_publish("", queue, b"x", headers(FRAME_MAX_SIZE + 9))


@pytest.mark.cluster
def test_a_refused_login_is_told_and_not_tried_again(room):
    with Proxy(NODES[0].amqp) as proxy:
        wrong = room.parameters(through(proxy), credentials=pika.PlainCredentials(room.vhost, "wrong"))
        with ReliablePublisher(wrong) as publisher:
            began = time.monotonic()
            with contextlib.suppress(PublisherClosed):
                receipt = publisher.publish(b"x", routing_key=QUEUE)
                assert (receipt.result(SOON), receipt.reply_code) == (Outcome.UNKNOWN, 403)
            broker.wait_until(lambda: not publishers_threads(), SOON, "the publisher's thread to end")
            assert time.monotonic() - began < SOON
            with pytest.raises(PublisherClosed, match="ACCESS_REFUSED"):
                publisher.publish(b"x", routing_key=QUEUE)
            assert proxy.accepted == 1


# What connections do.


@pytest.mark.cluster
def test_a_lost_confirm_is_a_duplicate_with_the_same_id(room, queue):
    with Proxy(NODES[0].amqp) as proxy, ReliablePublisher(room.parameters(through(proxy))) as publisher:
        publisher.send(b"first", routing_key=queue)
        proxy.lose_confirm()
        receipt = publisher.send(b"second", routing_key=queue)
        assert receipt.attempts == 2
    ids = held(room, 3)
    assert ids[1:] == [receipt.message_id] * 2
    seen: set[str] = set()
    new = [name for name in ids if not (name in seen or seen.add(name))]  # as a consumer does
    assert len(new) == 2


@pytest.mark.cluster
def test_connections_closed_under_load_lose_nothing(room, queue, publisher):
    with Load(publisher, deadline=30) as load:
        for _ in range(2):
            load.goes_on(SOON)
            with faults.closed_connections(name="till", vhost=room.vhost) as fault:
                pass
            load.goes_on(SOON, since=fault.began)
    verdict = load.judged(room)
    assert verdict.valid, verdict
    assert verdict.counts["unknown"] == verdict.counts["refused"] == 0
    assert load.gap() < 2
    assert load.late < GRACE


@pytest.mark.cluster
def test_connections_that_end_with_541_under_load_lose_nothing_and_are_told(room, queue, caplog):
    """An INTERNAL_ERROR, which closes the connection: here for a queue that is declared on it in a way that is not permitted any more."""
    caplog.set_level(logging.WARNING, "rabbitlab.patterns.publisher")
    with ReliablePublisher(nodes_of(room), name="till", deadline=30) as publisher:
        with Load(publisher, deadline=30) as load:
            for n in range(3):
                load.goes_on(SOON)
                broker.wait_until(lambda: publisher.connected, SOON, "a connection")
                publisher._sender._loop.add_callback_threadsafe(lambda: ends_with_541(publisher._sender._connection))
                broker.wait_until(lambda n=n: len(said_541(caplog)) == n + 1, SOON, "the publisher to say why", seen=lambda: caplog.text)
                load.goes_on(SOON)
        verdict = load.judged(room)
    assert verdict.valid, verdict
    assert verdict.counts["unknown"] == verdict.counts["refused"] == 0
    assert load.gap() < 2
    assert load.late < GRACE
    assert all(line.startswith("till: lost localhost:") for line in said_541(caplog))
    assert len(said_541(caplog)) == 3


@pytest.mark.cluster
def test_a_541_at_each_connection_is_told_tried_ever_less_often_and_overcome(room, queue, caplog, monkeypatch):
    """No endless retry of a message: its deadline ends it, and its receipt says why. The publisher is there when the cause is gone."""
    caplog.set_level(logging.WARNING, "rabbitlab.patterns.publisher")
    opens = Sender._on_open
    monkeypatch.setattr(Sender, "_on_open", lambda _, connection: ends_with_541(connection))
    with Proxy(NODES[0].amqp) as proxy, ReliablePublisher(room.parameters(through(proxy))) as publisher:
        receipt = publisher.publish(b"x", routing_key=queue, deadline=3)
        assert receipt.result(3 + SOON) is Outcome.UNKNOWN
        assert "(541, 'INTERNAL_ERROR" in receipt.reply_text
        waits = [float(line.rpartition("next attempt in ")[2].removesuffix(" s")) for line in said_541(caplog)]
        assert len(waits) >= 3
        assert waits[:3] == sorted(waits[:3])  # 0.1, 0.2 and 0.4 s, each a fifth more or less
        assert proxy.accepted <= 10
        assert not publisher.connected
        later = publisher.publish(b"x", routing_key=queue, deadline=60)
        monkeypatch.setattr(Sender, "_on_open", opens)
        assert later.result(60) is Outcome.CONFIRMED
    assert held(room, 1) == [later.message_id]


@pytest.mark.cluster
def test_a_message_that_closes_the_connection_is_found_and_the_others_are_confirmed(room, queue):
    """RabbitMQ 4.3 has a header that a stream's node cannot read, and takes the connection with it, each time the message is sent."""
    room.channel().queue_declare(queue="events", durable=True, arguments={"x-queue-type": "stream"})
    unreadable = pika.BasicProperties(headers={"x-stream-filter-value": [1]})
    with pytest.raises(pika.exceptions.ConnectionClosedByBroker, match="541"):
        room.channel().basic_publish("", "events", b"x", unreadable)
    with ReliablePublisher(nodes_of(room), deadline=60) as publisher:
        good = [publisher.publish(b"x", routing_key=queue) for _ in range(50)]
        bad = publisher.publish(b"x", routing_key="events", properties=unreadable)
        good += [publisher.publish(b"x", routing_key=queue) for _ in range(50)]
        assert (bad.result(60), bad.reply_code, bad.reply_text) == (Outcome.REFUSED, 541, "INTERNAL_ERROR")
        assert {receipt.result(SOON) for receipt in good} == {Outcome.CONFIRMED}
    assert set(held(room, 100)) == {receipt.message_id for receipt in good}


@pytest.mark.cluster
def test_a_silent_connection_is_left_long_before_its_heartbeat(room, queue):
    with Proxy(NODES[0].amqp) as proxy, ReliablePublisher(room.parameters(through(proxy)), patience=0.5, timeout=1) as publisher:
        publisher.send(b"first", routing_key=queue)
        proxy.black_hole()
        receipt = publisher.publish(b"second", routing_key=queue)
        broker.wait_until(lambda: proxy.accepted > 1, SOON, "another connection")
        proxy.heal()
        assert receipt.result(SOON) is Outcome.CONFIRMED
        assert receipt.attempts > 1


@pytest.mark.cluster
def test_a_slow_and_narrow_link_fills_the_window_and_makes_no_new_connections(room, queue):
    with Proxy(NODES[0].amqp) as proxy, ReliablePublisher(room.parameters(through(proxy)), window=40) as publisher:
        publisher.send(b"x", routing_key=queue)
        proxy.delay(0.3)
        proxy.throttle(8000)
        receipts = []
        most = 0
        for _ in range(100):
            receipts.append(publisher.publish(bytes(256), routing_key=queue))
            most = max(most, len(publisher.flush(0)))
        assert most == 40
        assert {receipt.result(60) for receipt in receipts} == {Outcome.CONFIRMED}
        assert {receipt.attempts for receipt in receipts} == {1}
        assert proxy.accepted == 1


@pytest.mark.cluster
def test_fifty_threads_share_one_and_leave_no_thread_and_no_socket(room):
    """Through a quorum queue, from which every id is taken again: exactly those that were confirmed."""
    declare(room)
    process = psutil.Process()
    before = process.num_fds()
    receipts: list[list] = [[] for _ in range(50)]
    with ReliablePublisher(nodes_of(room), window=2000, deadline=120) as publisher:

        def publish(mine):
            for _ in range(1000):
                mine.append(publisher.publish(b"x" * 256, routing_key=QUEUE))

        threads = [threading.Thread(target=publish, args=[mine]) for mine in receipts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not publisher.flush(120)
    everything = [receipt for mine in receipts for receipt in mine]
    assert Counter(receipt.outcome for receipt in everything) == {Outcome.CONFIRMED: 50_000}
    assert not publishers_threads()
    broker.wait_until(lambda: process.num_fds() <= before, SOON, "every socket to be closed", seen=process.num_fds)
    broker.wait_until(lambda: not broker.connections(vhost=room.vhost), SOON, "the broker to see none of its connections")
    ids, sent = held(room, 50_000), {receipt.message_id for receipt in everything}
    assert len(ids) == len(sent) == 50_000
    assert len(sent - set(ids)) == 0


@pytest.mark.cluster
def test_closing_gives_back_what_is_open(room, queue):
    with Proxy(NODES[0].amqp) as proxy, ReliablePublisher(room.parameters(through(proxy))) as publisher:
        publisher.send(b"first", routing_key=queue)
        proxy.black_hole()
        receipts = [publisher.publish(b"x", routing_key=queue) for _ in range(3)]
        began = time.monotonic()
        assert publisher.close(timeout=0.5) == receipts
        assert 0.5 <= time.monotonic() - began < 6
        assert {receipt.outcome for receipt in receipts} == {Outcome.UNKNOWN}
        assert not publishers_threads()
        with pytest.raises(PublisherClosed):
            publisher.publish(b"x", routing_key=queue)
        assert publisher.close() == []
        proxy.heal()  # and it passes on that the socket was closed
        broker.wait_until(lambda: proxy.connections == 0, SOON, "the socket to be closed")


@pytest.mark.cluster
def test_works_over_tls(room, queue):
    authority = trustme.CA()
    here = authority.issue_cert("localhost")
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    here.configure_cert(server)
    authority.configure_trust(client)
    with in_front_of(NODES[0].amqp, server) as port:
        options = pika.SSLOptions(client, "localhost")
        with ReliablePublisher(room.parameters(replace(NODES[0], amqp=port), ssl_options=options)) as publisher:
            receipts = [publisher.publish(os.urandom(size), routing_key=queue) for size in (0, 256, 5000, 300_000) * 20]
            assert {receipt.result(SOON) for receipt in receipts} == {Outcome.CONFIRMED}
    assert held(room, 80) == [receipt.message_id for receipt in receipts]


@contextlib.contextmanager
def in_front_of(port, context):
    """A TLS server that passes everything on to *port*, for one connection; gives its own port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def copy(source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def serve():
        with contextlib.suppress(OSError):
            plain, _ = listener.accept()
            with context.wrap_socket(plain, server_side=True) as near, socket.create_connection(("127.0.0.1", port)) as far:
                back = threading.Thread(target=copy, args=[far, near], daemon=True)
                back.start()
                copy(near, far)
                back.join()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(SOON)


# What nodes do.


@contextlib.contextmanager
def at_the_leader(room, **more):
    """A publisher that is connected to the node with the queue's leader; gives both."""
    with ReliablePublisher(nodes_of(room), name=f"till-{secrets.token_hex(2)}", **more) as publisher:
        broker.wait_until(lambda: publisher.connected, SOON, "a connection")
        node = next(node for node in NODES if publisher.node.endswith(f":{node.amqp}"))
        declare(room, node)
        assert broker.leader(QUEUE, vhost=room.vhost) == node.name
        yield publisher, node.name


@pytest.mark.cluster
@pytest.mark.faults
def test_a_leader_killed_under_load_loses_nothing(room):
    with at_the_leader(room) as (publisher, node), Load(publisher, deadline=30) as load:
        load.goes_on(SOON)
        with faults.killed(node) as fault:
            load.goes_on(SOON, since=fault.began + 0.1)
    verdict = load.judged(room)
    assert verdict.valid, verdict
    assert verdict.counts["unknown"] == verdict.counts["refused"] == 0
    assert load.gap() < 10
    assert load.late < GRACE


@pytest.mark.cluster
@pytest.mark.faults
def test_a_paused_node_costs_no_more_than_the_deadline(room):
    with at_the_leader(room, patience=3) as (publisher, node), Load(publisher, deadline=2) as load:
        load.goes_on(SOON)
        with faults.paused(node) as fault:
            load.goes_on(SOON, since=fault.began + 3)
            assert not publisher.node.endswith(f":{BY_NAME[node].amqp}")
        load.goes_on(SOON)
    verdict = load.judged(room)
    assert verdict.valid, verdict
    assert verdict.counts["unknown"] > 0
    assert load.gap() < 15
    assert load.late < GRACE


@pytest.mark.cluster
@pytest.mark.faults
def test_a_memory_alarm_costs_no_more_than_the_deadline_and_no_memory(room, queue):
    with ReliablePublisher(nodes_of(room), window=200) as publisher:
        with Load(publisher, deadline=2, body=bytes(10_000)) as load:
            load.goes_on(SOON)
            with faults.memory_alarm():
                broker.wait_until(lambda: publisher.blocked, SOON, "the publisher to be blocked")
                memory, connected_to = psutil.Process().memory_info().rss, publisher.node
                given_up = len([receipt for receipt in load.receipts if receipt.outcome is Outcome.UNKNOWN])
                broker.wait_until(
                    lambda: len([receipt for receipt in load.receipts if receipt.outcome is Outcome.UNKNOWN]) > given_up + 400,
                    SOON,
                    "two windows of messages to reach their deadline",
                )
                assert psutil.Process().memory_info().rss - memory < 30_000_000
            load.goes_on(SOON)
        assert publisher.node == connected_to
        verdict = load.judged(room)
    assert verdict.valid, verdict
    assert load.late < GRACE
    reasons = {receipt.reply_text for receipt in load.receipts if receipt.outcome is Outcome.UNKNOWN}
    assert any("memory or disk" in reason for reason in reasons), reasons
