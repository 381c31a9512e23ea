"""A cluster in good order, as the management API and Prometheus would describe it: tests of the audit break one thing at a time."""

import copy
import http.server
import json
import threading
from contextlib import contextmanager
from datetime import date
from urllib.parse import parse_qs, unquote, urlsplit

from rabbitlab.audit.prometheus import LOST

NODES = ("rabbit@a", "rabbit@b", "rabbit@c")
CONFIG = {"vm_memory_high_watermark.relative": "0.5", "log.console.formatter": "json"}
PLAIN, TLS = "amqp", "amqp/ssl"
COUNTED = [words for *_, words in LOST]  # what is lost in silence, in words


def queue(name, **more):
    """A quorum queue in order, in the virtual host ``shop``."""
    policy = {
        "dead-letter-exchange": "dead",
        "dead-letter-strategy": "at-least-once",
        "overflow": "reject-publish",
        "max-length": 1000,
    }
    return {
        "name": name,
        "vhost": "shop",
        "type": "quorum",
        "durable": True,
        "exclusive": False,
        "auto_delete": False,
        "arguments": {"x-queue-type": "quorum"},
        "effective_policy_definition": policy,
        "members": list(NODES),
        "online": list(NODES),
        "leader": NODES[0],
        "state": "running",
        "consumers": 0,
        "messages": 0,
        "messages_ready": 0,
        "messages_unacknowledged": 0,
        "messages_persistent": 0,
        "delivery_limit": 20,
        "delayed_retry": "disabled",
    } | more


def dead(name, **more):
    """A queue of dead letters."""
    return queue(name, effective_policy_definition={}, **more)


