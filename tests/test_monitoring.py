"""The profile monitoring: what is scraped is there, every query has an answer, every alert fires on its fault and is silent without it.

Grafana cannot be had everywhere, and draws only what Prometheus answers: so the dashboard's queries are asked of Prometheus.
"""

import json
import re
from functools import partial
from urllib.request import urlopen

import pika
import pytest
import yaml

from rabbitlab import broker, cluster, engine, faults
from rabbitlab.grading.prometheus import Prometheus
from rabbitlab.nodes import ALERTMANAGER_PORT, HOST, NODES
from rabbitlab.units import ROOT
from tests import needs

pytest_plugins = ["tests.rooms"]
on_the_cluster = pytest.mark.cluster
RULES = {
    rule["alert"]: rule
    for path in sorted((ROOT / "docker/prometheus/rules").glob("*.yml"))
    for group in yaml.safe_load(path.read_text())["groups"]
    for rule in group["rules"]
}
DASHBOARD = json.loads((ROOT / "docker/grafana/dashboards/rabbitmq.json").read_text())
DRAWN = {f"{panel['title']}: {target['legendFormat']}": target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]}
SELECTOR = re.compile(r"\b(?:rabbitmq_\w+|up)\b(?:\{[^}]*\})?")

# For each alert: series on which it fires (after 40 s), and series on which it does not. Values are promtool's: start+step x times.
QUEUE = '{queue="orders",vhost="/",node="rabbit1"}'
DEAD = '{queue="orders.dead",vhost="/",node="rabbit1"}'
WAITING = '{queue="orders.retry.25s",vhost="/",node="rabbit1"}'
NODE = '{node="rabbit1",job="rabbitmq"}'
MESSAGES, READY, CONSUMERS = (f"rabbitmq_detailed_queue_{kind}" for kind in ("messages", "messages_ready", "consumers"))
DROPPED = 'rabbitmq_global_messages_dead_lettered_{}_total{{node="rabbit1",dead_letter_strategy="{}"}}'
CASES = {
    "FailedMessages": (
        {MESSAGES + DEAD: "0x10 1x50", READY + DEAD: "0x60"},  # somebody looks at it: it is not ready, and still there
        {MESSAGES + DEAD: "0x60", READY + DEAD: "0x60", MESSAGES + QUEUE: "9x60", READY + QUEUE: "9x60"},
    ),
    "QueueWithoutConsumers": (
        {READY + QUEUE: "3x60", CONSUMERS + QUEUE: "0x60"},
        {READY + QUEUE: "3x60", CONSUMERS + QUEUE: "1x60", READY + WAITING: "3x60", CONSUMERS + WAITING: "0x60"},
    ),
    "QueueDeep": ({READY + QUEUE: "1001x60"}, {READY + QUEUE: "1000x60", READY + DEAD: "2000x60", READY + WAITING: "2000x60"}),
    "ConsumersTooSlow": ({READY + QUEUE: "100+3x60", CONSUMERS + QUEUE: "1x60"}, {READY + QUEUE: "900x60", CONSUMERS + QUEUE: "1x60"}),
    "UnroutableDropped": (
        {"rabbitmq_global_messages_unroutable_dropped_total" + NODE: "5x30 6x30"},
        {"rabbitmq_global_messages_unroutable_dropped_total" + NODE: "5x60"},
    ),
    "DroppedAtDeliveryLimit": (
        {DROPPED.format("delivery_limit", "disabled"): "0x30 1x30"},
        {DROPPED.format("delivery_limit", "at_most_once"): "0x30 1x30"},
    ),
    "RejectedAndDropped": (
        {DROPPED.format("rejected", "disabled"): "0x30 1x30"},
        {DROPPED.format("rejected", "at_most_once"): "0x30 1x30"},
    ),
    "ManyRedeliveries": (
        {"rabbitmq_global_messages_redelivered_total" + NODE: "0+20x60"},
        {"rabbitmq_global_messages_redelivered_total" + NODE: "0+5x60"},
    ),
    "NodeDown": ({"up" + NODE: "1x20 0x40"}, {"up" + NODE: "1x60", 'up{job="other",node="rabbit1"}': "0x60"}),
    "QueuesNotRead": (
        {"up" + NODE: "1x60", 'up{job="rabbitmq-queues",node="rabbit1"}': "1x20 0x40"},
        {"up" + NODE: "0x60", 'up{job="rabbitmq-queues",node="rabbit1"}': "0x60"},  # that is NodeDown
    ),
    "PeersUnreachable": (
        {"rabbitmq_unreachable_cluster_peers_count" + NODE: "1x60"},
        {"rabbitmq_unreachable_cluster_peers_count" + NODE: "0x60"},
    ),
    "MemoryAlarm": (
        {"rabbitmq_alarms_memory_used_watermark" + NODE: "1x60"},
        {"rabbitmq_alarms_memory_used_watermark" + NODE: "0x60"},
    ),
    "MemoryNearLimit": (
        {"rabbitmq_process_resident_memory_bytes" + NODE: "85x60", "rabbitmq_resident_memory_limit_bytes" + NODE: "100x60"},
        {"rabbitmq_process_resident_memory_bytes" + NODE: "75x60", "rabbitmq_resident_memory_limit_bytes" + NODE: "100x60"},
    ),
    "DiskAlarm": (
        {"rabbitmq_alarms_free_disk_space_watermark" + NODE: "1x60"},
        {"rabbitmq_alarms_free_disk_space_watermark" + NODE: "0x60"},
    ),
    "DiskNearLimit": (
        {"rabbitmq_disk_space_available_bytes" + NODE: "290x60", "rabbitmq_disk_space_available_limit_bytes" + NODE: "100x60"},
        {"rabbitmq_disk_space_available_bytes" + NODE: "310x60", "rabbitmq_disk_space_available_limit_bytes" + NODE: "100x60"},
    ),
    "FileDescriptorsNearLimit": (
        {"rabbitmq_process_open_fds" + NODE: "85x60", "rabbitmq_process_max_fds" + NODE: "100x60"},
        {"rabbitmq_process_open_fds" + NODE: "75x60", "rabbitmq_process_max_fds" + NODE: "100x60"},
    ),
    "ConnectionChurn": (
        {"rabbitmq_connections_opened_total" + NODE: "0+60x60"},
        {"rabbitmq_connections_opened_total" + NODE: "0+40x60"},
    ),
    "LoginsRefused": (
        {"rabbitmq_auth_attempts_failed_total" + NODE: "0x20 4x40"},
        {"rabbitmq_auth_attempts_failed_total" + NODE: "0x20 1x40"},
    ),
}


