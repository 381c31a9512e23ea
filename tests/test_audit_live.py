"""The audit on clusters that run: a room made bad, the same made good, users who may see less, errors, TLS, a Prometheus."""

import json
import os
import re
import subprocess

import pytest

from rabbitlab import audit, broker, certificates, cluster, faults, ports
from rabbitlab.audit import asking, consumers, reading
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


def audited(*vhosts, **source):
    """The items of an audit by name, as pipelines get them."""
    report = audit.audit(audit.Source(**source), vhosts=vhosts)
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
    failing = (
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
    assert verdicts(results, *failing) == dict.fromkeys(failing, "fail")
    about = {id: results[id].finding.objects for id in failing}
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
    failing, unseen = ("default-credentials", "tls", "resource-limits"), ("backups", "log-aggregation", "persistent-storage")
    assert verdicts(results, *failing) == dict.fromkeys(failing, "fail")
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
        failing = dict.fromkeys(("odd-nodes", "queue-members"), "fail")  # the nodes do not learn it all at the same moment
        told(lambda: verdicts(audited(room.vhost), *failing) == failing, "the node and its member to be missed")
        assert audited(room.vhost)["odd-nodes"].finding.objects == ("rabbit@rabbit3",)
    with faults.memory_alarm("rabbit1"):
        told(lambda: audited(room.vhost)["alarms"].verdict.value == "fail", "the alarm")
        assert audited(room.vhost)["alarms"].finding.objects == ("rabbit@rabbit1: memory",)


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
