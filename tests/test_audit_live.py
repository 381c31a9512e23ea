"""The audit on clusters that run: a room made bad, the same made good, users who may see less, errors, TLS, a Prometheus."""

import json
import os
import re
import subprocess

import pytest

from rabbitlab import audit, broker, certificates, cluster, containers, faults, ports
from rabbitlab.audit import asking, consumers, nodes_now, reading
from rabbitlab.audit.checklist import ITEMS
from rabbitlab.nodes import ALERTMANAGER_PORT, HOST, NODES, PROMETHEUS_PORT, TLS_MANAGEMENT_PORT, TLS_METRICS_PORT
from rabbitlab.units import ROOT
from tests import needs

pytestmark = pytest.mark.cluster
pytest_plugins = ["tests.rooms"]

KEPT = {
    "dead-letter-exchange": "dead",
    "dead-letter-strategy": "at-least-once",
    "overflow": "reject-publish",
    "max-length": 1000,
}


# What is made bad for real here; what takes a node of its own is in test_audit_bad.py.
BAD_ROOM = (
    "persistent-messages",
    "manual-acks",
    "publisher-confirms",
    "prefetch",
    "dead-letter-exchanges",
    "retry-limits",
    "quorum-queues",
    "tls",
    "permissions",
    "stuck-messages",
    "queue-bounds",
)
BAD_LAB = ("default-credentials", "tls", "resource-limits")
IN_TROUBLE = ("odd-nodes", "queue-members", "alarms")
ONE_BY_ONE = (  # each in a test of its own
    "cancelled-consumers",
    "dead-letters-kept",
    "retry-backoff",
    "mirrored-queues",
    "load-balancer",
    "management-access",
    "leaders-balanced",
    "failed-messages",
    "unacked-at-prefetch",
    "supported-version",
)


def audited(*vhosts, important=None, **source):
    """The items of an audit by name, as pipelines get them."""
    report = audit.audit(audit.Source(**source), vhosts=vhosts, important=important)
    return {result.item.id: result for result in report.results}


def verdicts(results, *ids):
    return {id: results[id].verdict.value for id in ids}


@pytest.fixture
def watcher(room):
    """A user with the tag monitoring, who may enter no virtual host."""
    name = f"{room.vhost}-watch"
    broker.api(broker.path("users", name), "PUT", {"password": room.password, "tags": "monitoring"})
    os.environ["WATCH_PASSWORD"] = room.password
    yield name
    del os.environ["WATCH_PASSWORD"]
    broker.api(broker.path("users", name), "DELETE")


def told(condition, what):
    """Wait until the management API, which lags, says what is so."""
    broker.wait_until(condition, within=30, what=what)


def test_a_room_made_bad(room):
    till = room.connection("an old till")
    channel = till.channel()
    channel.queue_declare(queue="orders", durable=True)
    channel.queue_declare(queue="forgotten", durable=True, arguments={"x-queue-type": "quorum", "x-quorum-initial-group-size": 2})
    channel.queue_declare(queue="endless", durable=True, arguments={"x-queue-type": "quorum", "x-delivery-limit": -1})
    for queue in ("orders", "forgotten"):
        channel.basic_publish(exchange="", routing_key=queue, body=b"one")
    channel.basic_consume(queue="endless", on_message_callback=print, auto_ack=True)
    packer = room.connection("a greedy packer").channel()
    packer.basic_consume(queue="endless", on_message_callback=print)

    def reported():
        till.process_data_events()
        channels = [channel for channel in broker.api("channels") if channel["vhost"] == room.vhost]
        consumers = [consumer for consumer in broker.api("consumers") if consumer["queue"]["vhost"] == room.vhost]
        queues = [broker.queue(name, vhost=room.vhost) for name in ("orders", "forgotten")]
        ruled = all("effective_policy_definition" in queue for queue in broker.api(broker.path("queues", room.vhost)))
        published = [channel for channel in channels if channel.get("message_stats", {}).get("publish") == 2 and "confirm" in channel]
        return published and ruled and len(consumers) == 2 and all(queue.get("messages_ready") == 1 for queue in queues)

    told(reported, "what the programs did")
    results = audited(room.vhost)
    assert verdicts(results, *BAD_ROOM) == dict.fromkeys(BAD_ROOM, "fail")
    about = {id: results[id].finding.objects for id in BAD_ROOM}
    assert about["publisher-confirms"] == (f"an old till (user {room.vhost})",)
    assert about["quorum-queues"] == (f"orders in {room.vhost}", f"forgotten in {room.vhost}")
    assert about["retry-limits"] == (f"endless in {room.vhost}",)
    assert about["manual-acks"] == about["prefetch"] == (f"endless in {room.vhost}",)
    assert set(about["stuck-messages"]) == {f"orders in {room.vhost}", f"forgotten in {room.vhost}"}


