"""Quiz 3 tells the truth: every answer is played on the cluster."""

import contextlib

import pika
import pytest

from rabbitlab import broker
from tests.quiz_shop import Shop, drained, parameters, shop  # noqa: F401 - fixtures

CLASSIC, QUORUM = ({"x-queue-type": kind} for kind in ("classic", "quorum"))
REPLY_TO = "amq.rabbitmq.reply-to"
errors = pika.exceptions


class Consumer:
    """A consumer on a connection of its own, which acknowledges nothing unless told to.

    Attributes:
        got: Its deliveries, as pika hands them over: (channel, method, properties, body).
    """

    def __init__(self, shop: Shop, queue: str, prefetch: int = 0):
        self.got = []
        self.connection = shop.connect()
        self.channel = self.connection.channel()
        if prefetch:
            self.channel.basic_qos(prefetch_count=prefetch)
        self.channel.basic_consume(queue=queue, on_message_callback=lambda *delivery: self.got.append(delivery))

    def wait_for(self, number: int) -> None:
        broker.wait_until(lambda: self.look() >= number, within=60, what=f"{number} deliveries", seen=lambda: len(self.got))

    def look(self) -> int:
        self.connection.process_data_events(time_limit=0.1)
        return len(self.got)


def put(channel, queue: str, number: int) -> None:
    for n in range(number):
        channel.basic_publish(exchange="", routing_key=queue, body=str(n))


def sell(channel, exchange: str, *keys: str) -> None:
    for key in keys:
        channel.basic_publish(exchange=exchange, routing_key=key, body=key)


