"""The audit's checks: each where it passes and where it fails; and what may not be seen never passes."""

import re
import time
from datetime import date

import pytest

from rabbitlab.audit.checklist import ITEMS
from rabbitlab.audit.letters import Letters
from rabbitlab.audit.seen import Seen
from rabbitlab.audit.verdict import Verdict, judge
from tests import test_audit_bad as own
from tests import test_audit_live as live
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


def without(part, *keys):
    """Take these keys from each thing of a part."""

    def apply(parts):
        for thing in parts[part]:
            for key in keys:
                thing.pop(key, None)

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


def stream(name):
    return queue(name, type="stream", arguments={"x-queue-type": "stream"})


def overflowing(argument, **by_policy):
    """A quorum queue with an argument for its overflow and another word in its policy, of which the policy's holds."""
    policy = {"dead-letter-exchange": "dead", "dead-letter-strategy": "at-least-once"}
    policy |= {"overflow": by_policy["policy"]} if by_policy else {}
    arguments = {"x-queue-type": "quorum", "x-overflow": argument}
    return more("queues", queue("full", arguments=arguments, effective_policy_definition=policy))


def holding(messages, *, persistent, bytes, persistent_bytes, **more):
    """A classic queue with messages; the API has read how many some seconds after the rest."""
    numbers = {
        "messages": messages,
        "messages_persistent": persistent,
        "message_bytes": bytes,
        "message_bytes_persistent": persistent_bytes,
    }
    return classic("busy", **numbers, **more)


def session(**more):
    """What the broker keeps for a client of MQTT."""
    return classic("mqtt-subscription-tillqos0", **more)


def handling(strategy):
    """Have a strategy for partitions in the configuration."""
    return has(config={"cluster_partition_handling": strategy})


def limits(value):
    """Have these limits in the virtual host ``shop``."""
    return only("vhost_limits", {"vhost": "shop", "value": value}, {"vhost": "/", "value": {"max-connections": 0}})


def silenced(alert):
    """Do without an alert."""
    return lambda parts: parts.update(rules=[rule for rule in parts["rules"] if rule["name"] != alert])


PLAIN_LISTENERS = only("listeners", listener(NODES[0], "amqp", 5672))  # none with a certificate
WITHOUT_CONSUMER = (
    "rabbitmq_queue_consumers < 1",
    'sum by (queue) (rabbitmq_detailed_queue_consumers{queue="orders"}) == 0',
    "rabbitmq_detailed_queue_messages_ready > 0 unless rabbitmq_detailed_queue_consumers > 0",
)