def test_the_same_room_made_good(room):
    broker.api(broker.path("policies", room.vhost, "kept"), "PUT", {"pattern": "^orders", "definition": KEPT, "apply-to": "quorum_queues"})
    broker.api(broker.path("vhost-limits", room.vhost, "max-connections"), "PUT", {"value": 10})
    administrator = room.channel("the administrator")
    administrator.exchange_declare(exchange="dead", exchange_type="fanout", durable=True)
    quorum = {"x-queue-type": "quorum"}
    for name in ("orders", "failed.dead"):
        administrator.queue_declare(queue=name, durable=True, arguments=quorum)
    administrator.queue_bind(queue="failed.dead", exchange="dead")
    for seconds in (1, 2, 4):
        back = {"x-message-ttl": seconds * 1000, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "orders"}
        administrator.queue_declare(queue=f"orders.retry.{seconds}s", durable=True, arguments=quorum | back)
    administrator.connection.close()
    broker.api(broker.path("permissions", room.vhost, room.vhost), "PUT", {"configure": "^$", "write": "^amq.default$", "read": "^orders$"})
    till = room.channel("a till")
    till.basic_publish(exchange="", routing_key="orders", body=b"one", mandatory=True)
    packer = room.connection("a packer").channel()
    packer.basic_qos(prefetch_count=20)
    packer.basic_consume(queue="orders", on_message_callback=print)

    def reported():
        channels = [channel for channel in broker.api("channels") if channel["vhost"] == room.vhost]
        consumers = [consumer for consumer in broker.api("consumers") if consumer["queue"]["vhost"] == room.vhost]
        queues = broker.api(broker.path("queues", room.vhost))
        done = any(channel.get("message_stats", {}).get("publish") for channel in channels) and len(consumers) == 1
        served = [queue.get("consumers") for queue in queues if queue["name"] == "orders"] == [1]  # which the page says later than the list
        return done and served and all("messages_ready" in queue for queue in queues) and len(channels) == 2

    told(reported, "what the programs did")
    results = audited(room.vhost)
    passing = (
        "durable-queues",
        "persistent-messages",
        "manual-acks",
        "publisher-confirms",
        "prefetch",
        "dead-letter-exchanges",
        "dead-letters-kept",
        "retry-backoff",
        "retry-limits",
        "odd-nodes",
        "quorum-queues",
        "vhosts",
        "permissions",
        "queue-members",
        "stuck-messages",
        "failed-messages",
        "queue-bounds",
    )
    assert verdicts(results, *passing) == dict.fromkeys(passing, "pass"), [results[id].finding for id in passing]
    assert "1 s, 2 s, 4 s" in results["retry-backoff"].finding.saw


def test_the_lab_itself_is_reported_honestly():
    results = audited()
    unseen = ("backups", "health-checks", "log-aggregation", "persistent-storage")
    assert verdicts(results, *BAD_LAB) == dict.fromkeys(BAD_LAB, "fail")
    assert verdicts(results, *unseen) == dict.fromkeys(unseen, "cannot be seen")
    assert results["default-credentials"].finding.objects == ("guest",)
    assert results["partition-handling"].verdict.value == "not applicable"
    assert results["metrics-exported"].verdict.value == results["supported-version"].verdict.value == "pass"


def test_a_consumer_that_took_too_long_and_was_cancelled(room, monkeypatch):
    monkeypatch.setattr(consumers, "YOUNG", 0.0)  # the worker's connection is
    channel = room.channel()
    arguments = {"x-queue-type": "quorum", "x-consumer-timeout": 1000}
    channel.queue_declare(queue="slow", durable=True, arguments=arguments)
    channel.basic_publish(exchange="", routing_key="slow", body=b"one")
    worker = room.connection("a worker that sleeps")
    consuming = worker.channel()
    consuming.basic_qos(prefetch_count=1)
    cancelled, counted = [], []
    consuming.add_on_cancel_callback(cancelled.append)
    consuming.basic_consume(queue="slow", on_message_callback=lambda *_: None)

    def is_cancelled():
        worker.process_data_events()
        counted.append(broker.queue("slow", vhost=room.vhost).get("consumers"))
        connected = [
            each.get("client_properties", {}).get("connection_name") for each in broker.api("connections") if "connected_at" in each
        ]
        return cancelled and 1 in counted and counted[-1] == 0 and "a worker that sleeps" in connected

    told(is_cancelled, "the consumer to be cancelled, and the management API to have heard of both its beginning and its end")
    finding = audited(room.vhost)["cancelled-consumers"].finding
    assert finding.verdict.value == "fail"
    assert finding.objects == (f"slow in {room.vhost}",)


