"""What a checklist does not ask, and a cluster that runs shows: its nodes as they are now."""

from collections import Counter
from datetime import date
from typing import Any

from rabbitlab.audit.queues import number, some
from rabbitlab.audit.seen import Seen
from rabbitlab.audit.verdict import Finding, Section, Verdict, failed, not_applicable, passed, unseen
from rabbitlab.audit.versions import AS_OF, GOOD_UNTIL, NEWEST, PAGE, version

SECTION = Section("As it runs now", "Nodes")
NEAR = 0.8  # of a watermark
ALARMS = {"memory": "mem_alarm", "disk": "disk_free_alarm"}


@SECTION.item(
    "alarms",
    "No alarm, and room before the next",
    why="An alarm of memory or disk on one node stops the publishers of the whole cluster.",
    mend="Let consumers catch up, or purge what is not needed; give the node more memory or disk. Then find out which queue it was.",
    look="Whoever runs the nodes: `rabbitmq-diagnostics alarms`, and its `memory_breakdown`.",
    lessons=("reference_06_operations.md#a-node-has-less-than-its-machine",),
)
def alarms(seen: Seen) -> Finding:
    """Alarms, memory near its watermark, little disk above its limit, files near their limit."""
    nodes = [node for node in seen["nodes"] if node.get("running")]
    raised = [f"{node['name']}: {what}" for node in nodes for what, flag in ALARMS.items() if node.get(flag)]
    if raised:
        return failed(f"{number(len(raised), 'alarm')}: publishers wait in the whole cluster.", raised)
    near = [node["name"] for node in nodes if node.get("mem_limit") and node.get("mem_used", 0) > NEAR * node["mem_limit"]]
    near += [node["name"] for node in nodes if node.get("disk_free_limit") and node.get("disk_free", 0) < 2 * node["disk_free_limit"]]
    near += [node["name"] for node in nodes if node.get("fd_total") and node.get("fd_used", 0) > NEAR * node["fd_total"]]
    if near:
        return failed(f"{number(len(set(near)), 'node', 'are')} near a limit of memory, disk or files.", dict.fromkeys(near))
    silent = [node["name"] for node in nodes if any(key not in node for key in ("mem_limit", *ALARMS.values()))]
    if silent:
        return unseen(f"{number(len(silent), 'node', 'do', of=len(nodes))} not show alarms and memory.", silent)
    memory = max((node.get("mem_used", 0) / node["mem_limit"] for node in nodes if node.get("mem_limit")), default=0)
    return passed(f"No alarm; at most {memory:.0%} of the memory before the watermark is used.")


@SECTION.item(
    "supported-version",
    "A series that is supported",
    why="A hole that is known is mended in the newest series, and in no other.",
    mend="Upgrade one series at a time, with every stable feature flag on beforehand, one node after another.",
    look=f"Whoever runs the nodes: {PAGE} names the newest patch of each series, and until when it is supported.",
    lessons=("reference_05_security.md#stay-on-a-version-that-is-mended",),
)
def supported_version(seen: Seen) -> Finding:
    """Series against a table, and nodes of different versions."""
    told = str(seen["overview"]["rabbitmq_version"])
    every = Counter(_version_of(node) for node in seen["nodes"] if node.get("running") and _version_of(node))
    if len(every) > 1:
        return failed("The nodes are of different versions, as during an upgrade.", [f"{each}: {count}" for each, count in every.items()])
    series, newest = version(told)[:2], ".".join(map(str, NEWEST))
    if series < NEWEST:
        return failed(f"{told}; the series that gets patches is {newest}. A contract may say otherwise.")
    today: date = seen["today"]
    if series > NEWEST or today > GOOD_UNTIL:
        return unseen(f"{told}; this audit knows series up to {newest}, as of {AS_OF:%B %Y}.")
    return passed(f"{told}, of the series that gets patches (as of {AS_OF:%B %Y}); is it the newest patch?")


@SECTION.item(
    "feature-flags",
    "Feature flags on",
    why="A stable flag that is off keeps new behaviour away, and the next upgrade from starting.",
    mend="`rabbitmqctl enable_feature_flag all`, once all nodes are of one version.",
    look="Whoever runs the nodes: `rabbitmqctl list_feature_flags`.",
    lessons=("reference_05_security.md#stay-on-a-version-that-is-mended",),
)
def feature_flags(seen: Seen) -> Finding:
    """Stable flags that are off."""
    off = [flag["name"] for flag in seen["feature_flags"] if flag.get("stability") == "stable" and flag.get("state") != "enabled"]
    if off:
        return failed(f"{number(len(off), 'stable flag', 'are', of=len(seen['feature_flags']))} off.", off)
    return passed("Every stable feature flag is on.")


