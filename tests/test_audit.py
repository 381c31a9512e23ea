"""The audit: each check where it passes and where it fails; what may not be seen never passes; and it reads clusters that run."""

import io
import json
import re
import socket
import threading
import time
from contextlib import contextmanager, suppress
from datetime import date

import pytest
from markdown.extensions import toc

from rabbitlab import audit
from rabbitlab.audit import as_json, asking, reading
from rabbitlab.audit.checklist import ITEMS
from rabbitlab.audit.seen import Seen
from rabbitlab.audit.verdict import Verdict, judge
from rabbitlab.units import ROOT
from tests.audit_cluster import NODES, Served, classic, connection, consumer, dead, listener, node, orderly, queue, rule, serving, waiting

PASS, FAIL, UNSEEN, NOT_APPLICABLE = Verdict.PASS, Verdict.FAIL, Verdict.UNSEEN, Verdict.NOT_APPLICABLE
BY_ID = {item.id: item for item in ITEMS}


def judged(id, parts, **more):
    (result,) = judge([BY_ID[id]], Seen(parts, **more))
    return result.finding


def of(part, **change):
    """Change each thing of a part."""

    def apply(parts):
        for thing in parts[part]:
            thing.update(change)

    return apply


def only(part, *things):
    """Have these things alone in a part."""
    return lambda parts: parts.update({part: list(things)})


def more(part, *things):
    """Have these things, too."""
    return lambda parts: parts[part].extend(things)


def has(**change):
    """Change parts."""
    return lambda parts: parts.update(change)


def both(*changes):
    return lambda parts: [change(parts) for change in changes]


def version(told):
    return lambda parts: (parts["overview"].update(rabbitmq_version=told), of("nodes", rabbitmq_version=told)(parts))


def as_it_is(parts):
    """Leave the orderly cluster as it is."""