def becomes(room, id, verdict, what=""):
    """Wait until an item of the room's report stands so, and give its result."""
    told(lambda: audited(room.vhost)[id].verdict.value == verdict, f"{id} to be {verdict}: {what}")
    return audited(room.vhost)[id]


def quorum(channel, *queues, **arguments):
    for queue in queues:
        channel.queue_declare(queue=queue, durable=True, arguments={"x-queue-type": "quorum", **arguments})


def set_policy(room, definition):
    broker.api(broker.path("policies", room.vhost, "kept"), "PUT", {"pattern": "^orders$", "definition": definition, "apply-to": "queues"})


def test_dead_letters_that_are_lost(room):
    """Each setting that is missing is one failure more, and the last one mends it."""
    channel = room.channel()
    quorum(channel, "orders", "orders.dead")

    def fails_with(text):
        told(lambda: text in audited(room.vhost)["dead-letters-kept"].finding.saw, text)
        assert audited(room.vhost)["dead-letters-kept"].finding.objects == (f"orders in {room.vhost}",)

    set_policy(room, {"dead-letter-exchange": "dead"})
    fails_with("reach no queue")
    channel.exchange_declare(exchange="dead", exchange_type="fanout", durable=True)
    fails_with("reach no queue")
    channel.queue_bind(queue="orders.dead", exchange="dead")
    fails_with("once, without looking after it")
    set_policy(room, {"dead-letter-exchange": "dead", "dead-letter-strategy": "at-least-once"})
    fails_with("in vain")
    set_policy(room, KEPT)
    becomes(room, "dead-letters-kept", "pass", "with all four settings")


def test_a_retry_that_never_grows(room):
    channel = room.channel()
    wait = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "orders.wait"}
    back = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "orders"}
    quorum(channel, "orders", **wait)
    quorum(channel, "orders.wait", **back, **{"x-message-ttl": 1000})
    result = becomes(room, "retry-backoff", "fail")
    assert result.finding.objects == (f"orders in {room.vhost} and orders.wait in {room.vhost}",)
    assert "1 s, 2 s, 4 s" in result.item.mend
    for queue in ("orders", "orders.wait"):
        channel.queue_delete(queue=queue)
    quorum(channel, "orders", "orders.dead")
    set_policy(room, {"dead-letter-exchange": "", "dead-letter-routing-key": "orders.dead"})
    for seconds in (1, 2, 4):
        quorum(channel, f"orders.retry.{seconds}s", **back, **{"x-message-ttl": seconds * 1000})
    becomes(room, "retry-backoff", "pass")


def test_a_queue_that_is_mirrored_no_more(room):
    channel = room.channel()
    channel.queue_declare(queue="orders", durable=True, arguments={"x-ha-policy": "all"})
    assert becomes(room, "mirrored-queues", "fail").finding.objects == (f"orders in {room.vhost}",)
    channel.queue_delete(queue="orders")
    quorum(channel, "orders")
    becomes(room, "mirrored-queues", "not applicable")


def test_a_queue_that_goes_with_its_last_consumer(room):
    """It is nobody's loss, unless it is said to be important."""
    room.channel().queue_declare(queue="spool", durable=True, auto_delete=True)
    assert audited(room.vhost)["durable-queues"].verdict.value == "not applicable"
    assert audited(room.vhost, important="^spool$")["durable-queues"].verdict.value == "fail"


def test_clients_that_all_know_one_node(room):
    connections = [room.connection() for _ in range(10)]
    assert becomes(room, "load-balancer", "fail").finding.objects == (NODES[0].erlang_name,)
    connections[0].close()
    room.connection(node=NODES[1])
    becomes(room, "load-balancer", "cannot be seen", "what stands before the nodes never shows")


