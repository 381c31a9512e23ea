"""Counted where prometheus-client is installed, ignored where it is not."""

import subprocess
import sys
import threading

import pytest

from rabbitlab import broker
from rabbitlab.patterns import ReliablePublisher
from rabbitlab.patterns.metrics import COUNTERS, GAUGES, HISTOGRAMS, Metrics

prometheus = pytest.importorskip("prometheus_client")
WITHOUT_PROMETHEUS = """
import sys
sys.modules["prometheus_client"] = None  # as where it is not installed
from rabbitlab.patterns import CircuitBreaker, Metrics
metrics = Metrics("shop")
for name in {counters}: getattr(metrics, name).inc(); getattr(metrics, name).inc(3)
for name in {gauges}: getattr(metrics, name).set(3)
for name in {histograms}: getattr(metrics, name).observe(0.5)
CircuitBreaker(metrics=metrics).call(print, "works without")
"""


@pytest.fixture
def registry():
    return prometheus.CollectorRegistry()


def test_every_metric_is_shown_under_its_name(registry):
    metrics = Metrics("shop", registry)
    for name in COUNTERS:
        getattr(metrics, name).inc()
        getattr(metrics, name).inc(2)
        assert registry.get_sample_value(f"rabbitmq_client_{name}_total", {"name": "shop"}) == 3
    for name in GAUGES:
        getattr(metrics, name).set(7)
        assert registry.get_sample_value(f"rabbitmq_client_{name}", {"name": "shop"}) == 7
    for name in HISTOGRAMS:
        getattr(metrics, name).observe(0.25)
        assert registry.get_sample_value(f"rabbitmq_client_{name}_sum", {"name": "shop"}) == 0.25
    served = prometheus.generate_latest(registry).decode()
    assert 'rabbitmq_client_dead_lettered_total{name="shop"} 3.0' in served


def test_two_of_one_name_share_and_two_of_different_names_do_not(registry):
    Metrics("shop", registry).confirmed.inc()
    Metrics("shop", registry).confirmed.inc()
    Metrics("till", registry).confirmed.inc()

    def value(name):
        return registry.get_sample_value("rabbitmq_client_confirmed_total", {"name": name})

    assert (value("shop"), value("till")) == (2, 1)


def test_threads_may_make_the_first_one_together(registry):
    start, made = threading.Barrier(16), []

    def make():
        start.wait(10)
        made.append(Metrics("shop", registry))

    threads = [threading.Thread(target=make) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    for metrics in made:
        metrics.confirmed.inc()
    assert registry.get_sample_value("rabbitmq_client_confirmed_total", {"name": "shop"}) == 16


def test_goes_to_the_registry_that_is_served_unless_told_otherwise():
    Metrics("test_goes_to_the_registry").returned.inc()
    assert prometheus.REGISTRY.get_sample_value("rabbitmq_client_returned_total", {"name": "test_goes_to_the_registry"}) == 1


def test_a_closed_publisher_has_nothing_in_flight(registry):
    publisher = ReliablePublisher("amqp://127.0.0.1:1", metrics=Metrics("till", registry))  # nobody there
    publisher.publish(b"x", routing_key="q")

    def shown():
        return registry.get_sample_value("rabbitmq_client_in_flight", {"name": "till"})

    broker.wait_until(lambda: shown() == 1, 20, "the message to be shown")
    publisher.close(timeout=0)
    assert shown() == 0


def test_off_keeps_nothing(registry):
    before = prometheus.generate_latest(prometheus.REGISTRY)
    off = Metrics.off()
    for name in COUNTERS:
        getattr(off, name).inc()
    off.in_flight.set(5)
    off.handler_seconds.observe(1)
    after = prometheus.generate_latest(prometheus.REGISTRY)
    assert [line for line in after.splitlines() if b"rabbitmq_client" in line] == [
        line for line in before.splitlines() if b"rabbitmq_client" in line
    ]


def test_without_prometheus_client_nothing_fails():
    program = WITHOUT_PROMETHEUS.format(counters=list(COUNTERS), gauges=list(GAUGES), histograms=list(HISTOGRAMS))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout == "works without\n", done.stderr