LOST = {"published, matched no queue, and dropped": 3.0}
# Item, verdict, what is done to the orderly cluster, and what the finding must name.
CASES = [
    ("durable-queues", PASS, as_it_is, ""),
    ("durable-queues", FAIL, more("queues", classic("fleeting", durable=False)), "fleeting"),
    ("durable-queues", NOT_APPLICABLE, only("queues", classic("mine", exclusive=True, durable=False)), ""),
    ("durable-queues", FAIL, both(has(important=re.compile("^spool")), more("queues", classic("spool", auto_delete=True))), "spool"),
    ("persistent-messages", PASS, as_it_is, ""),
    ("persistent-messages", PASS, more("queues", classic("old", messages=2, messages_persistent=2)), ""),
    ("persistent-messages", FAIL, more("queues", classic("old", messages=2, messages_persistent=1)), "old"),
    ("persistent-messages", UNSEEN, more("queues", classic("old")), ""),
    ("manual-acks", PASS, as_it_is, ""),
    ("manual-acks", FAIL, more("consumers", consumer("orders", ack_required=False)), "orders"),
    (
        "manual-acks",
        FAIL,
        more("channels", {"user": "till", "connection_details": {"name": "till"}, "message_stats": {"get_no_ack": 2}}),
        "till",
    ),
    ("manual-acks", UNSEEN, only("consumers"), ""),
    ("publisher-confirms", PASS, as_it_is, ""),
    ("publisher-confirms", FAIL, of("channels", confirm=False), "the till"),
    ("publisher-confirms", UNSEEN, only("channels"), "10 of 10"),
    ("cancelled-consumers", UNSEEN, as_it_is, ""),
    ("cancelled-consumers", FAIL, has(cancelled=["orders in shop"]), "orders in shop"),
    ("cancelled-consumers", FAIL, of("connections", client_properties={"connection_name": "old client"}), "old client"),
    ("prefetch", PASS, as_it_is, "20"),
    ("prefetch", FAIL, of("consumers", prefetch_count=0), "orders"),
    ("prefetch", UNSEEN, only("consumers"), ""),
    ("global-qos", NOT_APPLICABLE, as_it_is, "Obsolete"),
    ("global-qos", PASS, version("4.2.1"), ""),
    ("global-qos", FAIL, both(version("4.2.1"), of("channels", global_prefetch_count=10)), "the till"),
    ("dead-letter-exchanges", PASS, as_it_is, ""),
    ("dead-letter-exchanges", FAIL, more("queues", queue("alone", effective_policy_definition={})), "alone"),
    ("dead-letters-kept", PASS, as_it_is, ""),
    ("dead-letters-kept", FAIL, only("bindings"), "reach no queue"),
    ("dead-letters-kept", FAIL, only("exchanges"), "reach no queue"),
    ("dead-letters-kept", FAIL, more("queues", queue("once", effective_policy_definition={"dead-letter-exchange": "dead"})), "once"),
    (
        "dead-letters-kept",
        FAIL,
        more(
            "queues",
            queue("vain", effective_policy_definition={"dead-letter-exchange": "dead", "dead-letter-strategy": "at-least-once"}),
        ),
        "in vain",
    ),
    ("retry-backoff", PASS, as_it_is, "1 s, 2 s"),
    ("retry-backoff", PASS, only("queues", queue("orders", delayed_retry="failed")), "linear"),
    ("retry-backoff", UNSEEN, only("queues", queue("orders"), waiting("deadline", 60_000, "orders")), "orders"),
    ("retry-backoff", UNSEEN, only("queues", queue("orders")), ""),
    (
        "retry-backoff",
        FAIL,
        only(
            "queues",
            queue("orders", effective_policy_definition={"dead-letter-exchange": "", "dead-letter-routing-key": "orders.wait"}),
            waiting("orders.wait", 5000, "orders"),
        ),
        "orders.wait",
    ),
    ("delayed-message-plugin", NOT_APPLICABLE, as_it_is, ""),
    ("delayed-message-plugin", FAIL, more("exchanges", {"vhost": "shop", "name": "later", "type": "x-delayed-message"}), "later"),
    ("delayed-message-plugin", FAIL, of("nodes", enabled_plugins=["rabbitmq_delayed_message_exchange"]), NODES[0]),
    ("retry-limits", PASS, as_it_is, "20"),
    ("retry-limits", FAIL, more("queues", queue("endless", delivery_limit="unlimited")), "endless"),
    ("retry-limits", FAIL, more("queues", queue("endless", delivery_limit=-1)), "endless"),
    ("retry-limits", UNSEEN, more("queues", classic("old")), "old"),
    ("failed-message-alerts", PASS, as_it_is, "Failed"),
    ("failed-message-alerts", FAIL, only("rules", rule("Memory", "rabbitmq_alarms_memory_used_watermark > 0")), ""),
    ("failed-message-alerts", FAIL, only("rules", rule("Mute", 'rabbitmq_queue_messages_ready{queue=~".+[.]dead"} > 0')), "Mute"),
    ("odd-nodes", PASS, as_it_is, ""),
    ("odd-nodes", FAIL, only("nodes", node("rabbit@a")), "rabbit@a"),
    ("odd-nodes", FAIL, more("nodes", node("rabbit@d")), "survives no more"),
    ("odd-nodes", FAIL, lambda parts: parts["nodes"][1].update(running=False), NODES[1]),
    ("quorum-queues", PASS, as_it_is, ""),
    ("quorum-queues", FAIL, more("queues", classic("old")), "old"),
    ("quorum-queues", FAIL, more("queues", queue("pair", members=list(NODES[:2]))), "pair"),
    ("quorum-queues", PASS, both(has(important=re.compile("^orders")), more("queues", classic("toys"))), ""),
    ("mirrored-queues", NOT_APPLICABLE, as_it_is, ""),
    ("mirrored-queues", FAIL, more("policies", {"vhost": "/", "name": "mirrors", "definition": {"ha-mode": "all"}}), "mirrors"),
    ("mirrored-queues", FAIL, more("queues", classic("copied", arguments={"x-ha-policy": "all"})), "copied"),
    ("partition-handling", NOT_APPLICABLE, as_it_is, ""),
    ("partition-handling", FAIL, has(config={"cluster_partition_handling": "pause_minority"}), "since 4.3"),
    ("partition-handling", FAIL, both(version("4.2.1"), has(config={})), ""),
    ("partition-handling", PASS, both(version("4.2.1"), has(config={"cluster_partition_handling": "pause_minority"})), ""),
    ("partition-handling", FAIL, of("nodes", partitions=[NODES[2]]), "split"),
    ("load-balancer", UNSEEN, as_it_is, ""),
    ("load-balancer", FAIL, more("connections", *(connection(f"till {n}", "till") for n in range(10))), NODES[0]),
    ("management-ui", PASS, as_it_is, ""),
    ("management-ui", FAIL, only("listeners", listener(NODES[0], "http", 15672)), NODES[1]),
    ("metrics-exported", PASS, as_it_is, ""),
    ("metrics-exported", FAIL, only("listeners", listener(NODES[0], "http/prometheus", 15692)), NODES[2]),
    ("alerts", PASS, as_it_is, "redeliveries"),
    ("alerts", FAIL, only("rules"), "queue depth, memory, disk"),
    ("alerts", FAIL, more("rules", rule("Files", "rabbitmq_alarms_file_descriptor_limit > 0")), "is gone"),
    ("alerts", FAIL, more("rules", rule("Mute", 'rabbitmq_queue_messages_ready{queue="orders"} > 9')), "has the name of a queue"),
    ("alerts", FAIL, more("rules", rule("Broken", "rabbitmq_up +", health="err", lastError="parse error")), "parse error"),
    ("log-aggregation", UNSEEN, as_it_is, "as json"),
    ("log-aggregation", FAIL, of("nodes", log_files=[]), NODES[0]),
    ("health-checks", UNSEEN, as_it_is, ""),
    ("default-credentials", PASS, as_it_is, ""),
    ("default-credentials", FAIL, more("users", {"name": "guest", "tags": ["administrator"]}), "guest"),
    ("default-credentials", FAIL, both(more("users", {"name": "guest"}), has(config={"loopback_users": "none"})), "any machine"),
    ("default-credentials", FAIL, both(more("users", {"name": "guest"}), has(config={"loopback_users.guest": "false"})), "any machine"),
    ("default-credentials", FAIL, of("connections", user="guest"), "guest"),
    ("tls", PASS, as_it_is, ""),
    ("tls", FAIL, more("listeners", listener(NODES[0], "amqp", 5672)), "amqp on 5672"),
    ("tls", PASS, more("listeners", listener(NODES[0], "amqp", 5672, "127.0.0.1")), ""),
    ("tls", FAIL, of("connections", ssl=False), "2 connections"),
    ("tls", UNSEEN, more("listeners", listener(NODES[0], "clustering", 25672)), "among themselves"),
    ("vhosts", PASS, as_it_is, "quorum"),
    ("vhosts", FAIL, more("queues", queue("orders", vhost="/")), "/"),
    ("vhosts", FAIL, more("connections", connection("old", "till", vhost="/")), "/"),
    ("vhosts", NOT_APPLICABLE, both(only("vhosts", {"name": "/"}), only("queues"), only("connections")), ""),
    ("permissions", PASS, as_it_is, ""),
    (
        "permissions",
        FAIL,
        more("permissions", {"user": "till", "vhost": "shop", "configure": "^$", "write": ".*", "read": "^$"}),
        "till in shop (write .*)",
    ),
    ("permissions", FAIL, of("connections", user="auditor"), "administrator"),
    ("management-access", PASS, as_it_is, ""),
    ("management-access", UNSEEN, more("listeners", listener(NODES[0], "https", 15671)), "15671"),
    ("management-access", FAIL, of("users", tags=["monitoring"]), "till (monitoring)"),
    ("persistent-storage", UNSEEN, as_it_is, "/var/lib/rabbitmq"),
    ("persistent-storage", FAIL, of("nodes", db_dir="/tmp/rabbit"), NODES[0]),
    ("persistent-storage", FAIL, lambda parts: parts["nodes"][0].update(type="ram"), NODES[0]),
    ("monitoring", PASS, as_it_is, ""),
    ("monitoring", FAIL, has(watched=set(NODES[:2])), NODES[2]),
    ("alerting", PASS, as_it_is, ""),
    ("alerting", FAIL, has(alertmanagers=[]), "no Alertmanager"),
    ("alerting", FAIL, only("rules"), ""),
    ("alerting", UNSEEN, has(rang={"Failed"}), "Deep"),
    ("backups", UNSEEN, as_it_is, ""),
    ("resource-limits", PASS, as_it_is, "0.5"),
    ("resource-limits", FAIL, only("vhost_limits"), "shop"),
    ("resource-limits", FAIL, of("nodes", disk_free_limit=50_000_000), "50 MB"),
    ("resource-limits", FAIL, of("nodes", fd_total=1024), "files"),
    ("resource-limits", UNSEEN, has(config={"vm_memory_high_watermark.absolute": "1GB"}), "1000 MiB"),
    ("documentation", UNSEEN, as_it_is, ""),
    ("documentation", FAIL, of("rules", annotations={"summary": "It rings."}), "Failed"),
    ("queue-members", PASS, as_it_is, ""),
    ("queue-members", FAIL, lambda parts: parts["queues"][0].update(online=list(NODES[:2])), "orders"),
    ("queue-members", FAIL, more("queues", classic("old", state="down")), "old"),
    ("queue-members", NOT_APPLICABLE, only("queues", classic("old")), ""),
    ("leaders-balanced", PASS, as_it_is, ""),
    ("leaders-balanced", FAIL, of("queues", leader=NODES[2]), f"{NODES[2]}: 8"),
    ("leaders-balanced", NOT_APPLICABLE, only("queues", queue("orders")), ""),
    ("stuck-messages", PASS, as_it_is, ""),
    ("stuck-messages", FAIL, more("queues", queue("forgotten", messages_ready=3)), "forgotten"),
    ("stuck-messages", UNSEEN, lambda parts: parts["overview"].update(disable_stats=True), ""),
    ("failed-messages", PASS, as_it_is, ""),
    ("failed-messages", FAIL, more("queues", dead("parcels.dead", messages=3)), "parcels.dead"),
    ("failed-messages", FAIL, lambda parts: parts["queues"][1].update(messages=1), "orders.dead"),
    ("failed-messages", NOT_APPLICABLE, both(only("queues", classic("old", effective_policy_definition={})), only("bindings")), ""),
    ("unacked-at-prefetch", PASS, as_it_is, ""),
    ("unacked-at-prefetch", FAIL, lambda parts: parts["queues"][0].update(messages_unacknowledged=20, messages_ready=5), "orders"),
    (
        "unacked-at-prefetch",
        PASS,
        lambda parts: parts["queues"][0].update(messages_unacknowledged=20, messages_ready=5, message_stats={"ack_details": {"rate": 3.0}}),
        "",
    ),
    ("unacked-at-prefetch", UNSEEN, only("consumers"), ""),
    ("queue-bounds", PASS, as_it_is, ""),
    ("queue-bounds", FAIL, more("queues", queue("endless", effective_policy_definition={"dead-letter-exchange": "dead"})), "endless"),
    ("lost-in-silence", PASS, as_it_is, "within a day"),
    ("lost-in-silence", FAIL, has(lost_lately=LOST), "3 messages"),
    ("alarms", PASS, as_it_is, "10%"),
    ("alarms", FAIL, of("nodes", mem_alarm=True), "memory"),
    ("alarms", FAIL, lambda parts: parts["nodes"][1].update(disk_free_alarm=True), f"{NODES[1]}: disk"),
    ("alarms", FAIL, of("nodes", mem_used=900 << 20), NODES[0]),
    ("alarms", FAIL, of("nodes", disk_free=3_000_000_000), NODES[0]),
    ("supported-version", PASS, as_it_is, "4.3.6"),
    ("supported-version", FAIL, version("3.13.7"), "3.13.7"),
    ("supported-version", FAIL, lambda parts: parts["nodes"][0].update(rabbitmq_version="4.3.5"), "4.3.5"),
    ("supported-version", UNSEEN, version("4.4.0"), "4.4.0"),
    ("supported-version", UNSEEN, has(today=date(2028, 1, 1)), "November 2026"),
    ("feature-flags", PASS, as_it_is, ""),
    ("feature-flags", FAIL, more("feature_flags", {"name": "new", "state": "disabled", "stability": "stable"}), "new"),
    ("deprecated-features", PASS, as_it_is, ""),
    ("deprecated-features", FAIL, more("deprecated_used", {"name": "transient_nonexcl_queues"}), "transient_nonexcl_queues"),
    ("anonymous-login", PASS, as_it_is, ""),
    (
        "anonymous-login",
        FAIL,
        both(of("nodes", auth_mechanisms=[{"name": "ANONYMOUS", "enabled": True}]), more("users", {"name": "guest", "tags": []})),
        NODES[0],
    ),
    ("anonymous-login", PASS, of("nodes", auth_mechanisms=[{"name": "ANONYMOUS", "enabled": True}]), "does not exist"),
    ("certificates", PASS, only("nodes", node(NODES[0])), ""),
    ("certificates", UNSEEN, as_it_is, NODES[1]),
    ("certificates", FAIL, has(certificates="Certificates expiring"), "Certificates expiring"),
    ("certificates", NOT_APPLICABLE, only("listeners", listener(NODES[0], "amqp", 5672)), ""),
]
# No cluster shows these; who must look is all that can be said.
NEVER_FAIL = {"health-checks", "backups"}
# That nothing is wrong cannot be shown from here: they fail, or stay unseen. Obsolete ones are not applicable where they are not used.
NEVER_PASS = NEVER_FAIL | {"cancelled-consumers", "load-balancer", "log-aggregation", "persistent-storage", "documentation"}
OBSOLETE = {"delayed-message-plugin", "mirrored-queues"}