MNESIA = only("feature_flags", {"name": "khepri_db", "state": "disabled", "stability": "stable"})
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
    ("persistent-messages", PASS, more("queues", holding(1040, persistent=1000, bytes=9000, persistent_bytes=9000)), ""),
    (
        "persistent-messages",
        FAIL,
        more("queues", holding(1000, persistent=1000, bytes=9000, persistent_bytes=8000)),
        "1 classic queue holds",
    ),
    ("persistent-messages", UNSEEN, more("queues", holding(3, persistent=0, bytes=0, persistent_bytes=0, consumers=1)), ""),
    ("persistent-messages", FAIL, more("queues", holding(3, persistent=0, bytes=0, persistent_bytes=0)), "busy"),
    ("manual-acks", PASS, as_it_is, ""),
    ("manual-acks", FAIL, more("consumers", consumer("orders", ack_required=False)), "orders"),
    (
        "manual-acks",
        FAIL,
        more("channels", {"user": "till", "connection_details": {"name": "till"}, "message_stats": {"get_no_ack": 2}}),
        "till",
    ),
    ("manual-acks", UNSEEN, only("consumers"), ""),
    ("manual-acks", PASS, both(more("queues", stream("events.log")), more("consumers", consumer("events.log", ack_required=False))), ""),
    (
        "manual-acks",
        PASS,
        both(more("queues", session()), more("consumers", consumer("mqtt-subscription-tillqos0", ack_required=False))),
        "",
    ),
    ("quorum-queues", PASS, more("queues", session()), ""),
    ("stuck-messages", PASS, more("queues", session(messages_ready=3)), ""),
    ("queue-bounds", PASS, more("queues", session(effective_policy_definition={})), ""),
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
    ("dead-letters-kept", FAIL, overflowing("reject-publish", policy="drop-head"), "in vain"),
    ("dead-letters-kept", PASS, overflowing("drop-head", policy="reject-publish"), ""),
    ("dead-letters-kept", PASS, overflowing("reject-publish"), ""),
    ("dead-letters-kept", FAIL, overflowing("drop-head"), "in vain"),
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
    ("retry-limits", PASS, lambda parts: parts["queues"][1].update(delivery_limit=-1), "20"),
    ("retry-limits", NOT_APPLICABLE, only("queues", dead("orders.dead", delivery_limit=-1)), "dead letters"),
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
    ("partition-handling", NOT_APPLICABLE, handling("pause_minority"), "since 4.3"),
    ("partition-handling", FAIL, both(version("4.2.1"), MNESIA, handling("ignore")), ""),
    ("partition-handling", PASS, both(version("4.2.1"), MNESIA, handling("pause_minority")), ""),
    ("partition-handling", UNSEEN, both(version("4.2.1"), MNESIA), "conf.d"),
    ("partition-handling", NOT_APPLICABLE, both(version("4.2.1"), handling("ignore")), "Khepri"),
    ("partition-handling", NOT_APPLICABLE, both(version("4.2.1"), MNESIA, handling("ignore"), only("nodes", node(NODES[0]))), "one node"),
    ("partition-handling", FAIL, of("nodes", partitions=[NODES[2]]), "split"),
    ("load-balancer", UNSEEN, as_it_is, ""),
    ("load-balancer", FAIL, more("connections", *(connection(f"till {n}", "till") for n in range(10))), NODES[0]),
    ("management-ui", PASS, as_it_is, ""),
    ("management-ui", FAIL, only("listeners", listener(NODES[0], "http", 15672)), NODES[1]),
    ("metrics-exported", PASS, as_it_is, ""),
    ("metrics-exported", FAIL, only("listeners", listener(NODES[0], "http/prometheus", 15692)), NODES[2]),
    ("alerts", PASS, as_it_is, "redeliveries"),
    ("alerts", FAIL, only("rules"), "queue depth, memory, disk, queues without a consumer"),
    *(
        ("alerts", FAIL, silenced(alert), f"no alert is about {subject}.")
        for alert, subject in (
            ("Deep", "queue depth"),
            ("Memory", "memory"),
            ("Disk", "disk"),
            ("NoConsumer", "queues without a consumer"),
            ("Lag", "consumer lag"),
            ("Unroutable", "messages that no queue matched"),
            ("GivenUp", "messages dropped at the delivery limit"),
            ("Circles", "redeliveries"),
            ("Connections", "connections"),
            ("Gone", "nodes that are gone"),
            ("Peers", "nodes that miss each other"),
        )
    ),
    *(("alerts", PASS, both(silenced("NoConsumer"), more("rules", rule("Nobody", query))), "") for query in WITHOUT_CONSUMER),
    ("alerts", FAIL, both(silenced("NoConsumer"), more("rules", rule("Busy", "rabbitmq_queue_consumers > 0"))), "without a consumer"),
    ("alerts", FAIL, both(silenced("Lag"), silenced("Quiet")), "no alert is about consumer lag, message rates."),
    ("alerts", UNSEEN, silenced("Certificates"), "health check"),
    ("alerts", PASS, both(silenced("Certificates"), PLAIN_LISTENERS), ""),
    ("alerts", FAIL, both(silenced("Certificates"), silenced("Disk")), "disk, certificates that run out"),
    ("alerts", FAIL, more("rules", rule("Files", "rabbitmq_alarms_file_descriptor_limit > 0")), "is gone"),
    ("alerts", FAIL, more("rules", rule("Mute", 'rabbitmq_queue_messages_ready{queue="orders"} > 9')), "has the name of a queue"),
    *(
        ("alerts", PASS, more("rules", rule("All", f"sum(rabbitmq_queue_messages_ready{{{nameless}}}) > 1000")), "")
        for nameless in ('queue!~".+[.]dead"', 'queue!="toys"', 'queue=~".*"', 'queue=""', 'vhost="shop", queue!="toys",queue!~".+[.]dead"')
    ),
    *(
        ("alerts", FAIL, more("rules", rule("All", f"sum(rabbitmq_queue_messages_ready{{{named}}}) > 1000")), "All: no series")
        for named in (
            'queue!=""',
            'queue=~".+"',
            'queue!~"|toys"',
            'queue="a{1}"',
            'queue!="",queue!~".+[.]dead"',
            'queue!="toys",queue=~".+"',
        )
    ),
    ("alerts", FAIL, more("rules", rule("All", r'rabbitmq_queue_messages_ready{queue=~"\\pL+"} > 1000')), "All: no series"),
    ("alerts", PASS, more("rules", rule("All", r'rabbitmq_queue_messages_ready{queue!~"\\pL+"} > 1000')), ""),
    ("alerts", FAIL, more("rules", rule("Broken", "rabbitmq_up +", health="err", lastError="parse error")), "parse error"),
    ("log-aggregation", UNSEEN, as_it_is, "as json"),
    ("log-aggregation", FAIL, of("nodes", log_files=[]), NODES[0]),
    ("health-checks", UNSEEN, as_it_is, "leaves no trace"),
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
    *(
        ("permissions", FAIL, more("permissions", {"user": "till", "vhost": "shop", "configure": "^$", "write": "", "read": wide}), wide)
        for wide in ("^", ".", "(.*)", "orders|", "[^ ]")
    ),
    *(
        ("permissions", PASS, more("permissions", {"user": "till", "vhost": "shop", "configure": "^$", "write": "", "read": narrow}), "")
        for narrow in ("orders", "^(orders|parcels)[.]", "^amq[.]default$", "^[a-z]+[.]events$", "^(")
    ),
    ("permissions", UNSEEN, more("connections", connection("app", "a-user-of-ldap")), "a-user-of-ldap"),
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
    ("backups", UNSEEN, as_it_is, "leaves no trace"),
    ("resource-limits", PASS, as_it_is, "0.5"),
    ("resource-limits", FAIL, only("vhost_limits"), "shop"),
    ("resource-limits", FAIL, limits({"max-connections": -1}), "shop"),
    ("resource-limits", FAIL, limits({"max-connections": -1, "max-queues": -1}), "shop"),
    ("resource-limits", FAIL, limits({"max-connections": -1, "max-queues": 10}), "1 virtual host has no limit of connections."),
    ("resource-limits", FAIL, limits({"max-connections": 10}), "1 virtual host has no limit of queues."),
    ("resource-limits", PASS, both(limits({"max-queues": 10}), lambda parts: parts["config"].update(connection_max="500")), ""),
    ("resource-limits", FAIL, only("user_limits"), "2 users have no limit of channels. | packer (user) | till (user)"),
    ("resource-limits", FAIL, of("user_limits", value={"max-channels": -1}), "2 users"),
    ("resource-limits", FAIL, of("user_limits", value={"max-connections": 1}), "2 users"),
    ("resource-limits", PASS, both(only("user_limits"), lambda parts: parts["config"].update(channel_max="64")), ""),
    ("resource-limits", FAIL, both(only("user_limits"), lambda parts: parts["config"].update(channel_max="0")), "2 users"),
    ("resource-limits", PASS, both(only("user_limits"), of("permissions", configure="^$", write="", read="^$")), ""),
    ("resource-limits", PASS, limits({"max-connections": 0}), ""),
    ("resource-limits", FAIL, limits([]), "shop"),  # as old versions tell that there is none
    ("resource-limits", FAIL, of("nodes", disk_free_limit=50_000_000), "50 MB"),
    ("resource-limits", FAIL, of("nodes", disk_free_limit=200_000_000), "200 MB"),
    ("resource-limits", FAIL, has(config={"vm_memory_high_watermark.relative": "0.9"}), "0.9"),
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
    ("unacked-at-prefetch", UNSEEN, lambda parts: parts["queues"][0].update(messages_unacknowledged=20, messages_ready=5), "long work"),
    (
        "unacked-at-prefetch",
        UNSEEN,
        lambda parts: parts["queues"][0].update(messages_unacknowledged=20, messages_ready=5, message_stats={"ack_details": {"rate": 0.0}}),
        "orders",
    ),
    (
        "unacked-at-prefetch",
        UNSEEN,
        both(
            more("consumers", *(consumer("orders", active=False) for _ in range(2))),
            lambda parts: parts["queues"][0].update(messages_unacknowledged=20, messages_ready=5),
        ),
        "orders",
    ),
    (
        "unacked-at-prefetch",
        PASS,
        lambda parts: parts["queues"][0].update(messages_unacknowledged=20, messages_ready=5, message_stats={"ack_details": {"rate": 3.0}}),
        "",
    ),
    ("unacked-at-prefetch", UNSEEN, only("consumers"), ""),
    ("unacked-at-prefetch", FAIL, has(stuck=["orders in shop"]), "orders in shop"),
    ("unacked-at-prefetch", UNSEEN, lambda parts: parts["overview"].update(disable_stats=True), "statistics"),
    ("queue-bounds", PASS, as_it_is, ""),
    ("queue-bounds", FAIL, more("queues", queue("endless", effective_policy_definition={"dead-letter-exchange": "dead"})), "endless"),
    ("lost-in-silence", PASS, as_it_is, "within a day"),
    ("lost-in-silence", FAIL, has(lost_lately=LOST), "3 messages"),
    ("lost-in-silence", PASS, has(lost_lately={}), "since the nodes started"),
    ("lost-in-silence", PASS, has(watched=set(NODES[:2])), "since the nodes started"),
    ("lost-in-silence", UNSEEN, both(has(watched=set(NODES[:2])), lambda parts: parts["metrics"].update(nodes=[NODES[0]])), NODES[1]),
    ("lost-in-silence", UNSEEN, both(has(lost_lately={}), lambda parts: parts["metrics"].update(lost={})), "matched no queue"),
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
    ("anonymous-login", UNSEEN, more("listeners", listener(NODES[0], "mqtt", 1883)), "MQTT"),
    ("anonymous-login", UNSEEN, more("listeners", listener(NODES[0], "http/web-mqtt", 15675)), "MQTT"),
    ("anonymous-login", PASS, both(more("listeners", listener(NODES[0], "mqtt", 1883)), has(config={"mqtt.allow_anonymous": "false"})), ""),
    ("certificates", PASS, only("nodes", node(NODES[0])), ""),
    ("certificates", UNSEEN, as_it_is, NODES[1]),
    ("certificates", FAIL, has(certificates="Certificates expiring"), "Certificates expiring"),
    ("certificates", NOT_APPLICABLE, only("listeners", listener(NODES[0], "amqp", 5672)), ""),
]
# No cluster shows these: the finding says why, and who must look is all that can be said.
NEVER_FAIL = {
    "health-checks": "being asked leaves no trace at a node",
    "backups": "to export definitions is to read them, which leaves no trace there",
}
# That nothing is wrong cannot be shown from here: they fail, or stay unseen. Obsolete ones are not applicable where they are not used.
NEVER_PASS = {"health-checks", "backups", "cancelled-consumers", "load-balancer", "log-aggregation", "persistent-storage", "documentation"}
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


