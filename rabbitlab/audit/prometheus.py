"""Read the nodes' own metrics, and what a Prometheus server knows: its rules, whom it tells, and whether it watches this cluster."""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ssl import SSLContext
from typing import Any
from urllib.parse import urlsplit

import httpx

from rabbitlab.audit.asking import Asker, Refused, explain
from rabbitlab.audit.rules import CERTIFICATES
from rabbitlab.errors import Mendable

PARTS = ("rules", "alertmanagers", "metric_names", "named_queues", "watched", "rang", "lost_lately")
# What nobody is told of: the counter; which of its series, for Prometheus and for the text of a node; and in words.
# Over MQTT it is in order to publish what nobody has subscribed to.
LOST = (
    (
        "rabbitmq_global_messages_unroutable_dropped_total",
        'protocol!~"mqtt.*"',
        re.compile(r'^(?!.*protocol="mqtt)'),
        "published, matched no queue, and dropped",
    ),
    (
        "rabbitmq_global_messages_dead_lettered_delivery_limit_total",
        'dead_letter_strategy="disabled"',
        re.compile('dead_letter_strategy="disabled"'),
        "dropped at the delivery limit",
    ),
)
REMEMBERED = "30d"
LATELY = "10m"  # an answer that a busy node gave too late is no node that nobody asks
NODE = re.compile(r'rabbitmq_identity_info\{.*?rabbitmq_node="([^"]+)"')
LINE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)", re.M)


def of_nodes(addresses: Sequence[str], tls: SSLContext, *, known: Collection[str], asked_for: bool) -> tuple[dict[str, Any], str]:
    """What the nodes at these addresses have lost in silence since they started.

    Args:
        addresses: Of metrics: ``http://rabbit1:15692``, with or without ``/metrics``.
        tls: Whom to trust.
        known: The names of the cluster's nodes; any where there are none. What another node answers is left out.
        asked_for: Somebody named these addresses, so an address that does not answer is an error.

    Returns:
        ``{"nodes": [...], "id": the cluster's permanent id, "lost": {words: count}}``, and why nothing could be read, or nothing.

    Raises:
        Mendable: an address that was asked for does not answer with metrics of this cluster.
    """
    nodes: list[str] = []
    ids: list[str] = []
    lost: dict[str, float] = {}
    problem = ""
    with ThreadPoolExecutor(max_workers=8) as threads:
        answers = [threads.submit(_metrics, address, tls, known) for address in addresses]
    for answer in answers:
        try:
            text = answer.result()
        except Mendable as error:
            if asked_for:
                raise
            problem = str(error)
            continue
        nodes += NODE.findall(text)[:1]
        ids += re.findall(r'rabbitmq_identity_info\{.*?rabbitmq_cluster_permanent_id="([^"]+)"', text)[:1]
        for name, labels, figure in LINE.findall(text):
            for counter, _, which, words in LOST:
                if name == counter and which.search(labels):
                    lost[words] = lost.get(words, 0) + float(figure)
    return {
        "nodes": nodes,
        "id": next(iter(ids), ""),
        "lost": lost,
    }, "" if nodes else problem or "No address of metrics is known (--metrics URL)."


def _metrics(address: str, tls: SSLContext, known: Collection[str]) -> str:
    asker = Asker(address.removesuffix("/").removesuffix("/metrics"), tls=tls)
    try:
        text = asker.text("metrics")
    except httpx.TransportError as error:
        raise Mendable(f"No metrics from {address}: {explain(asker.url, error)}") from None
    except Refused as refused:
        raise Mendable(f"No metrics from {address}: {refused}. They are on port 15692, or 15691 with TLS") from None
    finally:
        asker.close()
    if "rabbitmq_identity_info" not in text:
        raise Mendable(f"{address} answers, but not with metrics of RabbitMQ. They are on port 15692, or 15691 with TLS")
    strangers = set(NODE.findall(text)) - set(known)
    if known and strangers:
        raise Mendable(
            f"{address} has the metrics of {', '.join(strangers)}, which is no node of this cluster. Name its nodes with --metrics"
        )
    return text


def guessed(url: str, listeners: Iterable[dict[str, Any]]) -> list[str]:
    """Where metrics may be found: the host of the management API, and the port that a node listens on for them."""
    found = next((each for each in listeners if str(each["protocol"]).endswith("/prometheus")), None)
    scheme = "https" if found and str(found["protocol"]).startswith("https") else "http"
    host = urlsplit(url).hostname or ""
    return [f"{scheme}://{f'[{host}]' if ':' in host else host}:{found['port']}"] if found else []


