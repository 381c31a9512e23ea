"""Quiz 4 tells the truth: every answer is played on the cluster."""

import contextlib
import re
import subprocess
import sys
import textwrap
import threading
import time
import urllib.error
import urllib.request

import pika
import pytest

from rabbitlab import broker, containers, faults, management
from rabbitlab.nodes import HOST, NODES
from rabbitlab.proxy import Proxy
from tests import quiz_shop
from tests.clients import until_silence
from tests.quiz_shop import parameters, shop  # noqa: F401 - fixtures

PORTS = {node.name: node.amqp for node in NODES}
QUORUM = {"x-queue-type": "quorum"}
LIMITED = {"delivery_limit": 3, "dead_letter_exchange": "", "dead_letter_routing_key": "orders.dead"}  # of questions 6 and 7
errors = pika.exceptions


class Shop(quiz_shop.Shop):
    def declare(self, queue: str = "orders", **arguments):
        """A new quorum queue with these arguments, dashes written as underscores; returns a channel with confirms."""
        return super().declare(queue, {**QUORUM, **{"x-" + name.replace("_", "-"): value for name, value in arguments.items()}})


@pytest.mark.cluster
class TestAnswers:
    @pytest.mark.parametrize(("line", "stored"), [("loses the confirm", 1), ("loses the order", 0)])
    def test_1_the_till_sees_the_same_whether_the_order_is_stored_or_not(self, shop, line, stored):
        shop.declare()
        with Proxy(to=shop.parameters.port) as proxy:
            till = shop.channel(port=proxy.port)
            proxy.lose_confirm() if stored else proxy.cut(after=100, direction="to_broker")
            with pytest.raises(errors.AMQPConnectionError) as raised:
                till.basic_publish(exchange="", routing_key="orders", body="1 lamp" + 1000 * ".")
        assert type(raised.value) is errors.StreamLostError
        broker.wait_until(lambda: shop.depth("orders") == stored, within=5)

    def test_2_what_returns_although_an_order_is_lost(self, shop):
        def publish(confirms=True, mandatory=False, routing_key="orders", arguments=None):
            setup = shop.channel()
            setup.queue_delete(queue="orders")
            setup.queue_declare(queue="orders", durable=True, arguments=arguments)
            till = shop.channel(confirms)
            for body in ("1", "2", "3", "4", "5"):
                till.basic_publish(exchange="", routing_key=routing_key, body=body, mandatory=mandatory)

        full = {"x-max-length": 1, "x-overflow": "reject-publish"}
        publish(routing_key="oders")
        assert not broker.exists("oders", vhost=shop.vhost)
        publish(arguments={"x-max-length": 1})
        assert shop.channel().basic_get(queue="orders")[2] == b"5"
        publish(confirms=False, arguments=full)
        assert shop.becomes("orders", ready=1)
        with pytest.raises(errors.NackError):
            publish(arguments=full)
        with pytest.raises(errors.UnroutableError):
            publish(routing_key="oders", mandatory=True)

    def test_3_a_copy_of_the_publisher_is_not_redelivered(self, shop):
        channel = shop.declare()
        for _ in range(2):
            channel.basic_publish(exchange="", routing_key="orders", body="1 lamp", properties=pika.BasicProperties(message_id="17"))
        seen = [channel.basic_get(queue="orders") for _ in range(2)]
        assert [(method.redelivered, properties.message_id) for method, properties, _ in seen] == [(False, "17")] * 2

    def test_4_a_worker_whose_queue_is_deleted_ends_with_status_0(self, shop):
        shop.declare()
        worker = subprocess.Popen([sys.executable, "-c", worker_of_question_4(shop.parameters)], stderr=subprocess.PIPE, text=True)
        broker.wait_until(lambda: broker.consumers("orders", vhost=shop.vhost) == 1, within=10)
        broker.forget("orders", vhost=shop.vhost)
        assert worker.wait(10) == 0
        assert worker.stderr.read() == ""
        shop.channel().queue_declare(queue="orders", durable=True, arguments=QUORUM)
        assert broker.consumers("orders", vhost=shop.vhost) == 0

    def test_5_a_late_acknowledgement_does_not_count(self, shop):
        shop.declare(consumer_timeout=1000).basic_publish(exchange="", routing_key="orders", body="a large order")
        packed = []
        packer = shop.channel()

        def pack(channel, method, properties, body):
            packed.append(body)
            time.sleep(8)  # a large order: longer than the queue's consumer timeout, even where the node stands still meanwhile
            channel.basic_ack(delivery_tag=method.delivery_tag)

        packer.basic_consume(queue="orders", on_message_callback=pack)
        assert packer.start_consuming() is None
        assert packer.is_open
        assert packed == [b"a large order"]
        with contextlib.suppress(errors.AMQPError):
            packer.connection.close()
        assert shop.becomes("orders", ready=1)

    def test_6_how_often_a_poisoned_order_is_handled(self, shop):
        shop.declare("orders.dead")
        shop.declare("orders", **LIMITED).basic_publish(exchange="", routing_key="orders", body="poison")
        assert handled(shop, "orders", "basic_reject") == 4
        assert shop.becomes("orders.dead", ready=1)
        shop.declare("gifts").basic_publish(exchange="", routing_key="gifts", body="poison")
        assert handled(shop, "gifts", "basic_reject") == 21
        assert shop.becomes("gifts", ready=0)
        assert shop.depth("orders.dead") == 1

    def test_7_a_nack_is_never_counted(self, shop):
        shop.declare("orders.dead")
        shop.declare("orders", **LIMITED).basic_publish(exchange="", routing_key="orders", body="poison")
        assert handled(shop, "orders", "basic_nack", most=50) == 50
        assert shop.depth("orders.dead") == 0

    def test_8_a_republished_x_death_starts_anew(self, shop):
        shop.declare("orders.dead")
        channel = shop.declare("orders", dead_letter_exchange="", dead_letter_routing_key="orders.dead")
        channel.basic_publish(exchange="", routing_key="orders", body="poison")
        counts = []
        for _ in range(7):
            channel.basic_reject(delivery_tag=got(channel, "orders")[0].delivery_tag, requeue=False)
            method, properties, body = got(channel, "orders.dead")
            counts.append(properties.headers["x-death"][0]["count"])
            channel.basic_publish(exchange="", routing_key="orders", body=body, properties=properties)
            channel.basic_ack(delivery_tag=method.delivery_tag)
        assert counts == [1] * 7

    def test_9_at_least_once_takes_four_settings(self, shop):
        settings = {
            "as it is": {},
            "limit": {"x-delivery-limit": 3},
            "expiry": {"x-message-ttl": 60000},
            "length": {"x-max-length": 1000},
            "overflow": {"x-overflow": "reject-publish"},
        }
        channel = shop.channel()
        channel.exchange_declare(exchange="morgue", exchange_type="fanout")
        for name, setting in settings.items():
            given = {**QUORUM, "x-dead-letter-exchange": "morgue", "x-dead-letter-strategy": "at-least-once", **setting}
            channel.queue_declare(queue=name, durable=True, arguments=given)
            channel.basic_publish(exchange="", routing_key=name, body="1 lamp")
            channel.basic_reject(delivery_tag=channel.basic_get(queue=name)[0].delivery_tag, requeue=False)
        assert all(shop.becomes(name, ready=0) for name in settings)  # each has reported after its rejection

        def kept():
            return {name for name in settings if management.api(management.path("queues", shop.vhost, name)).get("messages_dlx")}

        broker.wait_until(kept, within=10, what="a dead letter to be kept", seen=kept)
        assert kept() == {"overflow"}

    def test_10_a_default_type_is_for_durable_queues_only(self, shop):
        described = management.api(f"vhosts/{shop.vhost}")["description"]
        management.api(f"vhosts/{shop.vhost}", "PUT", {"description": described, "default_queue_type": "quorum"})
        channel = shop.channel()
        for name in ("a", "b", "c", "d"):
            channel.queue_delete(queue=name)
        channel.queue_declare(queue="a", durable=True)
        channel.queue_declare(queue="b", durable=True, auto_delete=True)
        channel.queue_declare(queue="c", exclusive=True)
        channel.queue_declare(queue="d", durable=True, arguments={"x-message-ttl": 60000})
        kinds = {name: broker.queue(name, vhost=shop.vhost)["type"] for name in ("a", "b", "c", "d")}
        assert kinds == {"a": "quorum", "b": "classic", "c": "classic", "d": "quorum"}

    def test_13_which_rule_sees_a_queue_without_a_consumer(self, shop):
        shop.declare("orders")
        for node in NODES:  # on each node, somebody consumes something
            shop.declare(f"gifts-{node.name}", queue_leader_locator="client-local")
            other = shop.connect(port=node.amqp).channel()
            other.queue_declare(queue=f"classic-{node.name}", durable=True)
            other.basic_consume(queue=f"classic-{node.name}", on_message_callback=print)
        broker.wait_until(lambda: all(figure(node, "/metrics", "rabbitmq_queue_consumers") for node in NODES), within=10)
        for node in NODES:
            assert 'queue="' not in text(node, "/metrics")
            assert figure(node, "/metrics", "rabbitmq_queue_consumers") > 0
        leader = next(node for node in NODES if node.name == broker.leader("orders", vhost=shop.vhost))
        path = f"/metrics/detailed?family=queue_consumer_count&vhost={shop.vhost}"
        series = f'rabbitmq_detailed_queue_consumers{{vhost="{shop.vhost}",queue="orders"}}'
        broker.wait_until(lambda: figure(leader, path, series) == 0, within=10, what="a figure of the queue's own")