def test_each_check_is_seen_to_fail_on_a_cluster_that_runs():
    """Or is named with the reason why no cluster of ours can be made bad so."""
    bad = {*live.BAD_ROOM, *live.BAD_LAB, *live.IN_TROUBLE, *live.ONE_BY_ONE, *own.BAD_NODE, *own.BAD_PROMETHEUS}
    assert bad | own.CANNOT.keys() == BY_ID.keys()
    assert not bad & own.CANNOT.keys()
    assert own.CANNOT.keys() >= NEVER_FAIL.keys()


@pytest.mark.parametrize("id", NEVER_FAIL)
def test_what_no_cluster_shows_says_why_and_who_looks(id):
    assert NEVER_FAIL[id] in judged(id, orderly()).saw
    assert BY_ID[id].look.startswith("Whoever ")


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
    ("lost-in-silence", "watched"),
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


NODE_WITHOUT_STATISTICS = ("name", "type", "running")


def without_statistics(parts):
    """As ``management_agent.disable_metrics_collector = true`` has it: nodes and connections tell little more than their names."""
    parts["overview"]["disable_stats"] = True
    parts["nodes"] = [{key: each[key] for key in NODE_WITHOUT_STATISTICS} for each in parts["nodes"]]
    parts["connections"] = [{key: each[key] for key in ("name", "vhost", "user", "node")} for each in parts["connections"]]


