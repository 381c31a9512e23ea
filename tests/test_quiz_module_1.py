"""Quiz 1 tells the truth: every answer is played on the cluster."""

import contextlib
import multiprocessing
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pika
import pytest

from rabbitlab import broker
from tests import quiz_shop
from tests.quiz_shop import parameters, shop  # noqa: F401 - fixtures

errors = pika.exceptions


class Shop(quiz_shop.Shop):
    def channel(self, confirms: bool = False, **options):
        return super().channel(confirms, **options)

    def holds(self, orders: int) -> None:
        channel = self.channel(confirms=True)
        broker.forget("orders", vhost=self.vhost)
        channel.queue_declare(queue="orders", durable=True)
        for n in range(orders):
            channel.basic_publish(exchange="", routing_key="orders", body=f"order {n}")

    def counts(self, ready: int, unacked: int) -> bool:
        return self.becomes("orders", ready, unacked)


@pytest.mark.cluster
class TestAnswers:
    def test_1_two_runs_of_the_till_are_six_orders(self, shop):
        def till():
            with shop.connect() as connection:
                channel = connection.channel()
                channel.queue_declare(queue="orders", durable=True)
                channel.confirm_delivery()
                for n in range(3):
                    channel.basic_publish(exchange="", routing_key="orders", body=f"order {n}")

        broker.forget("orders", vhost=shop.vhost)
        till()
        till()
        assert shop.counts(6, 0)

    def test_2_a_delivered_order_is_unacknowledged_until_the_connection_goes(self, shop):
        shop.holds(3)
        packer = shop.channel()
        packer.basic_get(queue="orders")
        assert shop.counts(2, 1)
        packer.connection.close()
        assert shop.counts(3, 0)

    def test_3_acknowledged_before_it_was_packed_is_lost(self, shop):
        def packer():
            with shop.connect() as connection:
                channel = connection.channel()
                method, _, _ = channel.basic_get(queue="orders")
                channel.basic_ack(delivery_tag=method.delivery_tag)
                raise RuntimeError("out of boxes")

        shop.holds(3)
        with pytest.raises(RuntimeError):
            packer()
        assert shop.counts(2, 0)

    def test_4_the_next_packer_gets_the_same_order(self, shop):
        shop.holds(3)
        a = shop.channel()
        assert a.basic_get(queue="orders")[2] == b"order 0"
        a.connection.close()
        assert shop.counts(3, 0)
        method, _, body = shop.channel().basic_get(queue="orders")
        assert (body, method.redelivered) == (b"order 0", True)

    def test_5_a_misspelt_key_is_confirmed_and_lost(self, shop):
        shop.holds(0)
        channel = shop.channel(confirms=True)
        assert channel.basic_publish(exchange="", routing_key="oders", body="2 mugs") is None
        assert not broker.exists("oders", vhost=shop.parameters.virtual_host)
        assert channel.queue_declare(queue="oders", durable=True).method.message_count == 0
        channel.queue_delete(queue="oders")
        with pytest.raises(errors.UnroutableError):
            channel.basic_publish(exchange="", routing_key="oders", body="2 mugs", mandatory=True)

    def test_6_the_page_is_late_and_the_queue_is_not(self, shop):
        def is_late():
            shop.holds(0)
            channel = shop.channel(confirms=True)
            broker.wait_until(lambda: page_says(shop) == 0, within=15, what="the page shows the new queue")
            for _ in range(20):
                channel.basic_publish(exchange="", routing_key="orders", body="")
            at_once = page_says(shop)
            assert channel.queue_declare(queue="orders", durable=True, passive=True).method.message_count == 20
            return at_once < 20

        # The statistics may be collected in the very moment between the last publish and the look; not three times in a row.
        assert is_late() or is_late() or is_late()
        broker.wait_until(lambda: page_says(shop) == 20, within=15, what="the page catches up")

    def test_8_what_raises_by_itself(self, shop):
        shop.holds(0)
        lamp = {"routing_key": "orders", "body": "1 lamp"}
        shop.channel().queue_declare(queue="orders", durable=True)
        assert shop.channel().basic_get(queue="orders") == (None, None, None)
        shop.channel().basic_publish(exchange="oders", **lamp)
        with pytest.raises(errors.ConnectionClosedByBroker):
            shop.channel().queue_declare(queue="hello")
        with pytest.raises(errors.ChannelClosedByBroker):
            shop.channel(confirms=True).basic_publish(exchange="oders", **lamp)
        with pytest.raises(AttributeError):
            shop.channel().basic_publish(exchange="", routing_key="orders", body={"item": "lamp"})

    def test_9_an_innocent_declaration_gets_the_404(self, shop):
        shop.holds(0)
        channel = shop.channel()
        channel.basic_publish(exchange="oders", routing_key="orders", body="1 lamp")
        assert channel.is_open
        with pytest.raises(errors.ChannelClosedByBroker, match="no exchange 'oders'"):
            channel.queue_declare(queue="orders", durable=True)

    @pytest.mark.parametrize(
        ("deed", "usable"),
        [
            (lambda till: till.close(), True),
            (lambda till: till.connection.close(), False),
            (lambda till: till.queue_declare(queue="missing", durable=True, passive=True), True),
            (lambda till: till.queue_declare(queue="hello"), False),
            (lambda till: (till.confirm_delivery(), till.basic_publish(exchange="oders", routing_key="orders", body="")), True),
        ],
    )
    def test_10_what_takes_the_neighbour_along(self, shop, deed, usable):
        shop.holds(0)
        connection = shop.connect()
        till, packer = connection.channel(), connection.channel()
        with contextlib.suppress(errors.AMQPError):
            deed(till)
        try:
            packer.basic_get(queue="orders")
            assert usable
        except errors.AMQPError:
            assert not usable

    def test_11_nobody_packs_while_the_program_sleeps(self, shop):
        shop.holds(3)
        packed = []
        channel = shop.channel()
        channel.basic_consume(queue="orders", on_message_callback=lambda *delivery: packed.append(delivery))
        assert shop.counts(0, 3)
        assert packed == []
        channel.connection.sleep(0.2)
        assert len(packed) == 3

    @pytest.mark.parametrize(("prefetch", "ready", "unacked"), [(0, 0, 3), (1, 2, 1)])
    def test_12_consume_is_sent_ahead(self, shop, prefetch, ready, unacked):
        shop.holds(5)
        channel = shop.channel()
        channel.basic_qos(prefetch_count=prefetch)
        for packed, (method, _, _) in enumerate(channel.consume(queue="orders"), start=1):
            channel.basic_ack(delivery_tag=method.delivery_tag)
            if packed == 2:
                break
        assert shop.counts(ready, unacked)
        channel.cancel()
        assert shop.counts(3, 0)

    def test_13_what_helps_a_till_with_a_quiet_morning(self, shop):
        raised = {
            "nothing changed": errors.StreamLostError,
            "asks is_open": errors.StreamLostError,
            "connection.sleep": None,
            "again": errors.ChannelWrongStateError,
            "opened late": None,
            "longer heartbeat": None,
        }
        with ThreadPoolExecutor(len(raised)) as pool:  # they mostly wait
            seen = dict(zip(raised, pool.map(lambda change: quiet_morning(shop, change), raised), strict=True))
        assert {change: kind for change, (kind, _) in seen.items()} == raised
        assert {change: arrived for change, (_, arrived) in seen.items()} == {change: int(not kind) for change, kind in raised.items()}

    @pytest.mark.parametrize("design", ["one channel", "a channel each", "a connection each"])
    def test_14_threads(self, shop, design):
        """In a process of its own: a connection that two threads have broken may hang for ever, also while it is closed."""
        shop.holds(0)
        program = multiprocessing.get_context("fork").Process(target=four_tills, args=(shop.parameters, design), daemon=True)
        program.start()
        program.join(60)
        program.kill()
        program.join()
        arrived = broker.depth("orders", vhost=shop.parameters.virtual_host)
        assert (arrived == 200) == (design == "a connection each"), f"{design}: {arrived} of 200"

    def test_15_a_wrong_password_is_tried_again(self, shop):
        wrong = pika.ConnectionParameters("localhost", port=shop.parameters.port, credentials=pika.PlainCredentials("guest", "quest"))
        for _ in range(4):
            with pytest.raises(errors.AMQPConnectionError) as refused:
                pika.BlockingConnection(wrong)
            assert type(refused.value) is errors.ProbableAuthenticationError