@pytest.mark.cluster
@pytest.mark.faults
class TestAnswersThatBreakTheCluster:
    def test_11_the_minority_stays_up_and_confirms_nothing(self, shop):
        shop.declare()
        handle_partitions_by("pause_minority")
        try:
            with faults.partitioned("rabbit3"):
                shop.channel(port=PORTS["rabbit1"]).basic_publish(exchange="", routing_key="orders", body="of the majority")
                alone = shop.connect(port=PORTS["rabbit3"])
                assert alone.is_open
                confirmed = threading.Event()
                threading.Thread(target=publish_alone, args=(alone, confirmed), daemon=True).start()
                assert not confirmed.wait(3)
        finally:
            handle_partitions_by("ignore")

    def test_12_two_members_survive_no_loss(self, shop):
        shop.declare(quorum_initial_group_size=2)
        members = broker.members("orders", vhost=shop.vhost)
        assert len(members) == 2
        leader = broker.leader("orders", vhost=shop.vhost)
        lost = next(name for name in members if name != leader)
        with faults.killed(lost):
            till = shop.connect(port=PORTS[leader])
            confirmed = threading.Event()
            threading.Thread(target=publish_alone, args=(till, confirmed), daemon=True).start()
            assert not confirmed.wait(3)
        assert broker.wait_until(lambda: shop.depth("orders") == 1, within=20) is None

    def test_14_which_check_knows_of_an_alarm(self):
        with faults.memory_alarm("rabbit1"):
            assert diagnostics("check_running") == 0
            assert diagnostics("check_local_alarms") == 0
            assert diagnostics("check_alarms") != 0
            assert health("rabbit2", "alarms") == 503
            assert health("rabbit1", "is-in-service") == 200