def test_a_prometheus_that_counts_nothing_of_this_cluster_does_not_say_that_nothing_was_lost():
    for parts in (orderly() | {"lost_lately": {}}, orderly() | {"watched": set()}):
        assert judged("lost-in-silence", parts, unread={"metrics": "No address is known."}).verdict is UNSEEN


@pytest.mark.parametrize("id", ["alarms", "resource-limits", "tls"])
def test_nodes_and_connections_that_tell_nothing_are_neither_good_nor_bad(id):
    parts = orderly()
    without_statistics(parts)
    assert judged(id, parts).verdict is UNSEEN


def new(name):
    """A queue of which the API has no statistics yet, or no more: neither its policy nor its numbers are told."""
    keys = ("name", "vhost", "type", "durable", "exclusive", "auto_delete", "arguments", "members", "online")
    return {key: value for key, value in queue(name).items() if key in keys}


@pytest.mark.parametrize(
    "id",
    ["dead-letter-exchanges", "dead-letters-kept", "retry-backoff", "retry-limits", "stuck-messages", "failed-messages", "queue-bounds"],
)
def test_a_queue_without_statistics_is_not_taken_for_one_without_a_policy(id):
    parts = orderly()
    parts["queues"].append(new("fresh"))
    finding = judged(id, parts)
    assert finding.verdict is UNSEEN
    assert "fresh in shop" in finding.saw


