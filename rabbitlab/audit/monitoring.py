"""Production readiness: monitoring."""

from collections.abc import Iterable
from typing import Any

from rabbitlab.audit import rules
from rabbitlab.audit.queues import number, some
from rabbitlab.audit.seen import Seen
from rabbitlab.audit.verdict import Finding, Section, failed, passed, unseen
from rabbitlab.audit.versions import since

SECTION = Section("Production readiness", "Monitoring")


@SECTION.item(
    "management-ui",
    "Management UI reachable",
    why="It is where people look when something is wrong, and where this audit reads.",
    mend="`rabbitmq-plugins enable rabbitmq_management`, on every node.",
    look="Whoever runs the nodes: `rabbitmq-plugins list --enabled` on each.",
    lessons=("04_monitoring.md#ask-a-node-for-its-numbers",),
)
def management_ui(seen: Seen) -> Finding:
    """Running nodes without a listener for it."""
    without = _without(seen, ("http", "https"))
    if without:
        return failed(f"{number(len(without), 'node')} without a management UI: who is sent there sees nothing.", without)
    return passed("Every node that runs has one, and this one answers.")


@SECTION.item(
    "metrics-exported",
    "Prometheus metrics exported",
    why="What the UI shows is seconds old and forgotten in a day; alerts need numbers that somebody writes down.",
    mend="`rabbitmq-plugins enable rabbitmq_prometheus`, on every node.",
    look="Whoever runs the nodes: `curl http://NODE:15692/metrics` on each.",
    lessons=("04_monitoring.md#ask-a-node-for-its-numbers", "04_monitoring.md#let-somebody-write-the-numbers-down"),
)
def metrics_exported(seen: Seen) -> Finding:
    """Running nodes without a listener for metrics."""
    without = _without(seen, ("http/prometheus", "https/prometheus"))
    if without:
        return failed(f"{number(len(without), 'node')} without metrics.", without)
    read = seen["metrics"]["nodes"] if "metrics" in seen else []
    return passed(f"Every node that runs exports them; read here from {some(read) or 'none, since no address answered'}.")


@SECTION.item(
    "alerts",
    "Alerts on queue depth, memory, disk",
    why="Nobody looks at night. And an alert that names a metric that is gone, or a queue where none has a name, never rings.",
    mend="Rules as in docker/prometheus/rules, tried once each: cause the fault, and see it ring.",
    look="Whoever runs Prometheus: give its address to the audit with `--prometheus`."
    " For certificates: who asks `GET /api/health/checks/certificate-expiration/1/months`, and who is told?",
    lessons=(
        "04_monitoring.md#write-an-alarm-that-cannot-ring",
        "04_monitoring.md#listen-for-what-makes-no-sound",
        "reference_04_monitoring.md#what-to-watch-and-the-alert-for-it",
    ),
)
def alerts(seen: Seen) -> Finding:
    """What no rule is about, and rules that can never fire. RabbitMQ has no metric of certificates, so others may ask for those."""
    loaded = seen["rules"]
    muted = {rule["name"]: why for rule in loaded if (why := rules.mute(rule, seen))}
    heard = [rule for rule in loaded if rule["name"] not in muted]
    missing = [subject for subject, is_about in rules.ASKED_FOR.items() if not any(map(is_about, heard))]
    renewed = any(rules.CERTIFICATES.search(rule["query"]) for rule in heard) or not _have_certificates(seen.get("listeners", ()))
    if muted or missing:
        unheard = [*missing, *([] if renewed else ["certificates that run out"])]
        said = [f"no alert is about {', '.join(unheard)}"] if unheard else []
        said += [f"{number(len(muted), 'alert')} can never ring"] if muted else []
        return failed(f"Of {number(len(loaded), 'alert')}: {'; '.join(said)}.", [f"{name}: {why}" for name, why in muted.items()])
    if not renewed and seen["listeners"]:
        saw = "No alert is about certificates that run out, and RabbitMQ has no metric of them:"
        return unseen(f"{saw} who asks its health check for them does not show.")
    seen["listeners"]
    return passed(f"{number(len(loaded), 'alert')}, about {', '.join(rules.ASKED_FOR)}.")


@SECTION.item(
    "log-aggregation",
    "Log aggregation",
    why="What happened is told by three logs together; a log that stays on a node is gone when the node is.",
    mend="`log.console = true` and `log.console.formatter = json`, and a collector that reads the console of every node.",
    look="Whoever runs the nodes: where are the logs of all of them read, as one? Find a login of today there.",
    lessons=("04_monitoring.md#read-the-logs-of-three-nodes-as-one",),
)
def log_aggregation(seen: Seen) -> Finding:
    """Nodes that log nowhere; who collects does not show."""
    dumb = [node["name"] for node in seen["nodes"] if node.get("running") and node.get("log_files") == []]
    if dumb:
        return failed(f"{number(len(dumb), 'node', 'write')} no log.", dumb)
    files = {str(file) for node in seen["nodes"] for file in node.get("log_files", [])}
    where = "to the console" if files == {"<stdout>"} else f"to {some(sorted(files))}"
    form = f", as {seen['config'].get('log.console.formatter', 'plain text')}" if "config" in seen and files == {"<stdout>"} else ""
    return unseen(f"The nodes log {where}{form}; who collects that does not show.")


@SECTION.item(
    "health-checks",
    "Health checks `check_local_alarms`, `node_health_check`",
    why="They pass whatever happens: `check_local_alarms` does nothing since RabbitMQ 4.3, `node_health_check` since 4.0.",
    mend="`rabbitmq-diagnostics check_alarms`, GET `/api/health/checks/ready-to-serve-clients`, and alerts.",
    look="Whoever wrote the probes: search them for `check_local_alarms` and `node_health_check`.",
    lessons=("04_monitoring.md#ask-a-check-what-it-checks",),
)
def health_checks(seen: Seen) -> Finding:
    """Who asks which check does not show: a node writes down no question."""
    when = "" if since(seen, 4, 3) else " with RabbitMQ 4.3"
    return unseen(f"Obsolete{when}; whether a probe still calls them stands in the probe: being asked leaves no trace at a node.")


def _have_certificates(listeners: Iterable[dict[str, Any]]) -> bool:
    return any(listener.get("tls") or "ssl" in listener["protocol"] for listener in listeners)


def _without(seen: Seen, protocols: tuple[str, ...]) -> list[str]:
    """Nodes that run and have no listener of these protocols."""
    having = {listener["node"] for listener in seen["listeners"] if listener["protocol"] in protocols}
    return [node["name"] for node in seen["nodes"] if node.get("running") and node["name"] not in having]