def test_a_program_that_may_log_in_at_the_page(room):
    broker.api(broker.path("users", room.vhost), "PUT", {"password": room.password, "tags": "monitoring"})
    room.channel("a till")
    result = becomes(room, "management-access", "fail")
    assert result.finding.objects == (f"{room.vhost} (monitoring)",)
    assert "`rabbitmqctl set_user_tags USER`" in result.item.mend
    containers.run(NODES[0].name, "rabbitmqctl", "set_user_tags", room.vhost)
    becomes(room, "management-access", "cannot be seen", "who reaches the page never shows")


def test_leaders_on_one_node(room):
    queues = [f"orders.{n}" for n in range(6)]
    quorum(room.channel(), *queues, **{"x-queue-leader-locator": "client-local"})
    result = becomes(room, "leaders-balanced", "fail")
    assert result.finding.objects[0] == f"{NODES[0].erlang_name}: 6"
    mend = re.findall("`([^`]+)`", result.item.mend)[-1].replace("VHOST", room.vhost).replace("'", "")
    containers.run(NODES[0].name, *mend.split())
    becomes(room, "leaders-balanced", "pass")


def test_a_failed_message_left_lying(room):
    channel = room.channel()
    quorum(channel, "orders", "orders.dead")
    channel.basic_publish(exchange="", routing_key="orders.dead", body=b"it failed")
    assert becomes(room, "failed-messages", "fail").finding.objects == (f"orders.dead in {room.vhost}",)
    method, _, body = channel.basic_get(queue="orders.dead")
    channel.basic_publish(exchange="", routing_key="orders", body=body)  # as lesson 4.2 does: confirmed, then acknowledged
    channel.basic_ack(delivery_tag=method.delivery_tag)
    becomes(room, "failed-messages", "pass")


def test_a_consumer_that_is_stuck(room, monkeypatch):
    """It holds all it may and does nothing. With one message at a time that may be long work, and nobody can tell."""
    monkeypatch.setattr(consumers, "LONG", 1.0)
    monkeypatch.setattr(consumers, "LAG", 2.0)
    channel = room.channel()
    quorum(channel, "orders")
    for n in range(5):
        channel.basic_publish(exchange="", routing_key="orders", body=f"order {n}".encode())

    def consume(prefetch):
        consuming = room.connection("a worker").channel()
        consuming.basic_qos(prefetch_count=prefetch)
        consuming.basic_consume(queue="orders", on_message_callback=lambda *_: None)
        return consuming

    stuck = consume(prefetch=3)
    result = becomes(room, "unacked-at-prefetch", "fail")
    assert result.finding.objects == (f"orders in {room.vhost}",)
    assert "basic_qos(prefetch_count=1)" in result.item.mend
    stuck.connection.close()
    worker = consume(prefetch=1)
    told(lambda: "with one message each" in audited(room.vhost)["unacked-at-prefetch"].finding.saw, "the one that takes one at a time")
    worker.basic_ack(delivery_tag=0, multiple=True)
    worker.connection.close()
    channel.queue_purge(queue="orders")
    consume(prefetch=1)
    becomes(room, "unacked-at-prefetch", "pass")


def test_a_consumer_that_works_is_not_stuck(room, monkeypatch):
    """It acknowledges one at a time of the three that it holds: its channel has never done nothing for as long as is asked."""
    monkeypatch.setattr(consumers, "LONG", 3.0)
    channel = room.channel()
    quorum(channel, "orders")
    for n in range(40):
        channel.basic_publish(exchange="", routing_key="orders", body=f"order {n}".encode())
    working = room.connection("a worker")
    consuming = working.channel()
    consuming.basic_qos(prefetch_count=3)
    consuming.basic_consume(queue="orders", on_message_callback=lambda _, method, *__: held.append(method.delivery_tag))
    held: list[int] = []
    seen = []

    def looked_at():
        working.process_data_events()
        consuming.basic_ack(delivery_tag=held.pop(0))
        working.process_data_events()
        seen.append(audited(room.vhost)["unacked-at-prefetch"].verdict.value)
        return len(seen) == 3

    told(lambda: working.process_data_events() or len(held) == 3, "what it may hold")
    told(looked_at, "three looks")
    assert "fail" not in seen


def test_a_series_that_gets_no_patches(room, monkeypatch):
    """As it will be when later series are out: the table of the audit is another one, the cluster the same."""
    assert audited(room.vhost)["supported-version"].verdict.value == "pass"
    monkeypatch.setattr(nodes_now, "NEWEST", (99, 0))
    assert audited(room.vhost)["supported-version"].verdict.value == "fail"