@pytest.mark.parametrize(("id", "verdict", "change", "names"), CASES, ids=[f"{case[0]}-{case[1].name}" for case in CASES])
def test_a_check_sees(id, verdict, change, names):
    parts = orderly()
    change(parts)
    finding = judged(id, parts)
    assert finding.verdict is verdict, finding
    assert names in " | ".join((finding.saw, *finding.objects))


def test_each_check_is_seen_to_pass_and_to_fail():
    for item in ITEMS:
        verdicts = {verdict for id, verdict, _, _ in CASES if id == item.id}
        assert FAIL in verdicts or item.id in NEVER_FAIL, item.id
        assert PASS in verdicts or item.id in NEVER_PASS or (item.id in OBSOLETE and NOT_APPLICABLE in verdicts), item.id


# A part that is looked at where it was read, and done without where it was not.
OPTIONAL = {
    ("default-credentials", "connections"),
    ("log-aggregation", "config"),
    ("metrics-exported", "metrics"),
    ("default-credentials", "config"),
    ("resource-limits", "config"),
    ("documentation", "rules"),
    ("anonymous-login", "config"),
    ("anonymous-login", "users"),
    ("lost-in-silence", "lost_lately"),
}
PARTS = [part for part in orderly() if part not in ("important", "today")]


class Asked(Seen):
    """Writes down which parts a check asks for."""

    def __init__(self, parts, asked):
        super().__init__(parts)
        self.asked = asked

    def __getitem__(self, name):
        self.asked.add(name)
        return super().__getitem__(name)


