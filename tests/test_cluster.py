"""The cluster: found, started, looked at, stopped."""

import json
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pika
import pytest

from rabbitlab import broker, cluster, engine, nodes, overview, ports, readiness, stalls
from rabbitlab.cluster import Container
from rabbitlab.errors import Mendable
from rabbitlab.healing import menders
from rabbitlab.nodes import ADMIN, NODES, PROFILES
from rabbitlab.units import ROOT

CONNECTION_START = b"\x01\x00\x00\x00\x00\x02\x0c"
ALL_RUN = {service: Container(service, "running", ROOT) for service in cluster.SERVICES}


@contextmanager
def server(answer: bytes | None):
    """A port that answers each connection with some bytes, or with nothing at all (None)."""
    opened = []

    def serve(listening):
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            opened.append(connection)
            if answer is not None:
                connection.sendall(answer)
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,), daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in opened:
            connection.close()


def at(monkeypatch, load_balancer: int, amqp: int) -> None:
    monkeypatch.setattr(cluster, "LOAD_BALANCER_PORT", load_balancer)
    monkeypatch.setattr(cluster, "NODES", (nodes.Node("rabbit1", amqp, 1, 1),))


def test_it_runs_when_a_port_speaks_amqp(monkeypatch):
    with server(CONNECTION_START) as speaks, server(b"") as hangs_up:
        at(monkeypatch, hangs_up, speaks)
        assert cluster.is_running()


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n", b"AMQP\x00\x01\x00\x00"])
def test_it_does_not_run_when_something_else_answers(monkeypatch, answer):
    with server(answer) as port:
        at(monkeypatch, port, port)
        assert not cluster.is_running()


def test_a_paused_node_is_not_waited_for_long(monkeypatch):
    with server(None) as silent:
        at(monkeypatch, silent, silent)
        began = time.monotonic()
        assert not cluster.is_running(within=0.2)
        assert stalls.spent(began) < 0.5