def test_a_queue_without_statistics_hides_no_other():
    parts = orderly()
    parts["queues"] += [new("fresh"), queue("bare", effective_policy_definition={})]
    for id in ("dead-letter-exchanges", "queue-bounds"):
        assert judged(id, parts).objects == ("bare in shop",)


def test_a_limit_that_is_not_told_is_the_one_that_quorum_queues_have():
    parts = orderly()
    without("queues", "delivery_limit")(parts)
    assert judged("retry-limits", parts).verdict is PASS


def test_whom_an_anonymous_client_becomes_is_not_guessed():
    parts = orderly()
    of("nodes", auth_mechanisms=[{"name": "ANONYMOUS", "enabled": True}])(parts)
    finding = judged("anonymous-login", parts, unread={"config": "It was not given."})
    assert finding.verdict is UNSEEN
    assert finding.objects == NODES


def test_an_alarm_is_told_even_if_another_node_tells_nothing():
    parts = orderly()
    parts["nodes"][0]["mem_alarm"] = True
    parts["nodes"][1] = {key: parts["nodes"][1][key] for key in NODE_WITHOUT_STATISTICS}
    assert judged("alarms", parts).objects == (f"{NODES[0]}: memory",)


def test_whether_all_users_have_a_limit_of_channels_is_not_guessed():
    parts = orderly()
    parts["user_limits"] = []
    finding = judged("resource-limits", parts, unread={"config": "It was not given."})
    assert finding.verdict is UNSEEN
    assert finding.objects == ("packer", "till")


def test_what_else_is_without_limits_is_told_where_the_disk_limit_is_not_shown():
    parts = orderly()
    without_statistics(parts)
    parts["vhost_limits"] = []
    finding = judged("resource-limits", parts)
    assert finding.verdict is FAIL
    assert "disk" not in finding.saw


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


def mended(id, parts):
    """What is said to mend it, and its reason."""
    (result,) = judge([BY_ID[id]], Seen(parts))
    assert result.verdict is FAIL, result.finding
    return f"{result.finding.saw} {result.finding.mend or result.item.mend}"


BARE = queue("bare", effective_policy_definition={}, delivery_limit=None)  # as versions before 4.0 tell it
ENDLESS = stream("events.log") | {"effective_policy_definition": {}}
MIRRORED = classic("copied", effective_policy_definition={"ha-mode": "all"})
MIRRORS = {"vhost": "/", "name": "mirrors", "definition": {"ha-mode": "all"}}
PLUGIN = of("nodes", enabled_plugins=["rabbitmq_delayed_message_exchange"])
ANONYMOUS = [{"name": "AMQPLAIN", "enabled": True}, {"name": "ANONYMOUS", "enabled": True}, {"name": "RABBIT-CR-DEMO", "enabled": False}]
GUEST = {"name": "guest", "tags": ["administrator"]}