def asked_for(item):
    asked = set()
    item.check(Asked(orderly(), asked))
    return asked & set(PARTS)


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.id)
def test_what_could_not_be_read_never_passes(item):
    for part in asked_for(item):
        result = judged(item.id, orderly(), unread={part: "It was kept from us."})
        if (item.id, part) not in OPTIONAL:
            assert result.verdict is UNSEEN, f"without {part}: {result}"
            assert result.saw == "It was kept from us."


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.id)
def test_what_was_read_in_part_never_passes(item):
    for part in asked_for(item) - {"overview", "whoami"}:
        result = judged(item.id, orderly(), partly={part: "half of it was kept from us"})
        assert result.verdict is UNSEEN, f"with half of {part}: {result}"


def test_what_was_read_in_part_can_fail():
    parts = orderly()
    parts["queues"].append(classic("fleeting", durable=False))
    assert judged("durable-queues", parts, partly={"queues": "half of it was kept from us"}).verdict is FAIL


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.id)
def test_answers_of_another_shape_do_not_end_the_audit(item):
    for part in asked_for(item):
        for strange in ([None], [{}], "text", {}, 7):
            assert judged(item.id, {**orderly(), part: strange}).verdict in Verdict


def test_policies_that_are_not_shown_are_not_taken_for_none():
    """A cluster without statistics leaves out the policies of classic queues."""
    parts = orderly()
    parts["overview"]["disable_stats"] = True
    bare = classic("bare")
    del bare["effective_policy_definition"]
    parts["queues"].append(bare)
    for id in ("dead-letter-exchanges", "dead-letters-kept", "queue-bounds", "retry-backoff", "failed-messages"):
        assert judged(id, parts).verdict is UNSEEN, id