def waiting(name, delay, back):
    """A waiting room: after *delay* milliseconds what is in it goes to the queue *back*."""
    arguments = {"x-queue-type": "quorum", "x-message-ttl": delay, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": back}
    once = {"dead-letter-strategy": "at-least-once", "overflow": "reject-publish"}
    return queue(name, arguments=arguments, effective_policy_definition=once)


def classic(name, **more):
    """A classic queue."""
    given = {"type": "classic", "arguments": {"x-queue-type": "classic"}} | more
    made = queue(name, **given)
    for key in ("members", "online", "leader", "delivery_limit", "delayed_retry"):
        del made[key]
    return made


def node(name, **more):
    return {
        "name": name,
        "running": True,
        "type": "disc",
        "rabbitmq_version": "4.3.6",
        "partitions": [],
        "mem_alarm": False,
        "disk_free_alarm": False,
        "mem_used": 100 << 20,
        "mem_limit": 1000 << 20,
        "disk_free": 100_000_000_000,
        "disk_free_limit": 2_000_000_000,
        "fd_used": 100,
        "fd_total": 50_000,
        "db_dir": f"/var/lib/rabbitmq/mnesia/{name}",
        "log_files": ["<stdout>"],
        "enabled_plugins": ["rabbitmq_management", "rabbitmq_prometheus"],
        "auth_mechanisms": [{"name": "PLAIN", "enabled": True}, {"name": "ANONYMOUS", "enabled": False}],
    } | more


def listener(on, protocol, port, ip="::"):
    return {"node": on, "protocol": protocol, "port": port, "ip_address": ip, "tls": protocol == TLS or protocol.startswith("https")}


def listeners(on):
    return [
        listener(on, TLS, 5671),
        listener(on, "https", 15671, "127.0.0.1"),
        listener(on, "https/prometheus", 15691),
        listener(on, "clustering", 25672, "127.0.0.1"),
    ]


def connection(name, user, **more):
    return {
        "name": name,
        "user": user,
        "vhost": "shop",
        "node": NODES[0],
        "protocol": "AMQP 0-9-1",
        "ssl": True,
        "type": "network",
        "connected_at": 1_760_000_000_000,  # in 2025: long ago
        "client_properties": {"connection_name": f"the {user}", "capabilities": {"consumer_cancel_notify": True}},
    } | more


def consumer(queue, **more):
    """A consumer of a queue in the virtual host ``shop``, on the packer's connection."""
    return {
        "queue": {"vhost": "shop", "name": queue},
        "ack_required": True,
        "prefetch_count": 20,
        "channel_details": {"connection_name": "packer"},
    } | more


def rule(name, query, **more):
    annotations = {"description": "What it means.", "runbook": "What to do."}
    return {"name": name, "query": query, "health": "ok", "annotations": annotations} | more


ORDERLY = {
    "whoami": {"name": "auditor", "tags": ["administrator"]},
    "today": date(2026, 12, 1),
    "important": None,
    "overview": {"rabbitmq_version": "4.3.6", "cluster_name": "shop", "node": NODES[0]},
    "nodes": [node(name) for name in NODES],
    "listeners": [each for name in NODES for each in listeners(name)],
    "vhosts": [
        {"name": "/", "message_stats": {}},
        {"name": "shop", "default_queue_type": "quorum", "message_stats": {"publish": 10, "confirm": 10}},
    ],
    "queues": [
        queue("orders", consumers=1),
        dead("orders.dead"),
        waiting("orders.retry.1s", 1000, "orders"),
        waiting("orders.retry.2s", 2000, "orders"),
        queue("parcels", leader=NODES[1]),
        queue("invoices", leader=NODES[1]),
        queue("events", leader=NODES[2]),
        queue("letters", leader=NODES[2]),
    ],
    "exchanges": [{"vhost": "shop", "name": "dead", "type": "fanout", "arguments": {}}],
    "bindings": [{"vhost": "shop", "source": "dead", "destination": "orders.dead", "destination_type": "queue", "routing_key": ""}],
    "connections": [connection("till", "till"), connection("packer", "packer")],
    "channels": [
        {"user": "till", "vhost": "shop", "confirm": True, "connection_details": {"name": "till"}, "message_stats": {"publish": 10}},
        {"user": "packer", "vhost": "shop", "confirm": False, "connection_details": {"name": "packer"}},
    ],
    "consumers": [consumer("orders")],
    "cancelled": [],
    "stuck": [],
    "policies": [{"vhost": "shop", "name": "dead", "definition": {"dead-letter-exchange": "dead"}}],
    "vhost_limits": [
        {"vhost": "shop", "value": {"max-connections": 10, "max-queues": 10}},
        {"vhost": "/", "value": {"max-connections": 0}},
    ],
    "user_limits": [{"user": user, "value": {"max-channels": 10}} for user in ("till", "packer")],
    "users": [{"name": "auditor", "tags": ["administrator"]}, {"name": "till", "tags": []}, {"name": "packer", "tags": []}],
    "permissions": [
        {"user": "auditor", "vhost": "shop", "configure": ".*", "write": ".*", "read": ".*"},
        {"user": "till", "vhost": "shop", "configure": "^$", "write": "^sales$", "read": "^$"},
        {"user": "packer", "vhost": "shop", "configure": "^$", "write": "^$", "read": "^orders$"},
    ],
    "feature_flags": [{"name": "khepri_db", "state": "enabled", "stability": "required"}],
    "deprecated_used": [],
    "certificates": "",
    "config": CONFIG,
    "metrics": {"nodes": list(NODES), "lost": dict.fromkeys(COUNTED, 0.0)},
    "lost_lately": dict.fromkeys(COUNTED, 0.0),
    "rules": [
        rule("Failed", 'rabbitmq_detailed_queue_messages_ready{queue=~".+[.]dead"} > 0'),
        rule("Deep", 'rabbitmq_detailed_queue_messages_ready{queue!~".+[.]dead"} > 1000'),
        rule("Memory", "rabbitmq_alarms_memory_used_watermark > 0"),
        rule("Disk", "rabbitmq_alarms_free_disk_space_watermark > 0"),
        rule("NoConsumer", "rabbitmq_detailed_queue_messages_ready > 0 and rabbitmq_detailed_queue_consumers == 0"),
        rule("Lag", "deriv(rabbitmq_detailed_queue_messages_ready[5m]) > 1"),
        rule("Quiet", "sum(rate(rabbitmq_global_messages_received_total[5m])) == 0"),
        rule("Unroutable", "increase(rabbitmq_global_messages_unroutable_dropped_total[5m]) > 0"),
        rule("GivenUp", "increase(rabbitmq_global_messages_dead_lettered_delivery_limit_total[5m]) > 0"),
        rule("Circles", "rate(rabbitmq_global_messages_redelivered_total[5m]) > 10"),
        rule("Connections", "rabbitmq_connections > 1000"),
        rule("Gone", 'up{job="rabbitmq"} == 0'),
        rule("Peers", "rabbitmq_unreachable_cluster_peers_count > 0"),
        rule("Certificates", "probe_ssl_earliest_cert_expiry - time() < 30 * 86400"),
    ],
    "alertmanagers": ["http://alertmanager:9093"],
    "metric_names": {
        "rabbitmq_queue_messages_ready",
        "rabbitmq_detailed_queue_messages_ready",
        "rabbitmq_alarms_memory_used_watermark",
        "rabbitmq_alarms_free_disk_space_watermark",
    },
    "named_queues": {"rabbitmq_detailed_queue_messages_ready"},
    "watched": set(NODES),
}
ORDERLY["rang"] = {rule["name"] for rule in ORDERLY["rules"]}


def orderly():
    """All parts of a cluster in good order, for a test to break."""
    return copy.deepcopy(ORDERLY)


PATHS = {
    "whoami": "whoami",
    "overview": "overview",
    "nodes": "nodes",
    "vhosts": "vhosts",
    "exchanges": "exchanges",
    "bindings": "bindings",
    "connections": "connections",
    "channels": "channels",
    "consumers": "consumers",
    "policies": "policies",
    "vhost-limits": "vhost_limits",
    "users": "users",
    "user-limits": "user_limits",
    "permissions": "permissions",
    "feature-flags": "feature_flags",
    "deprecated-features/used": "deprecated_used",
}


class Served:
    """A web server that answers as the management API, the metrics of a node and Prometheus would.

    Args:
        parts: See :data:`ORDERLY`.
        refuse: Path of the API to the status with which it is refused.
    """

    def __init__(self, parts, refuse=None):
        self.parts = parts
        self.refuse = dict(refuse or {})
        self.asked: list[tuple[str, str]] = []  # method and path, in the order of asking
        self.counted: list[str] = []  # what Prometheus was asked to count

    def answer(self, path, params):
        """Status and what to say."""
        if path in self.refuse:
            return self.refuse[path], {"error": "not_authorised", "reason": "Not administrator user"}
        if path == "metrics":
            return 200, f'rabbitmq_identity_info{{rabbitmq_node="{NODES[0]}"}} 1\n'
        if path.startswith("api/v1/"):
            return 200, {"status": "success", "data": self._prometheus(path.removeprefix("api/v1/"), params)}
        name = path.removeprefix("api/")
        if name == "overview":
            return 200, {**self.parts["overview"], "listeners": self.parts["listeners"]}
        if name.startswith("queues"):
            return 200, self._queues(int(params["page"][0]), int(params["page_size"][0]))
        if name.startswith("health/checks/certificate"):
            return (503, {"reason": self.parts["certificates"]}) if self.parts["certificates"] else (200, {"status": "ok"})
        if name in PATHS:
            return 200, self.parts[PATHS[name]]
        return 404, {"error": "Object Not Found", "reason": "Not Found"}

    def _queues(self, page, size):
        queues = self.parts["queues"]
        items = queues[(page - 1) * size : page * size]
        return {"items": items, "page": page, "page_count": -(-len(queues) // size), "total_count": len(queues)}

    def _prometheus(self, path, params):
        query = params.get("query", [""])[0]
        if path == "rules":
            return {"groups": [{"rules": self.parts["rules"]}]}
        if path == "alertmanagers":
            return {"activeAlertmanagers": [{"url": url} for url in self.parts["alertmanagers"]]}
        if path == "label/__name__/values":
            return sorted(self.parts["metric_names"])
        if path == "query" and "__name__" in query:
            return {"result": [{"metric": {"__name__": name}} for name in self.parts["named_queues"]]}
        if path == "query" and query.startswith("last_over_time(rabbitmq_identity_info"):
            return {"result": [{"metric": {"rabbitmq_node": name}} for name in self.parts["watched"]]}
        if path == "query" and "ALERTS" in query:
            return {"result": [{"metric": {"alertname": name}} for name in self.parts["rang"]]}
        if path == "query":
            self.counted.append(query)
            return {"result": [{"metric": {}, "value": [0, "0"]}]}
        return {}


class _Handler(http.server.BaseHTTPRequestHandler):
    def _serve(self):
        address = urlsplit(self.path)
        self.server.served.asked.append((self.command, address.path.lstrip("/")))
        status, told = self.server.served.answer(unquote(address.path).lstrip("/"), parse_qs(address.query))
        body = (told if isinstance(told, str) else json.dumps(told, default=str)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = _serve

    def log_message(self, *arguments):
        """A test prints no log of requests."""


@contextmanager
def serving(served):
    """Serve it; gives the address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.served = served
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