@pytest.mark.parametrize(
    ("id", "change", "said", "unsaid"),
    [
        ("mirrored-queues", both(version("3.13.7"), more("policies", MIRRORS)), r"first.*without its `ha-\*`", "clear_policy"),
        ("mirrored-queues", more("policies", MIRRORS), r"without its `ha-\*`", "first"),
        ("delayed-message-plugin", PLUGIN, "until.*delete.*disable.*delayed retry", ""),
        ("delayed-message-plugin", both(version("4.2.1"), PLUGIN), "until.*delete.*disable", "delayed retry"),
        (
            "default-credentials",
            both(more("users", GUEST), of("connections", user="guest")),
            "each program.*no connection.*delete_user",
            "",
        ),
        ("retry-limits", more("queues", queue("endless", delivery_limit=-1)), "basic_reject", "by policy"),
        ("retry-limits", both(version("3.13.7"), without("queues", "delivery_limit")), '"delivery-limit".*policy', "basic_nack"),
        ("anonymous-login", both(of("nodes", auth_mechanisms=ANONYMOUS), more("users", GUEST)), "auth_mechanisms.1 = AMQPLAIN", "CR-DEMO"),
        (
            "anonymous-login",
            both(of("nodes", auth_mechanisms=ANONYMOUS), more("users", GUEST), more("listeners", listener(NODES[0], "mqtt", 1883))),
            "mqtt.allow_anonymous = false",
            "",
        ),
        ("partition-handling", both(version("4.2.1"), MNESIA, handling("ignore")), "pause_minority", ""),
        (
            "partition-handling",
            both(version("4.2.1"), MNESIA, handling("ignore"), only("nodes", *map(node, NODES[:2]))),
            "three nodes",
            "pause_minority",
        ),
        ("partition-handling", both(version("3.13.7"), of("nodes", partitions=[NODES[2]])), "keep.*lost.*stop.*start", "restart one part"),
        ("dead-letter-exchanges", more("queues", BARE), "which drop what fails: 1", ""),
        ("dead-letter-exchanges", both(version("3.13.7"), more("queues", BARE)), "comes back for ever", "drop what fails"),
        ("odd-nodes", only("nodes", *map(node, NODES[:2])), "stops everything", ""),
        ("odd-nodes", both(version("3.13.7"), MNESIA, only("nodes", *map(node, NODES[:2]))), "quorum queue", "everything"),
        ("odd-nodes", both(version("3.13.7"), MNESIA, only("nodes", node(NODES[0]))), "stops everything", ""),
        ("quorum-queues", both(version("3.13.7"), more("queues", MIRRORED)), "1 of 9 queues has mirrors.*4.0", "one node only"),
        ("quorum-queues", more("queues", MIRRORED), "lives on one node only", "mirrors"),
        ("quorum-queues", more("queues", stream("events.log") | {"members": [NODES[0]]}), "rabbitmq-streams add_replica", ""),
        ("queue-members", more("queues", stream("events.log") | {"online": [NODES[0]]}), "rabbitmq-streams delete_replica", ""),
        ("leaders-balanced", of("queues", leader=NODES[2]), "rebalance all", "rebalance quorum"),
        ("queue-bounds", more("queues", ENDLESS), "max-age.*streams", '"max-length":'),
        ("queue-bounds", more("queues", BARE), '"max-length":', "streams"),
        ("queue-bounds", more("queues", BARE, ENDLESS), '"max-length":.*max-age', ""),
    ],
)
def test_what_mends_it_does_so_on_this_version_and_loses_nothing(id, change, said, unsaid):
    parts = orderly()
    change(parts)
    told = mended(id, parts)
    assert re.search(said, told), told
    assert not unsaid or unsaid not in told, told