@pytest.mark.parametrize(
    ("id", "change", "hidden"),
    [
        ("default-credentials", more("users", {"name": "guest"}), "connections"),
        ("tls", more("listeners", listener(NODES[0], "amqp", 5672)), "connections"),
        ("vhosts", more("queues", queue("orders", vhost="/")), "connections"),
        ("permissions", of("permissions", user="till"), "connections"),
    ],
)
def test_what_is_seen_to_fail_fails_whatever_else_is_hidden(id, change, hidden):
    parts = orderly()
    change(parts)
    assert judged(id, parts, unread={hidden: "It was kept from us."}).verdict is FAIL


def test_a_thousand_queues_are_judged_in_a_moment():
    parts = orderly()
    parts["queues"] += [queue(f"queue {n}") for n in range(1000)]
    parts["consumers"] += [consumer(f"queue {n}") for n in range(1000)]
    began = time.process_time()
    judge(ITEMS, Seen(parts))
    assert time.process_time() - began < 2


class TestAsAProgram:
    """``./lab audit`` from its options to its exit status, against a server that answers as RabbitMQ does."""

    @pytest.fixture
    def run(self, capsys, monkeypatch, tmp_path):
        monkeypatch.setenv("THE_PASSWORD", "secret")
        configuration = tmp_path / "rabbitmq.conf"
        configuration.write_text("vm_memory_high_watermark.relative = 0.5  # of what there is\n")

        def run_it(served, **options):
            with serving(served) as url:
                source = audit.Source(
                    url=url, user="auditor", password_env="THE_PASSWORD", prometheus=url, metrics=(url,), config=str(configuration)
                )
                status = audit.run(source, **options)
            return status, capsys.readouterr()

        return run_it

    def test_nothing_failed(self, run):
        status, said = run(Served(orderly()))
        assert status == 0, said.out
        assert re.search(r"\n\d+ cannot be seen, \d+ pass, \d+ not applicable\n", said.out)

    def test_something_failed(self, run):
        parts = orderly()
        parts["queues"].append(classic("fleeting", durable=False))
        status, said = run(Served(parts))
        assert status == 1
        assert "FAIL   Durable queues" in said.out
        assert "fleeting in shop" in said.out

    def test_it_asks_with_get_and_nothing_else(self, run):
        served = Served(orderly())
        run(served)
        assert {method for method, _ in served.asked} == {"GET"}
        assert len(served.asked) > 20

    def test_anything_but_get_is_stopped_before_it_is_sent(self):
        served = Served(orderly())
        with serving(served) as url:
            asker = asking.Asker(url, tls=asking.trust())
            with pytest.raises(AssertionError, match="only reads"):
                asker._client.post("api/queues")
        assert served.asked == []

    def test_the_json_has_the_form_that_it_promises(self, run):
        status, said = run(Served(orderly()), as_json=True)
        told = json.loads(said.out)
        assert told["schema"] == 1
        assert told["exit_status"] == status == 0
        assert told["cluster"] == {"name": "shop", "product": "RabbitMQ", "version": "4.3.6", "nodes": list(NODES)}
        assert told["read"].keys() == {"url", "user", "tags", "at", "unread"}
        assert sum(told["summary"].values()) == len(told["items"]) == len(ITEMS)
        promised = set(re.findall(r"``items\[\]\.(\w+)``", as_json.__doc__))
        for item in told["items"]:
            assert item.keys() == promised
            assert item["verdict"] in told["summary"]
        assert "secret" not in said.out

    def test_the_screen_can_be_read_at_80_columns(self, run, monkeypatch):
        monkeypatch.setenv("COLUMNS", "80")
        parts = orderly()
        parts["queues"].append(classic("q" * 200, durable=False))
        _, said = run(Served(parts))
        assert max(map(len, said.out.splitlines())) <= 80

    def test_a_thousand_queues_are_read_page_by_page(self, run):
        parts = orderly()
        parts["queues"] += [classic(f"queue {n}") for n in range(1000)]
        _, said = run(Served(parts), as_json=True)
        item = next(item for item in json.loads(said.out)["items"] if item["id"] == "quorum-queues")
        assert len(item["objects"]) == 1000

    def test_a_user_who_only_monitors_sees_less_and_passes_less(self, run):
        parts = orderly()
        parts["whoami"] = {"name": "watch", "tags": ["monitoring"]}
        administrators_only = {f"api/{path}": 401 for path in ("users", "permissions", "user-limits")}
        _, said = run(Served(parts, {**administrators_only, "api/queues/shop": 404}), as_json=True)
        told = {item["id"]: item for item in json.loads(said.out)["items"]}
        assert told["default-credentials"]["verdict"] == told["permissions"]["verdict"] == "cannot be seen"
        assert "watch (monitoring) may not read users" in told["default-credentials"]["saw"]
        assert told["durable-queues"]["verdict"] == "cannot be seen"
        assert "may not enter shop" in told["durable-queues"]["saw"]
        assert told["odd-nodes"]["verdict"] == "pass"

    def test_a_user_without_the_tag_sees_only_its_own(self, run):
        parts = orderly()
        parts["whoami"] = {"name": "developer", "tags": ["management"]}
        _, said = run(Served(parts, {"api/nodes": 401}), as_json=True)
        told = {item["id"]: item["verdict"] for item in json.loads(said.out)["items"]}
        assert told["odd-nodes"] == told["durable-queues"] == told["publisher-confirms"] == "cannot be seen"

    def test_one_virtual_host_is_judged_alone(self, run):
        parts = orderly()
        parts["vhosts"].append({"name": "toys"})
        parts["vhost_limits"].append({"vhost": "toys", "value": {"max-queues": 1}})
        parts["queues"].append(classic("fleeting", vhost="toys", durable=False))
        assert run(Served(parts))[0] == 1
        assert run(Served(parts), vhosts=["shop"])[0] == 0

    def test_what_is_deleted_while_it_reads_is_left_out(self, run):
        """RabbitMQ answers then with what it still has: a virtual host without its name, for instance."""
        parts = orderly()
        for part in ("vhosts", "queues", "connections", "consumers"):
            parts[part].append({"tracing": False})
        status, said = run(Served(parts), vhosts=["shop"])
        assert status == 0, said

    def test_only_queues_that_matter_must_be_safe(self, run):
        parts = orderly()
        parts["queues"].append(classic("toys"))
        assert run(Served(parts))[0] == 1
        assert run(Served(parts), important="^orders$")[0] == 0

    def test_a_consumer_that_its_program_has_lost_is_found(self, run, monkeypatch):
        monkeypatch.setattr(reading, "LAG", 0.1)
        parts = orderly()
        parts["consumers"].append(consumer("orders"))
        served = Served(parts)
        answer = served.answer
        served.answer = lambda path, params: (200, {"consumers": 1}) if path == "api/queues/shop/orders" else answer(path, params)
        _, said = run(served, as_json=True)
        told = {item["id"]: item for item in json.loads(said.out)["items"]}
        assert told["cancelled-consumers"]["verdict"] == "fail"
        assert told["cancelled-consumers"]["objects"] == ["orders in shop"]

    def test_a_page_is_written_beside_the_table(self, run, tmp_path):
        parts = orderly()
        parts["queues"].append(classic("<script>alert(1)</script>", durable=False))
        _, said = run(Served(parts), html=str(tmp_path / "report.html"))
        assert "FAIL" in said.out
        page = (tmp_path / "report.html").read_text()
        assert "<script" not in page
        assert not re.search(r"(src|href)=.(?!#)|@import|url\(", page), "the page needs something else"
        assert all(f'id="{item.id}"' in page for item in ITEMS)

    def test_a_page_that_cannot_be_written_is_no_report(self, run, tmp_path):
        status, said = run(Served(orderly()), html=str(tmp_path / "missing" / "report.html"))
        assert status == 2
        assert "cannot be written" in said.err