class Server:
    """A Prometheus server.

    Args:
        url: Its address.
        tls: Whom to trust.

    Raises:
        Mendable: it does not answer as Prometheus does.
    """

    def __init__(self, url: str, tls: SSLContext):
        self._asker = Asker(url, tls=tls)
        self.url = self._asker.url
        try:
            self._data("status/buildinfo")
        except httpx.TransportError as error:
            said = explain(self.url, error).partition(" Management is on port")[0].partition(". Port 5672")[0]
            raise Mendable(f"--prometheus: {said}. Prometheus is on port 9090") from None
        except Refused as refused:
            raise Mendable(f"--prometheus: {self.url} answers, but not as Prometheus does ({refused})") from None

    def read(self, nodes: Sequence[str], id: str) -> tuple[dict[str, Any], dict[str, str]]:
        """What it knows of a cluster with these nodes, and this permanent id where it is known.

        Returns:
            The :data:`PARTS`, and for those that could not be read, why.
        """
        parts: dict[str, Any] = {}
        unread: dict[str, str] = {}
        ask: dict[str, Callable[[], Any]] = {
            "rules": self._rules,
            "alertmanagers": lambda: [each["url"] for each in self._data("alertmanagers")["activeAlertmanagers"]],
            "metric_names": lambda: set(self._data("label/__name__/values")),
            "named_queues": lambda: self._label("__name__", 'count by (__name__) ({__name__=~"rabbitmq_.*queue_.*", queue!=""})'),
            "watched": lambda: self._label("rabbitmq_node", f"last_over_time(rabbitmq_identity_info{{{_of(nodes, id)}}}[{LATELY}])"),
            "rang": lambda: self._label("alertname", f'count by (alertname) (max_over_time(ALERTS{{alertstate="firing"}}[{REMEMBERED}]))'),
            "lost_lately": lambda: self._lost(nodes, id),
        }
        for name, question in ask.items():
            try:
                parts[name] = question()
            except (Refused, httpx.TransportError, LookupError, TypeError) as error:
                unread[name] = f"Asked for {name.replace('_', ' ')}, Prometheus did not answer ({error})."
        return parts, unread

    def close(self) -> None:
        self._asker.close()

    def _rules(self) -> list[dict[str, Any]]:
        """The alerts that are about RabbitMQ, or about certificates, of which somebody else measures the end."""
        groups = self._data("rules", type="alert")["groups"]
        return [rule for group in groups for rule in group["rules"] if _is_ours(rule["query"])]

    def _lost(self, nodes: Sequence[str], id: str) -> dict[str, float]:
        """As :func:`of_nodes`, within the last day, also of nodes that are gone by now. What Prometheus has no series of is left out."""
        were = f"last_over_time(rabbitmq_identity_info{{{_of(nodes, id)}}}[1d])"
        of = f"on (instance, job) group_left () max by (instance, job) ({were})"
        found = {}
        for counter, which, _, words in LOST:
            for series in self._query(f"sum(increase({counter}{{{which}}}[1d]) * {of})"):
                found[words] = float(series["value"][1])
        return found

    def _label(self, label: str, query: str) -> set[str]:
        return {series["metric"][label] for series in self._query(query)}

    def _query(self, query: str) -> list[dict[str, Any]]:
        result: list[dict[str, Any]] = self._data("query", query=query)["result"]
        return result

    def _data(self, path: str, **params: str) -> Any:
        answer = self._asker.json(f"api/v1/{path}", **params)
        if not isinstance(answer, dict) or answer.get("status") != "success":
            raise Refused(200, "it is no answer of Prometheus")
        return answer["data"]


def _is_ours(query: str) -> bool:
    return "rabbit" in query.lower() or CERTIFICATES.search(query) is not None


def _of(nodes: Sequence[str], id: str) -> str:
    """The labels of a cluster's nodes. Its name is none of them: each node has one of its own, where nobody has set it."""
    every = "|".join(re.escape(node) for node in nodes).replace("\\", "\\\\")
    return f'rabbitmq_node=~"{every}"' + (f', rabbitmq_cluster_permanent_id="{id}"' if id else "")