@pytest.mark.parametrize(
    ("told", "said"), [("4.3.6", "Obsolete;"), ("4.2.1", "Obsolete with RabbitMQ 4.3;"), ("3.13.7", "Obsolete with RabbitMQ 4.3;")]
)
def test_a_health_check_is_obsolete_where_it_does_nothing(told, said):
    parts = orderly()
    version(told)(parts)
    assert said in judged("health-checks", parts).saw


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
        ("direct", "orders.failed", None, False),
    ],
)
def test_dead_letters_are_followed_through_their_exchange(kind, bound, key, arrives):
    policy = {"dead-letter-exchange": "out"} | ({"dead-letter-routing-key": key} if key is not None else {})
    parts = orderly()
    parts["queues"] = [queue("orders", effective_policy_definition=policy), dead("orders.dead")]
    parts["exchanges"] = [{"vhost": "shop", "name": "out", "type": kind, "arguments": {}}]
    parts["bindings"] = [leads("orders.dead", "out", bound)]
    assert bool(Letters(Seen(parts)).targets(parts["queues"][0])) is arrives


@pytest.mark.parametrize(
    ("work", "dead_letters", "arrives"),
    [
        (("direct", "new"), ("direct", "dead"), False),
        (("direct", "new"), ("direct", "new"), True),
        (("direct", "new"), ("direct", "orders"), True),  # a key of the default exchange
        (("direct", "new"), ("topic", "dead"), True),
        (("topic", "new"), ("direct", "dead"), True),
        (("fanout", ""), ("direct", "dead"), True),
        (None, ("direct", "dead"), False),
        (None, ("direct", "orders"), True),
    ],
)
def test_dead_letters_keep_the_keys_that_their_queue_is_bound_with(work, dead_letters, arrives):
    """Where all of a queue's sources are direct, no message in it can have another key."""
    parts = orderly()
    parts["queues"] = [queue("orders"), dead("orders.dead")]
    parts["exchanges"] = [{"vhost": "shop", "name": "dead", "type": dead_letters[0], "arguments": {}}]
    parts["bindings"] = [leads("orders.dead", "dead", dead_letters[1]), leads("orders", "", "orders")]
    if work:
        parts["exchanges"].append({"vhost": "shop", "name": "sales", "type": work[0], "arguments": {}})
        parts["bindings"].append(leads("orders", "sales", work[1]))
    assert bool(Letters(Seen(parts)).targets(parts["queues"][0])) is arrives
    assert judged("dead-letters-kept", parts).verdict is (PASS if arrives else FAIL)


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


def delayed(parts):
    """Work that waits in ``orders.wait`` for as long as each message says, and then goes to ``orders``, which gives nothing up."""
    back = {"dead-letter-exchange": "", "dead-letter-routing-key": "orders"}
    parts["queues"] = [
        queue("orders", effective_policy_definition={}, delivery_limit=-1, messages=50_000, messages_ready=50_000),
        queue("orders.wait", effective_policy_definition=back),
    ]
    parts["bindings"] = []


def shared_exchange(parts):
    """One exchange for work and for what is given up: what ``orders`` gives up, ``invoices`` gets as work."""
    policy = {"dead-letter-exchange": "sales"}
    parts["queues"] = [
        queue("orders", effective_policy_definition=policy, consumers=2),
        queue("invoices", effective_policy_definition={}, delivery_limit=-1, messages=50_000, messages_ready=50_000),
    ]
    parts["exchanges"] = [{"vhost": "shop", "name": "sales", "type": "topic", "arguments": {}}]
    parts["bindings"] = [leads("orders", "sales", "order.*"), leads("invoices", "sales", "#")]


def shared_exchange_with_a_ttl(parts):
    """The same, where ``orders`` gives up what grows old."""
    shared_exchange(parts)
    parts["queues"][0]["effective_policy_definition"]["message-ttl"] = 86_400_000
    parts["queues"].append(queue("parcels", effective_policy_definition={"dead-letter-exchange": "sales"}, consumers=1))


@pytest.mark.parametrize(
    ("topology", "work"), [(delayed, "orders"), (shared_exchange, "invoices"), (shared_exchange_with_a_ttl, "invoices")]
)
def test_a_queue_of_work_is_no_queue_of_dead_letters(topology, work):
    parts = orderly()
    topology(parts)
    for id in ("dead-letter-exchanges", "retry-limits", "queue-bounds", "stuck-messages"):
        finding = judged(id, parts)
        assert finding.verdict is FAIL, id
        assert f"{work} in shop" in finding.objects, id
    assert judged("failed-messages", parts).verdict is NOT_APPLICABLE