@contextmanager
def answering(what):
    """A port where whoever connects is told these bytes, whatever they say; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(2)
                    with suppress(OSError):
                        connection.recv(4096)
                        connection.sendall(what)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def status_and_error(capsys, monkeypatch, url, **more):
    monkeypatch.setenv("THE_PASSWORD", "secret")
    status = audit.run(audit.Source(url=url, user="auditor", password_env="THE_PASSWORD", **more))
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1, said.err
    return status, said.err


class TestWhatCannotBeRead:
    """Exit status 2, and one line that says what mends it."""

    @pytest.mark.parametrize(
        ("bytes", "hint"),
        [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "no RabbitMQ management API"),
            (b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"name": null', "no RabbitMQ management API"),
            (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "Management is on port 15672"),
            (b"HTTP/1.1 301 Moved\r\nLocation: https://elsewhere\r\nContent-Length: 0\r\n\r\n", "https://elsewhere"),
            (b'HTTP/1.1 401 No\r\nContent-Length: 26\r\n\r\n{"reason":"Login failed"}  ', "--password-env"),
            (b'HTTP/1.1 401 No\r\nContent-Length: 32\r\n\r\n{"reason":"Not management user"} ', "set_user_tags"),
            (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "does not serve: 503"),
            (b"AMQP\x00\x00\x09\x01", "5672 is for AMQP"),
            (b"", "5672 is for AMQP"),
        ],
    )
    def test_another_server(self, bytes, hint, capsys, monkeypatch):
        with answering(bytes) as url:
            status, error = status_and_error(capsys, monkeypatch, url)
        assert status == 2
        assert hint in error

    def test_a_port_where_nobody_listens(self, capsys, monkeypatch):
        with socket.create_server(("127.0.0.1", 0)) as server:
            url = f"http://127.0.0.1:{server.getsockname()[1]}"
        status, error = status_and_error(capsys, monkeypatch, url)
        assert status == 2
        assert "Nothing answers" in error

    def test_https_where_there_is_none(self, capsys, monkeypatch):
        with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as url:
            status, error = status_and_error(capsys, monkeypatch, url.replace("http:", "https:"))
        assert status == 2
        assert "Try http://" in error

    @pytest.mark.parametrize("url", ["rabbit", "ftp://rabbit", "http://", "http://rabbit:port", "https://rabbit:99999"])
    def test_no_address(self, url, capsys, monkeypatch):
        status, error = status_and_error(capsys, monkeypatch, url)
        assert status == 2
        assert "is no address" in error

    def test_a_password_in_the_address(self, capsys, monkeypatch):
        status, error = status_and_error(capsys, monkeypatch, "http://guest:hidden@localhost:15672")
        assert status == 2
        assert "--password-env" in error
        assert "hidden" not in error

    @pytest.mark.parametrize(
        ("option", "hint"),
        [
            ({"ca": "missing.pem"}, "--ca missing.pem"),
            ({"cert": "missing.pem"}, "--cert missing.pem"),
            ({"config": "missing.conf"}, "--config missing.conf"),
            ({"config": str(ROOT / "docker" / "rabbitmq" / "advanced.config")}, "not an advanced.config"),
        ],
    )
    def test_a_file_that_cannot_be_used(self, option, hint, capsys, monkeypatch):
        with serving(Served(orderly())) as url:
            status, error = status_and_error(capsys, monkeypatch, url, **option)
        assert status == 2
        assert hint in error

    def test_a_prometheus_that_is_none(self, capsys, monkeypatch):
        with serving(Served(orderly())) as url, answering(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n") as other:
            status, error = status_and_error(capsys, monkeypatch, url, prometheus=other)
        assert status == 2
        assert "--prometheus" in error

    def test_metrics_that_are_none(self, capsys, monkeypatch):
        with serving(Served(orderly())) as url, answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nup 1\n") as other:
            status, error = status_and_error(capsys, monkeypatch, url, metrics=(other,))
        assert status == 2
        assert "not with metrics of RabbitMQ" in error

    def test_a_virtual_host_that_is_not_there(self, capsys, monkeypatch):
        monkeypatch.setenv("THE_PASSWORD", "secret")
        with serving(Served(orderly())) as url:
            status = audit.run(audit.Source(url=url, user="auditor", password_env="THE_PASSWORD"), vhosts=["toys"])
        assert status == 2
        assert "there are: /, shop" in capsys.readouterr().err

    def test_no_name_and_no_password(self, capsys, monkeypatch):
        monkeypatch.setattr("sys.stdin", io.StringIO())
        assert audit.run(audit.Source(url="http://localhost")) == 2
        assert "--user NAME" in capsys.readouterr().err
        assert audit.run(audit.Source(url="http://localhost", user="auditor")) == 2
        assert "--password-env" in capsys.readouterr().err
        assert audit.run(audit.Source(url="http://localhost", user="auditor", password_env="NOT_SET_AT_ALL")) == 2
        assert "NOT_SET_AT_ALL" in capsys.readouterr().err


README = (ROOT / "docs" / "module_4_production" / "README.md").read_text()
ROW = re.compile(r"^\| (?P<item>[^|]+) \| (?P<what>[^|]+) \| (?P<places>[^|]+) \| `(?P<id>[\w-]+)` \|$", re.M)


def rows(heading):
    """The rows of the tables below a heading of the module's page."""
    text = README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    every = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith(("| item", "| ---"))]
    found = [match.groupdict() for match in map(ROW.match, every) if match]
    assert len(found) == len(every) > 0, "a row without the id of its item in the audit"
    return found