@pytest.mark.cluster
class TestPermissions:
    def test_15_what_an_application_with_few_permissions_may_do(self, shop):
        setup = shop.channel()
        setup.exchange_declare(exchange="shop", exchange_type="direct", durable=True)
        for queue in ("packing", "invoices"):
            setup.queue_declare(queue=queue, durable=True, arguments=QUORUM)
        setup.queue_bind(queue="packing", exchange="shop", routing_key="packing")
        setup.basic_publish(exchange="shop", routing_key="packing", body="1 lamp")
        user = f"{shop.vhost}-packer"
        management.api(f"users/{user}", "PUT", {"password": "of-this-test", "tags": ""})
        rights = {"configure": "^$", "write": "^shop$", "read": "^packing$"}
        management.api(f"permissions/{shop.vhost}/{user}", "PUT", rights)
        try:
            deeds = {
                "exchange": lambda c: c.basic_publish(exchange="shop", routing_key="packing", body="1 mug"),
                "default exchange": lambda c: c.basic_publish(exchange="", routing_key="packing", body="1 mug"),
                "get": lambda c: c.basic_get(queue="packing", auto_ack=True),
                "declare": lambda c: c.queue_declare(queue="packing", durable=True, arguments=QUORUM),
                "reply queue": lambda c: c.queue_declare(queue="", exclusive=True),
                "other queue": lambda c: c.basic_get(queue="invoices"),
            }
            allowed = {name for name, deed in deeds.items() if self.may(shop, user, deed)}
            assert allowed == {"exchange", "get"}
        finally:
            management.api(f"users/{user}", "DELETE")

    @staticmethod
    def may(shop, user: str, deed) -> bool:
        channel = shop.channel(credentials=pika.PlainCredentials(user, "of-this-test"))
        try:
            deed(channel)
        except errors.ChannelClosedByBroker as refused:
            if refused.reply_code != 403:
                raise
            return False
        return True