def work_with_a_ttl(parts):
    """As the audit's own mends leave it: work that grows old goes to the queue of dead letters, and nothing leads back from there."""
    policy = {"dead-letter-exchange": "dead", "dead-letter-strategy": "at-least-once", "overflow": "reject-publish"}
    parts["queues"] = [
        queue("orders", effective_policy_definition=policy | {"message-ttl": 86_400_000}, messages=5, messages_ready=5),
        queue("invoices", effective_policy_definition=policy | {"message-ttl": 172_800_000}, consumers=1),
        dead("orders.dead"),
    ]


def work_that_is_tried_again_after_a_day(parts):
    """What grows old in ``orders`` waits in ``orders.dead`` until it goes back."""
    there = {"message-ttl": 86_400_000, "dead-letter-exchange": "", "dead-letter-routing-key": "orders.dead"}
    parts["queues"] = [
        queue("orders", effective_policy_definition=there, messages=5, messages_ready=5),
        waiting("orders.dead", 60_000, "orders"),
    ]


@pytest.mark.parametrize("topology", [work_with_a_ttl, work_that_is_tried_again_after_a_day])
def test_work_that_grows_old_is_no_waiting_room(topology):
    parts = orderly()
    topology(parts)
    finding = judged("stuck-messages", parts)
    assert finding.verdict is FAIL
    assert finding.objects == ("orders in shop",)


def test_dead_letters_of_different_ages_are_no_retry():
    parts = orderly()
    work_with_a_ttl(parts)
    finding = judged("retry-backoff", parts)
    assert finding.verdict is UNSEEN
    assert "no waiting queue" in finding.saw


def test_what_waits_for_its_next_try_needs_no_consumer():
    parts = orderly()
    parts["queues"][2].update(messages=5, messages_ready=5)
    assert judged("stuck-messages", parts).verdict is PASS


@pytest.mark.parametrize("exchange", ["failures", ""])
def test_what_only_dead_letters_reach_is_a_queue_of_dead_letters_whatever_its_name(exchange):
    policy = {"dead-letter-exchange": exchange, "dead-letter-routing-key": "orders.failed"}
    parts = orderly()
    parts["queues"] = [
        queue("orders", effective_policy_definition=policy, consumers=1),
        queue("orders.failed", effective_policy_definition={}, messages=3, messages_ready=3),
    ]
    parts["exchanges"] = [{"vhost": "shop", "name": "failures", "type": "direct", "arguments": {}}]
    parts["bindings"] = [leads("orders.failed", "", "orders.failed"), leads("orders", "", "orders")]
    parts["bindings"] += [leads("orders.failed", "failures", "orders.failed")] if exchange else []
    assert judged("failed-messages", parts).objects == ("orders.failed in shop",)
    assert judged("stuck-messages", parts).verdict is PASS


@pytest.mark.parametrize(("kind", "routed"), [("direct", True), ("topic", True), ("topic", False), ("fanout", False)])
@pytest.mark.parametrize("ttl", [None, 86_400_000])
def test_ten_thousand_queues_with_one_dead_letter_exchange_are_judged_in_a_moment(ttl, kind, routed):
    parts = orderly()
    parts["queues"] = []
    for n in range(5000):
        policy = {"dead-letter-exchange": "dead", "message-ttl": ttl}
        policy |= {"dead-letter-routing-key": f"orders.{n}.dead"} if routed else {}
        work = queue(f"orders.{n}", effective_policy_definition=policy, consumers=0 if ttl else 1)
        parts["queues"] += [work, dead(f"orders.{n}.dead")]
    parts["exchanges"] = [{"vhost": "shop", "name": "dead", "type": kind, "arguments": {}}]
    parts["bindings"] = [leads(f"orders.{n}.dead", "dead", f"orders.{n}.dead") for n in range(5000)]
    began = time.process_time()
    judge(ITEMS, Seen(parts))
    assert time.process_time() - began < 5


def test_a_way_that_leads_nowhere_has_no_end():
    parts = orderly()
    parts["queues"] = [queue("orders", effective_policy_definition={"dead-letter-exchange": "", "dead-letter-routing-key": "gone"})]
    assert Letters(Seen(parts)).targets(parts["queues"][0]) == []