def test_where_nothing_listens_the_answer_takes_no_time(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as once:
        closed = once.getsockname()[1]
    at(monkeypatch, closed, closed)
    began = time.monotonic()
    assert not cluster.is_running()
    assert stalls.spent(began) < 0.3


def test_a_prometheus_that_is_paused_is_healed_too(monkeypatch):
    there = {service: SimpleNamespace(status="running") for service in ALL_RUN}
    prometheus = SimpleNamespace(status="paused", unpause=lambda: setattr(prometheus, "status", "running"))
    grafana = SimpleNamespace(status="exited")  # need not run
    monkeypatch.setattr("rabbitlab.containers.all_of_them", lambda: there | {"prometheus": prometheus, "grafana": grafana})
    assert menders.containers_at_rest() == ["prometheus was paused: goes on"]
    assert prometheus.status == "running"
    assert menders.containers_at_rest() == []


@pytest.mark.parametrize(("state", "times"), [("paused", 1), ("running", 0)])
def test_lab_up_heals_a_whole_cluster_whose_prometheus_is_paused(monkeypatch, state, times):
    healed = []
    monkeypatch.setattr(cluster, "containers", lambda: ALL_RUN | {"prometheus": Container("prometheus", state, ROOT)})
    monkeypatch.setattr("rabbitlab.wholeness.missing", lambda: "")
    monkeypatch.setattr("rabbitlab.healing.screen.show", lambda: healed.append("all"))
    cluster._mend()
    assert healed == ["all"] * times


def test_every_taken_port_is_named_with_its_holder(monkeypatch):
    monkeypatch.setattr(cluster, "containers", lambda: {"rabbit2": Container("rabbit2", "running", ROOT)})
    monkeypatch.setattr(ports, "taken", lambda port: port in (5672, 5673, 15674))
    monkeypatch.setattr(ports, "holder", lambda port: ports.Holder(f"a process of port {port}", f"kill {port}"))
    with pytest.raises(Mendable) as caught:
        cluster._need_ports()
    assert "port 5672: a process of port 5672. End it with: kill 5672" in str(caught.value)
    assert "port 15674" in str(caught.value)
    assert "port 5673" not in str(caught.value)  # rabbit2 has it, and may


def test_our_own_ports_are_no_obstacle(monkeypatch):
    monkeypatch.setattr(cluster, "containers", lambda: ALL_RUN)
    monkeypatch.setattr(ports, "taken", lambda port: True)
    cluster._need_ports()


def test_a_cluster_of_another_copy_is_taken_over_only_when_that_is_wanted(monkeypatch, capsys):
    other = {"rabbit1": Container("rabbit1", "running", Path("/home/ann/other"))}
    monkeypatch.setattr(cluster, "containers", lambda: other)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(Mendable, match="/home/ann/other/lab down"):
        cluster._take_over(yes=False)
    cluster._take_over(yes=True)
    assert "another copy of the course, /home/ann/other" in capsys.readouterr().out


def test_stopped_containers_of_another_copy_are_no_obstacle(monkeypatch):
    monkeypatch.setattr(cluster, "containers", lambda: {"rabbit1": Container("rabbit1", "exited", Path("/gone"))})
    cluster._take_over(yes=False)


def test_a_log_is_asked_for_by_the_name_of_a_service(monkeypatch):
    with pytest.raises(Mendable, match="rabbit1, rabbit2, rabbit3, haproxy"):
        cluster.logs("rabbit9")
    monkeypatch.setattr(cluster, "containers", lambda: {})
    with pytest.raises(Mendable, match=r"\./lab up"):
        cluster.logs("rabbit1")


def test_down_with_volumes_says_what_is_lost_and_asks(monkeypatch, capsys):
    composed = []
    monkeypatch.setattr(engine, "state", lambda: "")
    monkeypatch.setattr(cluster, "containers", lambda: ALL_RUN)
    monkeypatch.setattr(cluster, "is_running", lambda: True)
    monkeypatch.setattr(cluster, "compose", lambda *words, **options: composed.append(words))
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    held = [{"vhost": "/", "name": "orders", "messages": 3}, {"vhost": "shop", "name": "parcels", "messages": 4}]
    monkeypatch.setattr(broker, "api", lambda path: held)
    with pytest.raises(Mendable, match="2 queues with 7 messages") as caught:
        cluster.down(volumes=True)
    assert "4 in parcels (virtual host shop)" in str(caught.value)
    assert composed == []
    cluster.down(volumes=True, yes=True)
    cluster.down()
    assert [words[-1] for words in composed] == ["--volumes", "down"]


def test_down_without_a_cluster_says_so(monkeypatch, capsys):
    monkeypatch.setattr(engine, "state", lambda: "")
    monkeypatch.setattr(cluster, "containers", lambda: {})
    cluster.down()
    assert "was not running" in capsys.readouterr().out


def test_a_compose_that_fails_is_shown(monkeypatch):
    failed = subprocess.CompletedProcess([], 1, "", "one\ntwo\nport is already allocated\n")
    monkeypatch.setattr(cluster, "compose", lambda *words, **options: failed)
    with pytest.raises(Mendable, match="already allocated"):
        cluster._start_containers()


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 10
        return self.now


def test_a_cluster_that_does_not_become_ready_shows_the_log_of_the_node_at_fault(monkeypatch):
    monkeypatch.setattr(cluster, "containers", lambda: ALL_RUN)
    monkeypatch.setattr(cluster, "log_tail", lambda service: f"the log of {service}: no cookie")
    monkeypatch.setattr(readiness, "STAGES", (("never", lambda: "2 of 3 nodes run; not yet: rabbit2"),))
    with pytest.raises(Mendable) as caught:
        readiness.wait(within=60, clock=Clock())
    assert "Seen last: 2 of 3 nodes run; not yet: rabbit2." in str(caught.value)
    assert "the log of rabbit2: no cookie" in str(caught.value)


def test_a_node_that_has_ended_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(cluster, "containers", lambda: {**ALL_RUN, "rabbit3": Container("rabbit3", "exited", ROOT)})
    monkeypatch.setattr(cluster, "log_tail", lambda service: "eacces")
    monkeypatch.setattr(readiness, "STAGES", (("never", lambda: "2 of 3 nodes run"),))
    with pytest.raises(Mendable, match=r"rabbit3 has ended(.|\n)*eacces"):
        readiness.wait(within=60)


def test_readiness_says_what_it_waits_for(monkeypatch, capsys):
    seen = iter(["2 of 3 nodes run; not yet: rabbit3", ""])
    monkeypatch.setattr(cluster, "containers", lambda: ALL_RUN)
    monkeypatch.setattr(readiness, "STAGES", (("3 nodes run", lambda: next(seen)),))
    readiness.wait(within=60)
    assert "3 nodes run" in capsys.readouterr().out


def test_the_status_of_a_cluster_that_lacks_a_node_is_1(monkeypatch, capsys):
    monkeypatch.setattr(cluster, "containers", lambda: {**ALL_RUN, "rabbit3": Container("rabbit3", "exited", ROOT)})
    facts = {"running": True, "mem_used": 2**27, "mem_limit": 2**28, "applications": [{"name": "rabbit", "version": "4.3.6"}]}
    known = [{**facts, "name": "rabbit@rabbit1"}, {**facts, "name": "rabbit@rabbit2"}, {"name": "rabbit@rabbit3", "running": False}]
    monkeypatch.setattr(broker, "api", lambda path: known if path == "nodes" else [{"name": "guest", "tags": ["administrator"]}])
    monkeypatch.setattr(readiness, "message_missing", lambda: "")
    monkeypatch.setattr(overview.images, "source", lambda: "official")
    assert cluster.status() == 1
    out = capsys.readouterr().out
    assert "exited" in out
    assert "128 of 256 MiB" in out


def test_the_status_where_nothing_runs_is_1_and_names_the_command(monkeypatch, capsys):
    monkeypatch.setattr(cluster, "containers", lambda: {})
    monkeypatch.setattr(engine, "state", lambda: "")
    assert cluster.status() == 1
    assert "./lab up" in capsys.readouterr().out


@pytest.mark.cluster
def test_the_running_cluster_is_found_at_once():
    began = time.monotonic()
    assert cluster.is_running()
    assert stalls.spent(began) < 0.3


@pytest.mark.cluster
def test_the_status_of_the_running_cluster_names_everything(capsys):
    assert cluster.status() == 0
    out = capsys.readouterr().out
    for expected in (*(node.name for node in NODES), "4.3", "5670: serves", "guest (administrator)", "Images:"):
        assert expected in out


@pytest.mark.cluster
def test_a_transient_queue_that_is_not_exclusive_is_refused():
    with pytest.raises(pika.exceptions.ConnectionClosedByBroker) as caught, connected() as connection:
        connection.channel().queue_declare(queue="test_cluster.transient")
    assert caught.value.reply_code == 541


@pytest.mark.cluster
@pytest.mark.faults  # it would mend what a test beside it has broken on purpose
def test_a_second_up_is_quick_and_changes_nothing():
    if not cluster.is_whole():
        pytest.skip("another copy of the course has started the cluster; ./lab up takes it over")
    before = container_ids()
    began = time.monotonic()
    cluster.up()
    assert stalls.spent(began) < 10
    assert container_ids() == before


@pytest.mark.restarts
@pytest.mark.cluster
def test_messages_survive_down_and_up_and_compose_alone_starts_the_same_cluster():
    """With the profiles that run: in ``./lab test`` that is all of them."""
    profiles = [profile for profile in PROFILES if cluster.is_whole([profile])]
    services = {*cluster.SERVICES, *(service for profile in profiles for service in cluster.services_of(profile))}
    broker.api(broker.path("vhosts", "test_cluster"), "PUT", {})
    try:
        broker.api(broker.path("permissions", "test_cluster", ADMIN[0]), "PUT", {"configure": ".*", "write": ".*", "read": ".*"})
        kinds = {"classic": {}, "quorum": {"x-queue-type": "quorum"}}
        with connected("test_cluster") as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            for queue, arguments in kinds.items():
                channel.queue_declare(queue=queue, durable=True, arguments=arguments)
                for n in range(10):
                    properties = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
                    channel.basic_publish(exchange="", routing_key=queue, body=str(n), properties=properties)

        for service in ("haproxy", "rabbit3"):
            began = time.monotonic()
            cluster.compose("stop", service, capture=True, check=True)
            assert stalls.spent(began) < 5, service
            assert exit_statuses()[service] == 0
        # No limit for all at once: the last one may wait in vain for a majority, on behalf of somebody's open connection.
        cluster.down()
        assert not cluster.is_running()
        assert cluster.containers() == {}

        began = time.monotonic()
        cluster.compose(*cluster.chosen(profiles), "up", "--detach", capture=True, check=True)
        broker.wait_until(lambda: healthy() == services, within=60 - (time.monotonic() - began), what="all healthy", seen=healthy)
        by_compose = container_ids()
        began = time.monotonic()
        cluster.up(profiles=profiles)
        assert stalls.spent(began) < 20
        assert container_ids() == by_compose
        assert {queue: broker.depth(queue, vhost="test_cluster") for queue in kinds} == dict.fromkeys(kinds, 10)
    finally:
        if not cluster.is_whole(profiles):
            cluster.up(profiles=profiles)
        broker.api(broker.path("vhosts", "test_cluster"), "DELETE")


def connected(vhost: str = "/") -> pika.BlockingConnection:
    return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", virtual_host=vhost, credentials=pika.PlainCredentials(*ADMIN)))


def healthy() -> set[str]:
    return {service for service, container in cluster.containers().items() if container.healthy}


def container_ids() -> set[str]:
    return set(cluster.compose("ps", "--quiet", capture=True).stdout.split())


def exit_statuses() -> dict[str, int]:
    lines = cluster.compose("ps", "--all", "--format", "json", capture=True).stdout.splitlines()
    return {found["Service"]: found["ExitCode"] for found in map(json.loads, lines)}