@pytest.fixture(scope="module")
def prometheus():
    """Prometheus, when it runs; in CI its absence is a failure."""
    running = cluster.containers().get("prometheus")
    if not (running and running.state == "running"):
        needs.missing("Prometheus does not run. Start it with: ./lab up --monitoring")
    return Prometheus("test_monitoring")


def test_every_alert_says_what_is_wrong_and_what_to_do():
    for name, rule in RULES.items():
        assert rule["labels"]["severity"] in ("critical", "warning"), name
        assert rule["annotations"].keys() == {"summary", "description", "runbook"}, name


def test_every_alert_is_put_to_the_test():
    assert CASES.keys() == RULES.keys()


def test_the_reference_page_has_every_alert_in_its_table():
    page = (ROOT / "docs/module_4_production/reference_04_monitoring.md").read_text()
    assert [alert for alert in RULES if f"`{alert}`" not in page] == []


def test_the_lesson_shows_jobs_as_they_are():
    page = (ROOT / "docs/module_4_production/04_monitoring.md").read_text()
    shown = yaml.safe_load(re.search(r"^```yaml\n(scrape_configs:.*?)^```", page, re.M | re.S)[1])["scrape_configs"]
    there = yaml.safe_load((ROOT / "docker/prometheus/prometheus.yml").read_text())["scrape_configs"]
    assert [{key: job.get(key) for key in part} for part, job in zip(shown, there, strict=True)] == shown


def test_the_dashboard_is_provisioned_where_its_files_are_mounted():
    mounts = dict(volume.split(":")[:2] for volume in cluster_file()["services"]["grafana"]["volumes"])
    provider = yaml.safe_load((ROOT / "docker/grafana/provisioning/dashboards/rabbitmq.yml").read_text())
    assert provider["providers"][0]["options"]["path"] == mounts["./docker/grafana/dashboards"]
    source = yaml.safe_load((ROOT / "docker/grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"][0]
    assert {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]} == {source["uid"]}


def cluster_file() -> dict:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


