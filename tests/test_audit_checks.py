"""The audit's checks: each where it passes and where it fails; and what may not be seen never passes."""

import re
import time
from datetime import date

import pytest

from rabbitlab.audit.checklist import ITEMS
from rabbitlab.audit.letters import Letters
from rabbitlab.audit.seen import Seen
from rabbitlab.audit.verdict import Verdict, judge
from tests.audit_cluster import NODES, classic, connection, consumer, dead, listener, node, orderly, queue, rule, waiting

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
    ("publisher-confirms", PASS, of("channels", confirm=False, message_stats={"publish": 10, "confirm": 10}), ""),
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


def leads(queue_name, source, routing_key, **more):
    """A binding in the virtual host ``shop``."""
    return {"vhost": "shop", "source": source, "destination": queue_name, "destination_type": "queue", "routing_key": routing_key} | more


@pytest.mark.parametrize(
    ("kind", "bound", "key", "arrives"),
    [
        ("fanout", "", "orders.failed", True),
        ("direct", "orders.failed", "orders.failed", True),
        ("direct", "orders", "orders.failed", False),
        ("topic", "orders.*", "orders.failed", True),
        ("topic", "orders.*", "orders", False),
        ("topic", "orders.#", "orders", True),
        ("topic", "#.failed", "failed", True),
        ("topic", "a.#.b", "a.b", True),
        ("topic", "a.#.b", "a.x.y.c", False),
        ("headers", "", "anything", True),
        ("direct", "orders", None, True),
    ],
)
def test_dead_letters_are_followed_through_their_exchange(kind, bound, key, arrives):
    policy = {"dead-letter-exchange": "out"} | ({"dead-letter-routing-key": key} if key is not None else {})
    parts = orderly()
    parts["queues"] = [queue("orders", effective_policy_definition=policy), dead("orders.dead")]
    parts["exchanges"] = [{"vhost": "shop", "name": "out", "type": kind, "arguments": {}}]
    parts["bindings"] = [leads("orders.dead", "out", bound)]
    assert bool(Letters(Seen(parts)).targets(parts["queues"][0])) is arrives


def test_dead_letters_are_followed_from_exchange_to_exchange_and_to_the_alternate_one():
    parts = orderly()
    parts["queues"] = [queue("orders", effective_policy_definition={"dead-letter-exchange": "first"}), dead("a"), dead("b")]
    parts["exchanges"] = [
        {"vhost": "shop", "name": "first", "type": "fanout", "arguments": {}},
        {"vhost": "shop", "name": "second", "type": "direct", "arguments": {"alternate-exchange": "third"}},
        {"vhost": "shop", "name": "third", "type": "fanout", "arguments": {}},
    ]
    to_second = leads("second", "first", "", destination_type="exchange")
    back = leads("first", "second", "", destination_type="exchange")  # round and round is no way to hang
    parts["bindings"] = [to_second, back, leads("a", "first", ""), leads("b", "third", "")]
    assert [target["name"] for target in Letters(Seen(parts)).targets(parts["queues"][0])] == ["a", "b"]


def test_a_way_that_leads_nowhere_has_no_end():
    parts = orderly()
    parts["queues"] = [queue("orders", effective_policy_definition={"dead-letter-exchange": "", "dead-letter-routing-key": "gone"})]
    assert Letters(Seen(parts)).targets(parts["queues"][0]) == []