def worker_of_question_4(parameters: pika.ConnectionParameters) -> str:
    user = parameters.credentials
    return textwrap.dedent(f"""
        import pika
        credentials = pika.PlainCredentials({user.username!r}, {user.password!r})
        parameters = pika.ConnectionParameters("localhost", {parameters.port}, {parameters.virtual_host!r}, credentials)
        connection = pika.BlockingConnection(parameters)
        channel = connection.channel()
        channel.basic_consume(queue="orders", on_message_callback=print)
        channel.start_consuming()
    """)


def got(channel, queue: str):
    """The next message, once there is one."""
    found = []
    broker.wait_until(lambda: found.append(channel.basic_get(queue=queue)) or found[-1][0], within=5, what=f"a message in {queue}")
    return found[-1]


def handled(shop: Shop, queue: str, how: str, most: int = 100) -> int:
    """How often a handler that always hands back gets the one message, until nothing comes any more."""
    channel, count = shop.channel(), 0
    channel.basic_qos(prefetch_count=1)
    for method, _, _ in until_silence(channel, queue):
        count += 1
        if count == most:
            break
        getattr(channel, how)(delivery_tag=method.delivery_tag, requeue=True)
    channel.connection.close()
    return count


def publish_alone(connection, confirmed: threading.Event) -> None:
    """Publish with a confirm, in a thread of its own: it may never come."""
    with contextlib.suppress(Exception):
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish(exchange="", routing_key="orders", body="of the minority")
        confirmed.set()


def text(node, path: str) -> str:
    with urllib.request.urlopen(f"http://{HOST}:{node.metrics}{path}", timeout=20) as answer:
        return answer.read().decode()


def figure(node, path: str, series: str) -> float | None:
    found = re.search(rf"^{re.escape(series)} (\S+)$", text(node, path), re.M)
    return float(found[1]) if found else None


def handle_partitions_by(strategy: str) -> None:
    """What `cluster_partition_handling` in rabbitmq.conf does, on all nodes, without starting them again."""
    every = "[node() | nodes()], application, set_env, [rabbit, cluster_partition_handling"
    containers.run("rabbit1", "rabbitmqctl", "eval", f"rpc:multicall({every}, {strategy}]).")


def diagnostics(check: str) -> int:
    """The exit status of a check on rabbit1."""
    return containers.of("rabbit1").exec_run(["rabbitmq-diagnostics", "-q", check]).exit_code


def health(node: str, check: str) -> int:
    """The HTTP status of a health check of the management API."""
    port = next(n.management for n in NODES if n.name == node)
    password = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    password.add_password(None, f"http://{HOST}:{port}/", *("guest", "guest"))
    opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(password))
    try:
        return opener.open(f"http://{HOST}:{port}/api/health/checks/{check}", timeout=10).status
    except urllib.error.HTTPError as refused:
        return refused.code