def page_says(shop: Shop) -> int | None:
    """The count that the management page shows: a statistic, not the queue's own word."""
    vhost = shop.parameters.virtual_host
    return broker.api(f"queues/{vhost}/orders").get("messages_ready")


def quiet_morning(shop: Shop, change: str) -> tuple[type | None, int]:
    """The till of question 13 with one change and a queue of its own: what it raised, and how many orders arrived."""
    setup = shop.channel()
    setup.queue_declare(queue=change, durable=True)
    setup.connection.close()
    try:
        sell_late(shop, change)
        raised = None
    except errors.AMQPError as error:
        raised = type(error)
    return raised, broker.depth(change, vhost=shop.parameters.virtual_host)


def sell_late(shop: Shop, change: str) -> None:
    wait = time.sleep  # the point of the question: nobody calls pika meanwhile
    if change == "opened late":
        wait(14)
    channel = shop.channel(confirms=True, heartbeat=60 if change == "longer heartbeat" else 2)
    if change == "connection.sleep":
        wait = channel.connection.sleep
    if change != "opened late":
        wait(14)  # RabbitMQ gives up after 4 to 6 s; later, where the machine stands still meanwhile

    def publish():
        channel.basic_publish(exchange="", routing_key=change, body="1 lamp")

    if change == "again":
        with contextlib.suppress(errors.StreamLostError):
            publish()
    if change != "asks is_open" or channel.connection.is_open:
        publish()


def four_tills(parameters: pika.ConnectionParameters, design: str) -> None:
    """The program of question 14."""
    shop = Shop(parameters)
    shared = shop.connect(heartbeat=600)
    one = shared.channel()
    one.confirm_delivery()
    channels = {
        "one channel": lambda: [one] * 4,
        "a channel each": lambda: [shared.channel() for _ in range(4)],
        "a connection each": lambda: [shop.channel() for _ in range(4)],
    }[design]()
    tills = [threading.Thread(target=sell_fifty, args=(channel, channel is not one), daemon=True) for channel in channels]
    for till in tills:
        till.start()
    for till in tills:
        till.join(60 if design == "a connection each" else 5)  # the others may hang


def sell_fifty(channel, ask_for_confirms: bool) -> None:
    """A till of question 14; what it raises is its own affair."""
    try:
        if ask_for_confirms:
            channel.confirm_delivery()
        for _ in range(50):
            channel.basic_publish(exchange="", routing_key="orders", body="1 lamp")
    except Exception:
        return