class TestTheCourse:
    """The audit and the module's page hold the same checklists, and what they point to is there."""

    def test_every_line_of_the_readiness_checklist_is_an_item(self):
        lines = {row["id"]: row for row in rows("Production readiness checklist")}
        items = [item for item in ITEMS if item.checklist == "Production readiness"]
        assert list(lines) == [item.id for item in items]
        for item in items:
            assert lines[item.id]["item"].strip("*") == item.title
            assert links(lines[item.id]["places"]) == list(item.lessons), item.id

    def test_every_line_of_the_deployment_checklist_is_an_item(self):
        lines = {row["id"]: row for row in rows("Deployment checklist")}
        again = {item.id: item for item in ITEMS if item.checklist == "Deployment" or item.deployment}
        assert set(lines) == set(again)
        for id, item in again.items():
            assert lines[id]["item"] == (item.deployment or item.title)

    @pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.id)
    def test_a_lesson_is_where_the_item_says(self, item):
        assert item.lessons
        for lesson in item.lessons:
            path, _, anchor = lesson.partition("#")
            page = ROOT / path
            assert page.is_file(), path
            headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S), re.M)
            assert not anchor or anchor in {toc.slugify(toc.strip_tags(heading.replace("`", "")), "-") for heading in headings}, lesson

    def test_items_have_names_of_their_own(self):
        assert len(BY_ID) == len(ITEMS)

    def test_the_reference_page_lists_what_no_checklist_asks(self):
        page = (ROOT / "docs" / "module_4_production" / "reference_08_audit.md").read_text()
        for item in ITEMS:
            if item.checklist == "As it runs now":
                assert f"`{item.id}`" in page


def links(text):
    """The places that a cell of the page links to, as paths from the course's root."""
    return [f"docs/module_4_production/{place}" for place in re.findall(r"\]\(([^)]+)\)", text)]