def test_a_user_who_monitors_is_told_what_it_cannot_see(room, watcher):
    room.channel().queue_declare(queue="orders", durable=True)
    source = {"url": f"http://{HOST}:{NODES[0].management}", "user": watcher, "password_env": "WATCH_PASSWORD"}
    results = audited(room.vhost, **source)
    hidden = ("default-credentials", "permissions", "durable-queues", "stuck-messages", "quorum-queues", "partition-handling")
    assert verdicts(results, *hidden) == dict.fromkeys(hidden, "cannot be seen")
    assert results["odd-nodes"].verdict.value == "pass"

    broker.api(broker.path("permissions", room.vhost, watcher), "PUT", {"configure": "^$", "write": "^$", "read": "^$"})
    results = audited(room.vhost, **source)
    assert verdicts(results, "durable-queues", "quorum-queues", "permissions") == {
        "durable-queues": "pass",
        "quorum-queues": "fail",
        "permissions": "cannot be seen",
    }


def test_a_user_without_a_tag_is_told_so(room, capsys, monkeypatch):
    monkeypatch.setenv("ROOM_PASSWORD", room.password)
    source = audit.Source(url=f"http://{HOST}:{NODES[0].management}", user=room.vhost, password_env="ROOM_PASSWORD")
    assert audit.run(source) == 2
    assert "set_user_tags" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("port", "hint"),
    [
        (NODES[0].management, "refuses this name or password"),
        (NODES[0].amqp, "5672 is for AMQP"),
        (NODES[0].metrics, "no RabbitMQ management API"),
        (None, "Nothing answers"),
    ],
    ids=["wrong password", "AMQP", "metrics", "nobody"],
)
def test_what_cannot_be_read_is_status_2_and_one_line(port, hint, monkeypatch):
    monkeypatch.setenv("A_PASSWORD", "wrong")
    url = f"http://{HOST}:{port or ports.free_from(18000)}"
    done = subprocess.run(
        ["./lab", "audit", "--url", url, "--user", "lab", "--password-env", "A_PASSWORD"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert hint in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_command_prints_a_report_and_says_by_its_status_that_something_failed(room):
    done = subprocess.run(["./lab", "audit", "--vhost", room.vhost, "--json"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    assert told["schema"] == 1
    assert told["cluster"]["nodes"] == [node.erlang_name for node in NODES]


@pytest.mark.faults
def test_a_cluster_in_trouble(room):
    channel = room.channel()
    channel.queue_declare(queue="orders", durable=True, arguments={"x-queue-type": "quorum"})
    with faults.killed("rabbit3"):
        failing = dict.fromkeys(IN_TROUBLE[:2], "fail")  # the nodes do not learn it all at the same moment
        told(lambda: verdicts(audited(room.vhost), *failing) == failing, "the node and its member to be missed")
        assert audited(room.vhost)["odd-nodes"].finding.objects == ("rabbit@rabbit3",)
    with faults.memory_alarm("rabbit1"):
        # It may fail before that, too: a node that has run for long is near its limit.
        told(lambda: audited(room.vhost)[IN_TROUBLE[2]].finding.objects == ("rabbit@rabbit1: memory",), "the alarm")
        assert audited(room.vhost)[IN_TROUBLE[2]].verdict.value == "fail"


def test_a_cluster_without_statistics_hides_policies_of_classic_queues(room, monkeypatch):
    """As ``management_agent.disable_metrics_collector = true`` would have it: the API is asked for what it knows without statistics."""
    broker.api(broker.path("policies", room.vhost, "kept"), "PUT", {"pattern": ".*", "definition": {"dead-letter-exchange": "dead"}})
    channel = room.channel()
    channel.queue_declare(queue="orders", durable=True)
    read = reading._queues
    monkeypatch.setattr(reading, "_queues", lambda asker, overview, partly: read(asker, overview | {"disable_stats": True}, partly))
    results = audited(room.vhost)
    assert verdicts(results, "durable-queues", "quorum-queues") == {"durable-queues": "pass", "quorum-queues": "fail"}
    assert results["dead-letter-exchanges"].verdict.value == "cannot be seen"


def test_every_command_that_it_names_exists():
    """What mends a cluster at work must not be a command that nobody has."""
    texts = " ".join(text for item in ITEMS for text in (item.mend, item.look))
    named = set(re.findall(r"`(rabbitmq(?:ctl|-queues|-streams|-plugins|-diagnostics)) (\w+)", texts))
    assert len(named) > 15
    for tool in {tool for tool, _ in named}:
        known = cluster.compose("exec", "-T", NODES[0].name, tool, "help", capture=True, check=False).stdout
        assert not [command for by, command in named if by == tool and not re.search(rf"^ +{command}\b", known, re.M)]


def test_only_get_reaches_the_cluster(room, monkeypatch):
    sent = []
    monkeypatch.setattr(asking, "_only_get", lambda request: sent.append(request.method))
    audited(room.vhost)
    assert len(sent) > 20
    assert set(sent) == {"GET"}


@pytest.fixture(scope="module")
def auditor():
    """An administrator of the node that speaks TLS, for as long as the tests run."""
    if not cluster.containers().get(certificates.SERVICE):
        needs.missing("the node that speaks TLS does not run: ./lab up --tls")
    name = "auditor-of-a-test"

    def ctl(*words):
        done = cluster.compose("exec", "-T", certificates.SERVICE, "rabbitmqctl", *words, capture=True, check=False)
        assert done.returncode == 0, done.stderr

    ctl("add_user", name, "only-for-this-test")
    try:
        ctl("set_user_tags", name, "administrator")
        yield name
    finally:
        ctl("delete_user", name)


class TestTls:
    """The node that speaks TLS only, where it runs: ./lab up --tls."""

    URL = f"https://localhost:{TLS_MANAGEMENT_PORT}"

    @pytest.fixture
    def source(self, auditor, monkeypatch):
        monkeypatch.setenv("AUDITOR_PASSWORD", "only-for-this-test")
        folder = certificates.FOLDER
        return {
            "url": self.URL,
            "user": auditor,
            "password_env": "AUDITOR_PASSWORD",
            "ca": str(folder / "ca.pem"),
            "cert": str(folder / "till.pem"),
            "key": str(folder / "till.key"),
            "config": str(ROOT / "docker" / "rabbit-tls" / "rabbitmq.conf"),
        }

    def test_is_read_over_https(self, source):
        results = audited(metrics=(f"https://localhost:{TLS_METRICS_PORT}",), **source)
        good = ("default-credentials", "tls", "vhosts", "permissions", "anonymous-login", "certificates", "lost-in-silence")
        assert verdicts(results, *good) == dict.fromkeys(good, "pass"), [results[id].finding for id in good]
        assert results["odd-nodes"].verdict.value == "fail"

    @pytest.mark.parametrize(
        ("change", "hint"),
        [
            ({"ca": None}, "--ca FILE"),
            ({"cert": None, "key": None}, "--cert FILE"),
            ({"url": f"http://localhost:{TLS_MANAGEMENT_PORT}"}, "https"),
        ],
        ids=["unknown authority", "no certificate", "clear text"],
    )
    def test_what_is_missing_is_named(self, change, hint, source, capsys):
        assert audit.run(audit.Source(**source | change)) == 2
        error = capsys.readouterr().err
        assert hint in error
        assert error.count("\n") == 1


class TestPrometheus:
    """The lab's own Prometheus, where it runs: ./lab up --monitoring."""

    @pytest.fixture(autouse=True)
    def running(self):
        if not ports.taken(PROMETHEUS_PORT):
            needs.missing("Prometheus does not run: ./lab up --monitoring")

    def test_its_rules_targets_and_alertmanager_are_seen(self, room):
        told(lambda: audited(room.vhost)["monitoring"].verdict.value == "pass", "Prometheus to have asked each node")
        told(lambda: "within a day" in audited(room.vhost)["lost-in-silence"].finding.saw, "Prometheus to have counted more than once")
        seen = ("failed-message-alerts", "alerts", "monitoring")
        told(lambda: verdicts(audited(room.vhost), *seen) == dict.fromkeys(seen, "pass"), "all three at once")  # a scrape may fail once
        results = audited(room.vhost)
        assert results["alerting"].verdict.value in ("pass", "cannot be seen")
        assert results["documentation"].verdict.value == "cannot be seen"
        assert "within a day" in results["lost-in-silence"].finding.saw

    def test_another_server_is_no_prometheus(self, capsys):
        assert audit.run(audit.Source(prometheus=f"http://{HOST}:{ALERTMANAGER_PORT}")) == 2
        assert "not as Prometheus does" in capsys.readouterr().err