@on_the_cluster
def test_the_checker_of_prometheus_finds_nothing_wrong(prometheus):
    for command in ("promtool check config /etc/prometheus/prometheus.yml", "amtool check-config /etc/alertmanager/alertmanager.yml"):
        service = "prometheus" if command.startswith("promtool") else "alertmanager"
        done = in_container(service, command)
        assert done.returncode == 0, done.stdout + done.stderr


@on_the_cluster
def test_each_alert_fires_on_its_series_and_is_silent_on_others(prometheus):
    """promtool's own unit tests, which need no fault and no waiting."""
    tests = []
    for alert, (bad, good) in CASES.items():
        for series, firing in ((bad, True), (good, False)):
            expression = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})'
            tests.append(
                {
                    "name": f"{alert} {'fires' if firing else 'is silent'}",
                    "interval": "1s",
                    "input_series": [{"series": one, "values": values} for one, values in series.items()],
                    "promql_expr_test": [
                        {"expr": expression, "eval_time": "40s", "exp_samples": [{"labels": "{}", "value": 1}] if firing else []}
                    ],
                }
            )
    written = {"rule_files": ["/etc/prometheus/rules/*.yml"], "evaluation_interval": "1s", "tests": tests}
    done = in_container("prometheus", "cat > /tmp/test.yml && promtool test rules /tmp/test.yml", yaml.safe_dump(written))
    assert done.returncode == 0, done.stdout + done.stderr


def in_container(service: str, command: str, given: str = ""):
    import subprocess

    compose = [*engine.compose_command(), "--profile", "monitoring", "exec", "-T", service, "sh", "-c", command]
    return subprocess.run(compose, cwd=ROOT, input=given, capture_output=True, text=True)


@pytest.fixture
def troubled(room, prometheus):
    """A virtual host in which something of each kind goes wrong that a client can bring about."""
    channel = room.channel()
    room.fill(channel, "orders.dead", 1, type="quorum")
    room.fill(channel, "orders", 2, type="quorum")
    room.fill(channel, "slow", 5)
    other = room.channel()
    other.basic_qos(prefetch_count=1)
    other.basic_consume(queue="slow", on_message_callback=lambda *_: None)  # takes one and keeps it
    drop_everything(room)
    return room


def drop_everything(room):
    """One message lost in each way that a counter counts, and logins refused."""
    channel = room.channel()
    channel.basic_publish(exchange="amq.direct", routing_key="nowhere", body="unroutable")
    channel.queue_declare(queue="poison", durable=True, arguments={"x-queue-type": "quorum", "x-delivery-limit": 1})
    for requeue in (True, False):
        channel.basic_publish(exchange="", routing_key="poison", body="poison")
        broker.wait_until(partial(no_more_to_reject, channel, "poison", requeue), what="poison is gone")
    wrong = room.parameters(credentials=pika.PlainCredentials(room.vhost, "wrong"))
    for _ in range(4):
        with pytest.raises(pika.exceptions.ProbableAuthenticationError):
            pika.BlockingConnection(wrong)


def no_more_to_reject(channel, queue: str, requeue: bool) -> bool:
    method, _, _ = channel.basic_get(queue=queue)
    if method:
        channel.basic_reject(delivery_tag=method.delivery_tag, requeue=requeue)
    return method is None


@on_the_cluster
def test_every_query_has_an_answer_and_alerts_fire_on_their_faults_and_clear(troubled, prometheus):
    in_the_room = {"FailedMessages": "orders.dead", "QueueWithoutConsumers": "orders"}
    of_nodes = {"UnroutableDropped", "DroppedAtDeliveryLimit", "RejectedAndDropped", "LoginsRefused"}

    fired: set[str] = set()

    def missing() -> set[str]:
        fired.update(name for name, queue in in_the_room.items() if queue in told(prometheus, name, troubled.vhost))
        fired.update(name for name in of_nodes if prometheus.told(name))
        return (in_the_room.keys() | of_nodes) - fired

    broker.wait_until(lambda: not missing(), within=60, what="alerts in Alertmanager", seen=missing)

    # Every metric that a rule or the dashboard names, with its labels, is there; so no alert is silent because of a misspelt name.
    named = {
        hit.group() for expression in [*DRAWN.values(), *(rule["expr"] for rule in RULES.values())] for hit in SELECTOR.finditer(expression)
    }
    assert len(named) > 20
    asked = {f"count({selector})" for selector in named} | set(DRAWN.values())

    def unanswered() -> set[str]:  # a node that was scraped too late has no series for a second
        asked.difference_update({query for query in asked if prometheus.query(query)})
        return asked

    broker.wait_until(lambda: not unanswered(), within=20, what="every query to be answered", seen=unanswered)

    channel = troubled.channel()
    channel.queue_purge(queue="orders.dead")
    channel.queue_delete(queue="orders")
    broker.wait_until(
        lambda: not any(told(prometheus, name, troubled.vhost) for name in in_the_room), within=20, what="the alerts of the room cleared"
    )


