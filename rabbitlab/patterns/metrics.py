"""What a client knows about itself, for Prometheus: outcomes, reconnects, retries, and how long a handler takes.

RabbitMQ counts what it was given. How many messages came back, were sent again or are still without an answer, only the client knows.
Without ``prometheus-client`` installed everything here does nothing, and nothing fails.
"""

import threading
import weakref
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics import MetricWrapperBase

COUNTERS = {
    "confirmed": "Messages that RabbitMQ confirmed",
    "returned": "Messages that RabbitMQ gave back because no queue would get them",
    "nacked": "Messages that RabbitMQ refused, for a full queue for instance",
    "unknown": "Messages given up without an answer: RabbitMQ may have them or not",
    "reconnects": "Connections made in place of one that was lost",
    "redelivered": "Messages that came again",
    "retried": "Messages that a handler failed on, put off for another try",
    "dead_lettered": "Messages that a handler failed on for the last time",
}
GAUGES = {
    "in_flight": "Messages published and not yet answered for",
    "breaker_state": "Circuit breaker: 0 closed, 1 half-open, 2 open",
}
HISTOGRAMS = {"handler_seconds": "Seconds that the handler worked on a message"}
PREFIX = "rabbitmq_client_"


class Counter(Protocol):
    """Only grows."""

    def inc(self, n: float = 1, /) -> None: ...


class Gauge(Protocol):
    """As it is now."""

    def set(self, x: float, /) -> None: ...


class Histogram(Protocol):
    """How a measure is distributed."""

    def observe(self, x: float, /) -> None: ...


class Metrics:
    """The metrics of one client, each with the label ``name``: ``rabbitmq_client_confirmed_total{name="orders"}`` and so on.

    Two of one name share their metrics: counters add up, and of the gauges the last word holds. So give a publisher and a consumer
    names of their own.

    Args:
        name: Value of the label; one of few, never an id.
        registry: Of ``prometheus_client``; its default one, which ``prometheus_client.start_http_server`` serves, unless given.
    """

    confirmed: Counter
    returned: Counter
    nacked: Counter
    unknown: Counter
    reconnects: Counter
    redelivered: Counter
    retried: Counter
    dead_lettered: Counter
    in_flight: Gauge
    breaker_state: Gauge
    handler_seconds: Histogram

    def __init__(self, name: str, registry: "CollectorRegistry | None" = None):
        for attribute, metric in _labelled(name, registry).items():
            setattr(self, attribute, metric)

    @classmethod
    def off(cls) -> "Metrics":
        """Metrics that nobody keeps: what a class uses when it was given none."""
        silent = cls.__new__(cls)
        for attribute in (*COUNTERS, *GAUGES, *HISTOGRAMS):
            setattr(silent, attribute, _NOTHING)
        return silent


class _Nothing:
    """Takes whatever a metric takes."""

    def inc(self, n: float = 1, /) -> None: ...

    def set(self, x: float, /) -> None: ...

    def observe(self, x: float, /) -> None: ...


_NOTHING = _Nothing()
_registered: "weakref.WeakKeyDictionary[CollectorRegistry, dict[str, MetricWrapperBase]]" = weakref.WeakKeyDictionary()
_registering = threading.Lock()


def _labelled(name: str, registry: "CollectorRegistry | None") -> dict[str, object]:
    try:
        import prometheus_client as prometheus
    except ImportError:
        return dict.fromkeys((*COUNTERS, *GAUGES, *HISTOGRAMS), _NOTHING)
    registry = prometheus.REGISTRY if registry is None else registry
    with _registering:  # a registry takes each metric once
        if registry not in _registered:
            kinds = ((prometheus.Counter, COUNTERS), (prometheus.Gauge, GAUGES), (prometheus.Histogram, HISTOGRAMS))
            _registered[registry] = {
                attribute: kind(PREFIX + attribute, told, ["name"], registry=registry)
                for kind, metrics in kinds
                for attribute, told in metrics.items()
            }
        return {attribute: metric.labels(name) for attribute, metric in _registered[registry].items()}