@SECTION.item(
    "deprecated-features",
    "No deprecated feature in use",
    why="What is deprecated is refused by one of the next series, and then a program stops on the day of the upgrade.",
    mend="`rabbitmqctl list_deprecated_features` names them; change the program or the declaration.",
    look="Whoever runs the nodes: `rabbitmq-diagnostics check_if_any_deprecated_features_are_used`.",
    lessons=("reference_05_security.md#stay-on-a-version-that-is-mended",),
)
def deprecated_features(seen: Seen) -> Finding:
    """Those that the cluster says are used."""
    used = [feature["name"] for feature in seen["deprecated_used"]]
    if used:
        return failed(f"{number(len(used), 'deprecated feature')} in use.", used)
    return passed("None is in use.")


@SECTION.item(
    "anonymous-login",
    "No anonymous login",
    why="A client that gives no name is let in as the default user, wherever that one still exists.",
    mend="`auth_mechanisms.1 = PLAIN` in `rabbitmq.conf`, and a line for each other mechanism that clients use;"
    " or `anonymous_login_user = none`. Where clients speak MQTT, `mqtt.allow_anonymous = false`, too.",
    look="Whoever keeps `rabbitmq.conf`: auth_mechanisms names no `ANONYMOUS`, or `anonymous_login_user = none`; and with MQTT"
    " `mqtt.allow_anonymous = false`.",
    lessons=("reference_05_security.md#anonymous-login-is-off",),
)
def anonymous_login(seen: Seen) -> Finding:
    """Nodes where the mechanism is on, and somebody whom it logs in; MQTT has a switch of its own."""
    finding = _by_mechanism(seen)
    mqtt = _speaks_mqtt(seen) and seen.get("config", {}).get("mqtt.allow_anonymous") != "false"
    if finding.verdict is Verdict.PASS and mqtt:
        return unseen(f"{finding.saw} But MQTT lets clients in without a name unless `mqtt.allow_anonymous = false`, which was not seen.")
    return finding


def _by_mechanism(seen: Seen) -> Finding:
    on = [node["name"] for node in seen["nodes"] if any(_anonymous(each) for each in node.get("auth_mechanisms", []))]
    if not any(node.get("auth_mechanisms") for node in seen["nodes"]):
        return unseen("The nodes do not show their mechanisms.")
    if not on:
        return passed("No node lets a client in without a name.")
    if "config" not in seen:
        return unseen("The mechanism is on; whom it logs in stands in rabbitmq.conf, which was not given (--config FILE).", on)
    name = seen["config"].get("anonymous_login_user", "guest")
    if name == "none":
        return passed("The mechanism is on, and the configuration says that it logs nobody in.")
    if "users" in seen and all(user["name"] != name for user in seen["users"]):
        return passed(f"The mechanism is on, but the user {name}, whom it would log in, does not exist.")
    return failed(f"{number(len(on), 'node', 'let')} a client in without a name.", on, _only_named(seen))


@SECTION.item(
    "certificates",
    "Certificates good for another month",
    why="On the day that a certificate runs out, nobody connects any more, all at once.",
    mend="Renew it, and restart the nodes in turn.",
    look="Whoever runs the nodes: `GET /api/health/checks/certificate-expiration/1/months` on each node, and an alert on it.",
    lessons=("reference_05_security.md#certificates-run-out-on-a-day-that-you-can-know",),
)
def certificates(seen: Seen) -> Finding:
    """What the node that we ask says of its own; the others would have to be asked, too."""
    if not any(listener.get("tls") or "ssl" in listener["protocol"] for listener in seen["listeners"]):
        return not_applicable("No listener has a certificate.")
    if seen["certificates"]:
        return failed(f"{seen['overview'].get('node', 'The node that was asked')} says: {seen['certificates']}.")
    others = [node["name"] for node in seen["nodes"] if node["name"] != seen["overview"].get("node")]
    if others:
        return unseen(f"Those of {seen['overview'].get('node')} are good; not asked: {some(others)}.", others)
    return passed("Those of the node are good for a month at least.")


def _version_of(node: dict[str, Any]) -> str:
    """RabbitMQ's version on a node; nodes before 3.13 tell it among their applications."""
    told = node.get("rabbitmq_version")
    return str(told or next((each["version"] for each in node.get("applications", []) if each.get("name") == "rabbit"), ""))


def _only_named(seen: Seen) -> str:
    """The settings that leave all mechanisms on but that one."""
    on = {each["name"] for node in seen["nodes"] for each in node.get("auth_mechanisms", []) if each.get("enabled")} - {"ANONYMOUS"}
    lines = [f"`auth_mechanisms.{place} = {name}`" for place, name in enumerate(sorted(on) or ["PLAIN"], 1)]
    mqtt = ", and `mqtt.allow_anonymous = false`" if _speaks_mqtt(seen) else ""
    return f"{', '.join(lines)} in `rabbitmq.conf`, or `anonymous_login_user = none`{mqtt}."


def _speaks_mqtt(seen: Seen) -> bool:
    return any("mqtt" in str(listener["protocol"]) for listener in seen["listeners"])


def _anonymous(mechanism: dict[str, Any]) -> bool:
    return mechanism.get("name") == "ANONYMOUS" and bool(mechanism.get("enabled"))