@on_the_cluster
def test_messages_that_go_round_in_circles_fire_an_alert(room, prometheus):
    channel = room.channel()
    room.fill(channel, "circles", 1, type="quorum")

    def back_and_forth():
        for _ in range(20):
            method, _, _ = channel.basic_get(queue="circles")
            if method:
                channel.basic_nack(delivery_tag=method.delivery_tag, requeue=True)
        return prometheus.told("ManyRedeliveries")

    broker.wait_until(back_and_forth, within=30, what="ManyRedeliveries in Alertmanager")


def told(prometheus, alert: str, vhost: str) -> set[str]:
    """The queues of *vhost* of which Alertmanager was told."""
    return {labels["queue"] for labels in prometheus.told(alert) if labels.get("vhost") == vhost}


def told_of(prometheus, alert: str) -> set[str]:
    return {labels["node"] for labels in prometheus.told(alert)}


@pytest.mark.faults
@on_the_cluster
@pytest.mark.parametrize(("alarm", "alert"), [(faults.memory_alarm, "MemoryAlarm"), (faults.disk_alarm, "DiskAlarm")])
def test_an_alarm_of_a_node_fires_an_alert_and_clears_it(prometheus, alarm, alert):
    broker.wait_until(lambda: not told_of(prometheus, alert), within=20, what=f"no {alert} before the fault")
    with alarm("rabbit2"):
        broker.wait_until(lambda: told_of(prometheus, alert) == {"rabbit2"}, within=20, what=alert)
    broker.wait_until(lambda: not told_of(prometheus, alert), within=20, what=f"{alert} cleared")


@pytest.mark.faults
@on_the_cluster
def test_a_node_that_is_down_fires_an_alert_and_its_peers_complaints_are_held_back(prometheus):
    with faults.killed("rabbit3"):
        broker.wait_until(lambda: told_of(prometheus, "NodeDown") == {"rabbit3"}, within=30, what="NodeDown")
        broker.wait_until(lambda: firing(prometheus, "PeersUnreachable") >= {"rabbit1", "rabbit2"}, within=30, what="PeersUnreachable")
        broker.wait_until(lambda: states("PeersUnreachable") == {"suppressed"}, within=20, what="PeersUnreachable held back by NodeDown")
    quiet = ("NodeDown", "PeersUnreachable")
    broker.wait_until(lambda: not any(told_of(prometheus, alert) for alert in quiet), within=30, what="both cleared")
    assert len(prometheus.query('up{job="rabbitmq"} == 1')) == len(NODES)


def states(alert: str) -> set[str]:
    """The states of this alert in Alertmanager: ``active``, or ``suppressed`` where another explains it."""
    with urlopen(f"http://{HOST}:{ALERTMANAGER_PORT}/api/v2/alerts", timeout=20) as answer:
        return {found["status"]["state"] for found in json.load(answer) if found["labels"]["alertname"] == alert}


def firing(prometheus, alert: str) -> set[str]:
    return {labels["node"] for labels, _ in prometheus.query(f'ALERTS{{alertname="{alert}",alertstate="firing"}}')}


@on_the_cluster
@pytest.mark.parametrize("age", [60, 600])
def test_the_management_page_gets_the_history_that_it_asks_for(room, age):
    """Where no retention policy reaches as far back as it asks, the page shows 0 in place of the present depth."""
    room.fill(room.channel(), "orders", 3)
    asked = broker.path("queues", room.vhost, "orders") + f"?lengths_age={age}&lengths_incr=5"
    broker.wait_until(
        lambda: broker.api(asked).get("messages_ready") == 3, what=f"3 messages on the page, of {age} s", seen=partial(broker.api, asked)
    )
