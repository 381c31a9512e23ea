"""Quiz 2 tells the truth: every answer is played on the cluster."""

import contextlib
import time

import pika
import pytest

from rabbitlab import broker, management
from rabbitlab.grading import fresh_vhost
from tests.clients import until_silence
from tests.quiz_shop import Shop, drained, parameters, shop  # noqa: F401 - fixtures, and the class that they make

CLASSIC, QUORUM, STREAM = ({"x-queue-type": kind} for kind in ("classic", "quorum", "stream"))
errors = pika.exceptions


def acknowledge_twice(channel, queue: str) -> None:
    method, _, _ = channel.basic_get(queue=queue)
    for _ in range(2):
        channel.basic_ack(delivery_tag=method.delivery_tag)


@pytest.mark.cluster
class TestAnswers:
    def test_1_a_declaration_changes_nothing_and_costs_its_channel(self, shop):
        second = shop.declare("orders")
        for _ in range(3):
            second.basic_publish(exchange="", routing_key="orders", body="1 lamp")
        first = second.connection.channel()
        with pytest.raises(errors.ChannelClosedByBroker) as refused:
            first.queue_declare(queue="orders", durable=True, arguments={**QUORUM, "x-max-length": 10})
        assert refused.value.reply_code == 406
        assert not first.is_open
        assert second.queue_declare(queue="orders", durable=True, arguments=QUORUM).method.message_count == 3
        assert "x-max-length" not in broker.queue("orders", vhost=shop.vhost)["arguments"]

    @pytest.mark.parametrize(
        ("deed", "alive"),
        [
            (lambda c: acknowledge_twice(c, "orders"), True),
            (lambda c: c.queue_declare(queue="notes"), False),
            (lambda c: c.basic_get(queue="log"), False),
            (lambda c: c.basic_publish(exchange="shop", routing_key="orders", body="1 lamp"), True),
            (lambda c: c.queue_declare(queue="orders", durable=True, arguments=CLASSIC), True),
        ],
    )
    def test_2_which_refusals_cost_the_connection(self, shop, deed, alive):
        shop.declare("log", STREAM)
        shop.declare("orders").basic_publish(exchange="", routing_key="orders", body="1 lamp")
        connection = shop.connect()
        first, second = connection.channel(), connection.channel()
        first.confirm_delivery()
        with contextlib.suppress(errors.AMQPError):
            deed(first)
        with contextlib.suppress(errors.AMQPError):
            first.queue_declare(queue="orders", passive=True)  # pika reads what it was answered
        assert not first.is_open
        assert second.is_open == alive
        if alive:
            second.queue_declare(queue="orders", passive=True)

    def test_3_a_virtual_host_knows_nothing_of_its_neighbour(self, shop):
        shop.declare("orders")
        with fresh_vhost("quiz_2_practice") as practice, pika.BlockingConnection(practice) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            with pytest.raises(errors.UnroutableError):
                channel.basic_publish(exchange="", routing_key="orders", body="1 lamp", mandatory=True)
            assert not broker.exists("orders", vhost=practice.virtual_host)
        assert shop.depth("orders") == 0

    def test_4_a_fanout_does_not_look_at_the_key(self, shop):
        shop.exchange("news", "fanout")
        shop.declare("desk_de", exchange="news", keys=("de",))
        channel = shop.declare("desk_fr", exchange="news", keys=("fr",))
        for key in ("fr", "it"):
            channel.basic_publish(exchange="news", routing_key=key, body="")
        assert (shop.depth("desk_de"), shop.depth("desk_fr")) == (2, 2)

    def test_5_a_direct_exchange_knows_no_wildcards(self, shop):
        shop.exchange("offices", "direct")
        channel = shop.declare("desk", exchange="offices", keys=("de.*",))
        for key in ("de.parcel", "de", "de.*"):
            channel.basic_publish(exchange="offices", routing_key=key, body=key)
        assert drained(channel, "desk") == ["de.*"]

    @pytest.mark.parametrize(
        ("queue", "overflow", "first", "refused"),
        [("recent", {}, "3", 0), ("first_come", {"x-overflow": "reject-publish"}, "1", 2)],
    )
    def test_6_a_full_queue_drops_or_refuses(self, shop, queue, overflow, first, refused):
        channel = shop.declare(queue, {**CLASSIC, "x-max-length": 3, **overflow})
        nacks = 0
        for order in "12345":
            try:
                channel.basic_publish(exchange="", routing_key=queue, body=order)
            except errors.NackError:
                nacks += 1
        assert (drained(channel, queue)[0], nacks) == (first, refused)

    @pytest.mark.parametrize(
        ("flags", "arguments", "refused"),
        [
            ({"durable": True}, {"x-max-length": 100}, False),
            ({"durable": True, "auto_delete": True}, {}, True),
            ({"exclusive": True}, {}, True),
            ({"durable": True}, {"x-message-ttl": 60000}, False),
            ({"durable": True}, {"x-max-priority": 10}, True),
        ],
    )
    def test_7_what_a_quorum_queue_refuses(self, shop, flags, arguments, refused):
        broker.forget("stock", vhost=shop.vhost)
        outcome = pytest.raises(errors.ChannelClosedByBroker, match="406") if refused else contextlib.nullcontext()
        with outcome:
            shop.channel().queue_declare(queue="stock", arguments={**QUORUM, **arguments}, **flags)

    @pytest.mark.parametrize(("arguments", "read"), [({"x-stream-offset": "first"}, 10), ({}, 0)])
    def test_8_a_stream_is_read_again_from_an_offset(self, shop, arguments, read):
        channel = shop.declare("log", STREAM)
        for n in range(10):
            channel.basic_publish(exchange="", routing_key="log", body=str(n))
        assert self.read(shop, {"x-stream-offset": "first"}) == 10
        assert self.read(shop, arguments) == read

    @staticmethod
    def read(shop, arguments: dict) -> int:
        """How many messages a new reader gets until nothing comes any more."""
        channel, count = shop.channel(), 0
        channel.basic_qos(prefetch_count=100)
        for method, _, _ in until_silence(channel, "log", 3, arguments=arguments):  # a stream's first messages may take a second
            channel.basic_ack(delivery_tag=method.delivery_tag)
            count += 1
        channel.connection.close()
        return count

    def test_9_a_limit_for_a_queue_that_works(self, shop):
        channel = shop.declare("orders")
        for _ in range(5):
            channel.basic_publish(exchange="", routing_key="orders", body="1 lamp")
        limited = {**QUORUM, "x-max-length": 1000}
        with pytest.raises(errors.ChannelClosedByBroker, match="406"):
            shop.channel().queue_declare(queue="orders", durable=True, arguments=limited)
        shop.channel().queue_declare(queue="orders", durable=True, arguments=limited, passive=True)

        def limit():
            return (broker.queue("orders", vhost=shop.vhost).get("effective_policy_definition") or {}).get("max-length")

        assert not limit()
        policy = {"pattern": "^orders$", "definition": {"max-length": 1000}, "apply-to": "queues"}
        management.api(management.path("policies", shop.vhost, "limit"), "PUT", policy)
        try:
            broker.wait_until(lambda: limit() == 1000, what="the policy holds", seen=limit)
            assert shop.depth("orders") == 5
            assert channel.is_open
        finally:
            management.api(management.path("policies", shop.vhost, "limit"), "DELETE")
        channel.queue_delete(queue="orders")
        assert not broker.exists("orders", vhost=shop.vhost)

    def test_10_a_binding_decides_when_the_message_comes(self, shop):
        shop.exchange("questions", "topic")
        channel = shop.declare("desk", exchange="questions", keys=("fr.#", "#.urgent"))

        def ask(times: int) -> int:
            for _ in range(times):
                channel.basic_publish(exchange="questions", routing_key="fr.urgent", body="")
            return shop.depth("desk")

        assert ask(10) == 10
        channel.queue_unbind(queue="desk", exchange="questions", routing_key="fr.#")
        assert ask(5) == 15
        channel.queue_unbind(queue="desk", exchange="questions", routing_key="#.urgent")
        assert ask(5) == 15

    @pytest.mark.parametrize(
        ("other_desk", "stand_in", "its_queue", "returned"),
        [(False, False, False, True), (True, False, False, False), (False, True, True, False), (False, True, False, True)],
    )
    def test_11_what_mandatory_notices(self, shop, other_desk, stand_in, its_queue, returned):
        shop.exchange("rest", "fanout")
        shop.exchange("questions", "topic", **({"alternate_exchange": "rest"} if stand_in else {}))
        channel = shop.declare("payments", exchange="questions", keys=("*.payment",))
        shop.declare("desk_de", exchange="questions", keys=("de.*",) if other_desk else ())
        shop.declare("unknown", exchange="rest", keys=("",) if its_queue else ())
        try:
            channel.basic_publish(exchange="questions", routing_key="de.paymnet", body="", mandatory=True)
        except errors.UnroutableError:
            assert returned
        else:
            assert not returned
        assert shop.depth("payments") == 0

    def test_12_a_binding_to_an_empty_exchange_puts_the_stand_in_out_of_work(self, shop):
        shop.exchange("rest", "fanout")
        shop.exchange("questions", "topic", alternate_exchange="rest")
        shop.exchange("head_office", "topic")
        channel = shop.declare("unknown", exchange="rest", keys=("",))
        channel.basic_publish(exchange="questions", routing_key="it.parcel", body="")
        assert drained(channel, "unknown") == [""]
        channel.exchange_bind(destination="head_office", source="questions", routing_key="#")
        channel.basic_publish(exchange="questions", routing_key="it.parcel", body="")
        with pytest.raises(errors.UnroutableError):
            channel.basic_publish(exchange="questions", routing_key="it.parcel", body="", mandatory=True)
        shop.declare("archive", exchange="head_office", keys=("#",))
        assert (shop.depth("unknown"), shop.depth("archive")) == (0, 0)

    @pytest.mark.parametrize(("match", "taken"), [("all", [0, 1]), ("all-with-x", []), ("any", [0, 1, 2, 3])])
    def test_13_x_match_passes_over_names_with_x(self, shop, match, taken):
        shop.exchange("by_attribute", "headers")
        channel = shop.declare("wrapping")
        wanted = {"x-match": match, "country": "de", "gift": True, "x-fragile": True}
        channel.queue_bind(queue="wrapping", exchange="by_attribute", routing_key="", arguments=wanted)
        options = (
            {"country": "de", "gift": True},
            {"country": "de", "gift": True, "x-fragile": False, "size": 3},
            {"country": "de", "x-fragile": True},
            {"country": "de", "gift": "True", "x-fragile": True},
        )
        for n, headers in enumerate(options):
            properties = pika.BasicProperties(headers=headers)
            channel.basic_publish(exchange="by_attribute", routing_key="", body=str(n), properties=properties)
        assert drained(channel, "wrapping") == [str(n) for n in taken]

    def test_14_what_is_overdue_waits_behind_what_is_not(self, shop):
        channel = shop.declare("offers")
        for offer, milliseconds in (("A", "60000"), ("B", "1000")):
            properties = pika.BasicProperties(expiration=milliseconds)
            channel.basic_publish(exchange="", routing_key="offers", body=offer, properties=properties)
        published = time.monotonic()
        broker.wait_until(lambda: time.monotonic() - published > 1.5, what="B is overdue")
        assert shop.depth("offers") == 2
        assert drained(channel, "offers") == ["A"]

    @pytest.mark.parametrize(
        ("arguments", "order"),
        [
            (CLASSIC, ["None", "1", "9", "5"]),
            ({**CLASSIC, "x-max-priority": 10}, ["9", "5", "1", "None"]),
            (QUORUM, ["9", "5", "None", "1"]),
        ],
    )
    def test_15_a_quorum_queue_takes_no_priority_for_a_four(self, shop, arguments, order):
        channel = shop.declare("express", arguments)
        for priority in (None, 1, 9, 5):
            properties = pika.BasicProperties(priority=priority)
            channel.basic_publish(exchange="", routing_key="express", body=str(priority), properties=properties)
        assert drained(channel, "express") == order