@pytest.mark.cluster
class TestAnswers:
    @pytest.mark.parametrize(("prefetch", "first", "second", "ready"), [(0, 10, 0, 0), (1, 1, 1, 8)])
    def test_1_what_a_packer_holds_nobody_else_gets(self, shop, prefetch, first, second, ready):
        channel = shop.declare("orders")
        put(channel, "orders", 10)
        a = Consumer(shop, "orders", prefetch)
        a.wait_for(first)
        b = Consumer(shop, "orders", prefetch)
        b.wait_for(second)
        broker.wait_until(lambda: shop.depth("orders") == ready, within=60, what="the rest is ready")
        assert (a.look(), b.look()) == (first, second)

    def test_2_what_a_dead_packer_held_is_ready_again(self, shop):
        channel = shop.declare("orders")
        put(channel, "orders", 10)
        packer = Consumer(shop, "orders", prefetch=5)
        packer.wait_for(5)
        for _, method, _, _ in packer.got[:2]:
            packer.channel.basic_ack(delivery_tag=method.delivery_tag)
        packer.wait_for(7)  # two more are sent for the two that are done
        packer.connection.close()
        broker.wait_until(lambda: shop.depth("orders") == 8, within=60, what="they are ready again")
        redelivered = 0
        while (got := channel.basic_get(queue="orders", auto_ack=True))[0]:
            redelivered += got[0].redelivered
        assert redelivered == 5

    def test_3_a_callback_that_works_too_long_for_its_heartbeat(self, shop):
        channel = shop.declare("orders")
        put(channel, "orders", 1)
        said = []
        parameters = pika.ConnectionParameters(
            "localhost",
            shop.parameters.port,
            shop.vhost,
            shop.parameters.credentials,
            heartbeat=1,
            client_properties={"connection_name": "slow packer"},
        )
        others = set(broker.connections(vhost=shop.vhost))
        packer = pika.BlockingConnection(parameters)
        broker.wait_until(
            lambda: packer.process_data_events(0) or set(broker.connections(vhost=shop.vhost)) - others, what="the packer's connection"
        )

        def pack(channel, method, properties, body):
            broker.wait_until(lambda: not set(broker.connections(vhost=shop.vhost)) - others, within=60, what="RabbitMQ gives it up")
            try:
                channel.basic_ack(delivery_tag=method.delivery_tag)
                said.append("acknowledged")
            except errors.AMQPConnectionError:
                said.append("lost")
                raise

        slow = packer.channel()
        slow.basic_consume(queue="orders", on_message_callback=pack)
        with pytest.raises(errors.AMQPConnectionError):
            slow.start_consuming()
        assert said == ["lost"]
        broker.wait_until(lambda: shop.depth("orders") == 1, within=60, what="the order is ready again")

    def test_4_one_queue_is_one_subscriber(self, shop):
        shop.exchange("news", "fanout")
        shop.declare("screens", exchange="news", keys=("",))
        channel = shop.declare("archive", exchange="news", keys=("",))
        screens = [Consumer(shop, "screens") for _ in range(2)]
        for line in range(6):
            channel.basic_publish(exchange="news", routing_key="", body=str(line))
        broker.wait_until(lambda: sum(screen.look() for screen in screens) >= 6, within=60, what="six lines are shown")
        assert sum(screen.look() for screen in screens) == 6
        assert shop.depth("archive") == 6

    def test_5_an_exclusive_queue_hears_nothing_while_its_connection_is_away(self, shop):
        shop.exchange("news", "fanout")
        channel = shop.declare("ada", exchange="news", keys=("",))

        def switch_on():
            connection = shop.connect()
            screen = connection.channel()
            queue = screen.queue_declare(queue="", exclusive=True).method.queue
            screen.queue_bind(queue=queue, exchange="news", routing_key="")
            return screen, queue

        screen, old = switch_on()
        screen.connection.close()
        # Until it is gone, a message may still be routed to it, and be refused.
        broker.wait_until(lambda: not broker.exists(old, vhost=shop.vhost), what="the old queue is gone")
        channel.basic_publish(exchange="news", routing_key="", body="the van has left", mandatory=True)
        screen, new = switch_on()
        assert (drained(screen, new), drained(channel, "ada")) == ([], ["the van has left"])
        assert new != old

    def test_6_to_be_published_to_is_no_use(self, shop):
        shop.exchange("news", "fanout")
        channel = shop.declare("eva", {**QUORUM, "x-expires": 1500}, exchange="news", keys=("",))

        def one_more():
            channel.basic_publish(exchange="news", routing_key="", body="hello")
            return not broker.exists("eva", vhost=shop.vhost)

        broker.wait_until(one_more, within=60, what="the queue goes")
        channel.basic_publish(exchange="news", routing_key="", body="hello")  # confirmed, as before
        with pytest.raises(errors.ChannelClosedByBroker, match="404"):
            channel.basic_get(queue="eva")

    def test_7_a_binding_outlives_the_program_that_made_it(self, shop):
        shop.exchange("counter", "direct")
        channel = shop.declare("packing", exchange="counter", keys=("placed", "paid"))
        again = shop.channel()
        again.queue_declare(queue="packing", durable=True, arguments=QUORUM)
        again.queue_bind(queue="packing", exchange="counter", routing_key="paid")
        sell(channel, "counter", "placed", "paid", "cancelled")
        assert drained(channel, "packing") == ["placed", "paid"]

    def test_8_a_delivery_does_not_say_which_binding_brought_it(self, shop):
        shop.exchange("counter", "topic")
        channel = shop.declare("dora", exchange="counter", keys=("order.paid.#", "#.gift"))
        sell(channel, "counter", "order.paid.gift")
        method, properties, _ = channel.basic_get(queue="dora", auto_ack=True)
        assert (method.exchange, method.routing_key, method.message_count) == ("counter", "order.paid.gift", 0)
        assert not properties.headers

    @pytest.mark.parametrize(
        ("steps", "copies"),
        [
            (("bind new door", "unbind old door"), [1, 2, 1]),
            (("unbind old door", "bind new door"), [1, 0, 1]),
            (("bind new next", "unbind old door", "bind new door", "unbind new next"), [1, 1, 1, 1, 1]),
            (("bind new next", "bind new door", "unbind old door", "unbind new next"), [1, 1, 2, 1, 1]),
        ],
    )
    def test_9_the_order_of_steps_in_a_move(self, shop, steps, copies):
        shop.exchange("next", "fanout")
        shop.exchange("door", "fanout", alternate_exchange="next")
        shop.declare("old", exchange="door", keys=("",))
        channel = shop.declare("new")
        found = []
        for step in (None, *steps):
            if step:
                verb, queue, exchange = step.split()
                getattr(channel, f"queue_{verb}")(queue=queue, exchange=exchange, routing_key="")
            channel.basic_publish(exchange="door", routing_key="order.paid", body="")
            found.append(len(drained(channel, "old")) + len(drained(channel, "new")))
        assert found == copies

    def test_10_a_word_at_the_end(self, shop):
        shop.exchange("happened", "topic")
        patterns = ("order.*.paid", "order.*.paid.#", "order.de.*", "order.#.app", "#.paid")
        channels = {pattern: shop.declare(f"q{n}", exchange="happened", keys=(pattern,)) for n, pattern in enumerate(patterns)}
        sell(channels["#.paid"], "happened", "order.de.paid.app")
        taken = [pattern for n, pattern in enumerate(patterns) if drained(channels[pattern], f"q{n}")]
        assert taken == ["order.*.paid.#", "order.#.app"]

    @pytest.mark.parametrize(
        ("deed", "refused"),
        [
            (lambda c, key: c.queue_bind(queue="desk", exchange="happened", routing_key=key), True),
            (lambda c, key: c.exchange_bind(destination="amq.fanout", source="happened", routing_key=key), True),
            (lambda c, key: c.basic_publish(exchange="happened", routing_key=key, body=""), False),
            (lambda c, key: c.queue_bind(queue="desk", exchange="amq.direct", routing_key=key), False),
        ],
    )
    def test_11_three_wildcards(self, shop, deed, refused):
        shop.exchange("happened", "topic")
        channel = shop.declare("desk")
        outcome = pytest.raises(errors.ChannelClosedByBroker, match="406") if refused else contextlib.nullcontext()
        with outcome:
            deed(channel, "#.de.#.back.#")
        assert channel.is_open != refused
        assert channel.connection.is_open

    def test_12_words_from_outside(self, shop):
        shop.exchange("happened", "topic")
        channel = shop.declare("placed", exchange="happened", keys=("order.*.placed",))
        shop.declare("germany", exchange="happened", keys=("order.de.#",))
        sell(channel, "happened", *(f"order.{country}.placed" for country in ("de", "DE", "", "u.k.")))
        assert (shop.depth("placed"), shop.depth("germany")) == (3, 1)

    def test_13_the_first_reply_is_not_yours(self, shop):
        server = shop.declare("stock")
        client = Client(shop)
        client.ask("1")
        method, late, _ = server.basic_get(queue="stock", auto_ack=True)
        client.ask("2")
        answer(server, late)
        method, properties, _ = server.basic_get(queue="stock", auto_ack=True)
        assert method
        answer(server, properties)
        client.wait_for(2)
        assert [properties.correlation_id for properties in client.replies] == ["1", "2"]

    @pytest.mark.parametrize(
        ("auto_ack", "consumed_first", "same_channel", "works"),
        [(True, True, True, True), (False, True, True, False), (True, False, True, False), (True, True, False, False)],
    )
    def test_14_what_direct_reply_to_asks_for(self, shop, auto_ack, consumed_first, same_channel, works):
        shop.declare("stock")
        channel = shop.channel()
        outcome = contextlib.nullcontext() if works else pytest.raises(errors.ChannelClosedByBroker, match="406")
        with outcome:
            if consumed_first:
                channel.basic_consume(queue=REPLY_TO, on_message_callback=lambda *reply: None, auto_ack=auto_ack)
            asking = channel if same_channel else channel.connection.channel()
            asking.confirm_delivery()
            asking.basic_publish(exchange="", routing_key="stock", body="", properties=pika.BasicProperties(reply_to=REPLY_TO))

    def test_15_a_server_that_dies_after_its_reply(self, shop):
        first, second = shop.declare("stock"), shop.channel()
        client = Client(shop)
        client.ask("1")
        _, properties, _ = first.basic_get(queue="stock")
        answer(first, properties)
        first.connection.close()  # and no basic_ack
        broker.wait_until(lambda: shop.depth("stock") == 1, within=60, what="the question is ready again")
        method, properties, _ = second.basic_get(queue="stock")
        assert method.redelivered
        answer(second, properties)
        second.basic_ack(delivery_tag=method.delivery_tag)
        client.wait_for(2)
        assert [properties.correlation_id for properties in client.replies] == ["1", "1"]


class Client:
    """Asks the stock by direct reply-to.

    Attributes:
        replies: The properties of each reply.
    """

    def __init__(self, shop: Shop):
        self.replies = []
        self.channel = shop.channel()
        self.channel.basic_consume(
            queue=REPLY_TO, on_message_callback=lambda channel, method, properties, body: self.replies.append(properties), auto_ack=True
        )

    def ask(self, number: str) -> None:
        properties = pika.BasicProperties(reply_to=REPLY_TO, correlation_id=number)
        self.channel.basic_publish(exchange="", routing_key="stock", body="lamp", properties=properties, mandatory=True)

    def wait_for(self, number: int) -> None:
        def enough():
            self.channel.connection.process_data_events(time_limit=0.1)
            return len(self.replies) >= number

        broker.wait_until(enough, within=60, what=f"{number} replies", seen=lambda: len(self.replies))


def answer(server, properties) -> None:
    given = pika.BasicProperties(correlation_id=properties.correlation_id)
    server.basic_publish(exchange="", routing_key=properties.reply_to, body="7", properties=given)
