"""What alert rules of Prometheus look at, and which of them can never fire."""

import re
from collections.abc import Callable
from typing import Any

from rabbitlab.audit.seen import Seen

Rule = dict[str, Any]
FAILED = re.compile(r'dead_lettered|queue\s*=~?\s*"[^"]*(?:dead|dlq|dlx)', re.I)
DEPTH = re.compile(r"rabbitmq_(?:detailed_)?queue_messages(?:_ready|_unacked)?\b")
MEMORY = re.compile(r"rabbitmq_alarms_memory_used_watermark|resident_memory")
DISK = re.compile(r"rabbitmq_alarms_free_disk_space_watermark|rabbitmq_disk_space_available")
NO_CONSUMER = re.compile(r"consumers?(?:_count)?\b\s*(?:\{[^}]*\})?[\s)]*(?:==\s*(?:bool\s*)?0|<)|\bunless\b.*consumer", re.S)
LAG = re.compile(r"\b(?:deriv|i?delta|predict_linear)\s*\(\s*rabbitmq_\w*queue_messages|consumer_(?:capacity|utili[sz]ation)|offset_lag")
RATES = re.compile(
    r"\b(?:i?rate|increase|deriv)\s*\(\s*rabbitmq_\w*messages(?:_(?:received|published|routed|confirmed|delivered|acked|acknowledged|ready))?"
    r"(?:_confirm|_consume\w*|_get\w*)?(?:_total)?\b"
)
UNROUTABLE = re.compile("unroutable")
LIMIT = re.compile("dead_lettered_delivery_limit")
REDELIVERED = re.compile("redelivered")
CONNECTIONS = re.compile(r"rabbitmq_connections|open_fds|open_tcp_sockets")
GONE_NODE = re.compile(r"\bup\s*(?:\{|[=<])|\babsent(?:_over_time)?\s*\(|\bcount\b.*rabbitmq_(?:build|identity)_info", re.S)
PEERS = re.compile(r"unreachable_cluster_peers|dist_node_state")
CERTIFICATES = re.compile(r"cert\w*_(?:expir|not_after)|certificate", re.I)  # what others measure: RabbitMQ has no metric of it
# Renamed or taken away by RabbitMQ 4, while rules and dashboards went on naming them.
GONE = re.compile(
    r"\brabbitmq_(?:alarms_file_descriptor_limit|process_open_tcp_sockets|raft_entry_commit_latency_seconds|raft_log_\w+|raft_term_total"
    r"|queue_messages_paged_out)\b"
)
BY_QUEUE = re.compile(r'\b(rabbitmq_\w*queue_\w+)\s*\{((?:[^}"]|"(?:[^"\\]|\\.)*")*)')  # a metric and the labels that it must have
QUEUE = re.compile(r'\bqueue\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')


def _about(subject: re.Pattern[str]) -> Callable[[Rule], bool]:
    return lambda rule: subject.search(rule["query"]) is not None


def on_failed(rule: Rule) -> bool:
    """Whether it is about messages that failed."""
    return FAILED.search(rule["query"]) is not None


def on_depth(rule: Rule) -> bool:
    """Whether it is about how much waits in a queue, whoever consumes and however fast it grows."""
    other = on_failed(rule) or "consumer" in rule["query"] or LAG.search(rule["query"])
    return DEPTH.search(rule["query"]) is not None and not other


# What the checklist and the best practices ask an alert for, and whether a rule is about it.
ASKED_FOR: dict[str, Callable[[Rule], bool]] = {
    "queue depth": on_depth,
    "memory": _about(MEMORY),
    "disk": _about(DISK),
    "queues without a consumer": _about(NO_CONSUMER),
    "consumer lag": _about(LAG),
    "message rates": _about(RATES),
    "messages that no queue matched": _about(UNROUTABLE),
    "messages dropped at the delivery limit": _about(LIMIT),
    "redeliveries": _about(REDELIVERED),
    "connections": _about(CONNECTIONS),
    "nodes that are gone": _about(GONE_NODE),
    "nodes that miss each other": _about(PEERS),
}


def mute(rule: Rule, seen: Seen) -> str:
    """Why it can never fire, or nothing."""
    if rule.get("health") == "err":
        return f"Prometheus cannot ask it: {rule.get('lastError') or 'it says no more'}"
    gone = [name for name in GONE.findall(rule["query"]) if name not in seen["metric_names"]]
    if gone:
        return f"{gone[0]} is gone"
    named = [name for name, labels in BY_QUEUE.findall(rule["query"]) if not all(_takes_nameless(*each) for each in QUEUE.findall(labels))]
    nameless = [name for name in named if name not in seen["named_queues"]]
    if nameless and not _unknown(nameless[0], seen):
        return f"no series of {nameless[0]} has the name of a queue"
    return ""


def _takes_nameless(sign: str, text: str) -> bool:
    """Whether a condition on the name of a queue holds where there is none: for PromQL that is the empty text."""
    try:
        same = re.fullmatch(text, "") is not None if "~" in sign else text == ""
    except re.error:  # Go knows what Python does not; a name, surely
        same = False
    return same is sign.startswith("=")


def _unknown(name: str, seen: Seen) -> bool:
    """Whether the metric is one that exists by queue only, and no queue has reported it yet."""
    return "_detailed_" in name and name not in seen["metric_names"]
