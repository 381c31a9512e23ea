"""faults breaks what it is asked to break, and nothing else."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import docker
import pika
import pytest

from rabbitlab import broker, cluster, containers, engine, faults, healing, lock, users, wholeness
from rabbitlab.errors import Mendable
from rabbitlab.faults import connections
from rabbitlab.faults import fault as fault_module
from rabbitlab.healing import menders
from rabbitlab.nodes import NODES
from rabbitlab.units import ROOT
from tests.members import end_member

pytest_plugins = ["tests.rooms"]
pytestmark = pytest.mark.cluster


def is_open(connection: pika.BlockingConnection) -> bool:
    try:
        connection.channel().close()
    except pika.exceptions.ConnectionClosedByBroker:
        return False
    return True


def test_only_the_named_connections_are_closed(room):
    first, second, other = room.connection("till"), room.connection("till"), room.connection("packer")
    with faults.closed_connections("till", room.vhost) as closed:
        assert closed.count == 2
        assert broker.connections("till", vhost=room.vhost) == [], "closed before the body runs, though their clients have not noticed"
        assert len(broker.connections(vhost=room.vhost)) == 1
    assert [is_open(connection) for connection in (first, other)] == [False, True]
    with pytest.raises(pika.exceptions.ConnectionClosedByBroker) as closed:
        second.channel()
    assert closed.value.reply_code == 320


def test_without_a_name_every_connection_to_the_vhost_is_closed_and_none_to_another(room):
    room.let_in("guest")
    here = [room.connection("till"), pika.BlockingConnection(room.parameters(credentials=pika.PlainCredentials("guest", "guest")))]
    elsewhere = pika.BlockingConnection(pika.ConnectionParameters("localhost"))
    try:
        with faults.closed_connections(vhost=room.vhost) as closed:
            assert closed.count == 2
        assert [is_open(connection) for connection in here] == [False, False]
        assert is_open(elsewhere)
    finally:
        elsewhere.close()


def test_what_was_not_acknowledged_is_ready_again_inside(room):
    channel = room.channel()
    room.fill(channel, "orders", 3)
    channel.basic_get(queue="orders")
    with faults.closed_connections(vhost=room.vhost):
        assert (broker.depth("orders", vhost=room.vhost), broker.unacked("orders", vhost=room.vhost)) == (3, 0)


def test_a_client_may_come_back_inside(room):
    room.connection("till")
    with faults.closed_connections(vhost=room.vhost):
        assert is_open(room.connection("till"))


def test_a_user_who_may_enter_one_vhost_only_is_closed_without_waiting_for_statistics(room, monkeypatch):
    monkeypatch.setattr(broker, "REPORT", 0)
    connection = room.connection()
    with faults.closed_connections(vhost=room.vhost) as closed:
        assert closed.count == 1
    assert not is_open(connection)


def test_a_name_that_nobody_bears_is_answered_with_those_that_are_open(room, monkeypatch):
    monkeypatch.setattr(connections, "OPENING", 0.1)
    room.connection("packer")
    with pytest.raises(LookupError, match=r"calls itself 'till'. Open are: packer\."), faults.closed_connections("till", room.vhost):
        pytest.fail("the body ran")


def test_a_vhost_without_connections_says_so(room, monkeypatch):
    monkeypatch.setattr(connections, "OPENING", 0.1)
    with pytest.raises(LookupError, match=rf"No connection to the virtual host '{room.vhost}' is open\."):
        faults.closed_connections(vhost=room.vhost).__enter__()


def test_an_error_of_the_body_passes_through(room):
    room.connection()
    with pytest.raises(ZeroDivisionError), faults.closed_connections(vhost=room.vhost):
        _ = 1 / 0


def states() -> dict[str, str]:
    return {node.name: containers.state(node.name) for node in NODES}


@pytest.mark.faults
@pytest.mark.parametrize(
    ("fault", "state"),
    [(faults.killed, "exited"), (faults.stopped, "exited"), (faults.paused, "paused")],
    ids=["killed", "stopped", "paused"],
)
def test_a_node_that_is_taken_away_is_gone_inside_and_back_after(fault, state):
    with fault("rabbit2") as made:
        assert states() == {"rabbit1": "running", "rabbit2": state, "rabbit3": "running"}
        assert faults.whole()
        assert made.name.startswith("rabbit2 ")
        assert made.ended is None
        if state == "exited":
            assert broker.running_nodes() == ["rabbit1", "rabbit3"]
    assert set(states().values()) == {"running"}
    assert faults.whole() == ""
    assert made.began < made.ended <= time.monotonic()


@pytest.mark.faults
@pytest.mark.parametrize("fault", [faults.memory_alarm, faults.disk_alarm], ids=["memory", "disk"])
def test_an_alarm_blocks_publishers_on_every_node_inside_and_on_none_after(fault):
    with fault("rabbit3"):
        for node in NODES:
            assert blocked(node), f"{node.name} takes messages"
    assert faults.whole() == ""
    assert not blocked(NODES[0])


def blocked(node) -> bool:
    """Whether a publisher is told so within a second."""
    parameters = pika.ConnectionParameters("localhost", node.amqp, blocked_connection_timeout=1)
    try:
        with pika.BlockingConnection(parameters) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.basic_publish(exchange="", routing_key=channel.queue_declare(queue="", exclusive=True).method.queue, body=b"?")
    except pika.exceptions.ConnectionBlockedTimeout:
        return True
    return False


@pytest.mark.faults
def test_a_body_that_fails_leaves_a_whole_cluster():
    with pytest.raises(ZeroDivisionError), faults.killed("rabbit3"):
        _ = 1 / 0
    assert faults.whole() == ""


@pytest.mark.faults
def test_what_does_not_run_cannot_be_broken_and_an_outer_fault_stays():
    with faults.paused("rabbit2"):
        for fault in (faults.paused, faults.killed, faults.cut_off, faults.memory_alarm):
            with pytest.raises(Mendable, match=r"rabbit2 is not running \(paused\).*\./lab heal"), fault("rabbit2"):
                pytest.fail("the body ran")
        assert states()["rabbit2"] == "paused"


@pytest.mark.faults
def test_an_engine_that_does_not_answer_is_named_with_what_starts_it(monkeypatch):
    monkeypatch.setattr(engine, "client", lambda: docker.DockerClient(base_url="unix:///nowhere.sock"))
    containers._client.cache_clear()
    try:
        with pytest.raises(Mendable, match=r"engine does not answer.*\./lab up"), faults.killed("rabbit2"):
            pytest.fail("the body ran")
    finally:
        containers._client.cache_clear()


@pytest.mark.parametrize("node", ["rabbit9", "haproxy", ""])
def test_an_unknown_node_is_answered_with_those_that_there_are(node):
    for fault in (faults.killed, faults.paused, faults.stopped, faults.memory_alarm, faults.disk_alarm):
        with pytest.raises(Mendable, match=r"Nodes are: rabbit1, rabbit2, rabbit3"), fault(node):
            pytest.fail("the body ran")


@pytest.mark.faults
def test_a_node_cut_off_is_reached_by_nobody_and_comes_back():
    with faults.cut_off("rabbit3"):
        assert containers.state("rabbit3") == "running"
        assert wholeness.view(NODES[2]) is None
        assert faults.whole()
    assert faults.whole() == ""


@pytest.mark.faults
def test_a_partition_leaves_one_node_alone_and_clients_reach_both_sides():
    with faults.partitioned("rabbit1"):
        seen = {node.name: sorted(name for name, told in wholeness.view(node).items() if told.get("running")) for node in NODES}
        assert seen == {"rabbit1": ["rabbit1"], "rabbit2": ["rabbit2", "rabbit3"], "rabbit3": ["rabbit2", "rabbit3"]}
        for node in NODES:
            pika.BlockingConnection(pika.ConnectionParameters("localhost", node.amqp)).close()
    assert faults.whole() == ""


@pytest.mark.faults
def test_a_deleted_user_comes_back_as_it_was(room):
    room.let_in("guest")
    topic = {"exchange": "amq.topic", "write": "^a", "read": "^b"}
    broker.api(broker.path("topic-permissions", room.vhost, "guest"), "PUT", topic)
    broker.api(broker.path("user-limits", "guest", "max-channels"), "PUT", {"value": 99})
    try:
        before = everything_about("guest")
        with faults.deleted_user() as fault:
            assert fault.name == "user guest deleted"
            with pytest.raises(pika.exceptions.ProbableAuthenticationError):
                pika.BlockingConnection(pika.ConnectionParameters("localhost"))
        assert everything_about("guest") == before
        assert before["topic-permissions"][0]["exchange"] == "amq.topic"
    finally:
        broker.api(broker.path("user-limits", "guest", "max-channels"), "DELETE")
    pika.BlockingConnection(pika.ConnectionParameters("localhost")).close()
    assert not users.KEPT.exists()


def everything_about(user: str) -> dict:
    told = {kind: broker.api(broker.path("users", user, kind)) for kind in ("permissions", "topic-permissions")}
    return told | {"user": broker.api(broker.path("users", user)), "limits": broker.api(broker.path("user-limits", user))}


def off_the_network(service: str) -> None:
    for network in containers.networks_of(containers.of(service)):
        network.disconnect(containers.of(service), force=True)


def containers_of_all_kinds() -> None:
    """One removed, one frozen, one cut off, and no load balancer."""
    containers.of("rabbit2").remove(force=True)
    containers.of("rabbit3").pause()
    off_the_network("rabbit1")
    containers.of("haproxy").kill()


def nodes_of_all_kinds() -> None:
    """Limits left low, guest with another password, one node in maintenance mode, one that the others do not know."""
    containers.run("rabbit1", "rabbitmqctl", "set_vm_memory_high_watermark", "absolute", "300MiB")
    broker.api("users/guest", "PUT", {"password": "forgotten", "tags": ""})
    containers.run("rabbit1", "rabbitmq-upgrade", "drain")
    containers.run(
        "rabbit3", *menders.EVAL, "[erlang:set_cookie(N, cut) orelse true || N <- nodes()], [erlang:disconnect_node(N) || N <- nodes()]."
    )


def a_fourth_node() -> None:
    """Left in the cluster, and as a container."""
    cluster.compose("--profile", "fourth", "up", "--detach", "rabbit4", capture=True, check=True)
    broker.wait_until(lambda: "rabbit4" in broker.running_nodes(), 60, "a fourth node to join")


def a_copy_of_the_course_that_is_gone() -> None:
    """The load balancer was made by another copy of the course, which has been deleted since: its files cannot be mounted any more."""
    with tempfile.TemporaryDirectory() as elsewhere:
        copy = Path(elsewhere)
        shutil.copytree(ROOT / "docker", copy / "docker")
        for name in ("docker-compose.yml", ".env"):
            if (ROOT / name).exists():
                shutil.copy(ROOT / name, copy / name)
        made = ["up", "--detach", "--no-deps", "--force-recreate", "haproxy"]
        cluster.compose("--project-directory", str(copy), "--file", str(copy / "docker-compose.yml"), *made, capture=True, check=True)
        containers.of("haproxy").kill()


BROKEN = [
    (containers_of_all_kinds, ["haproxy had ended", "rabbit1 was off the network", "rabbit2 had no container", "rabbit3 was paused"]),
    (nodes_of_all_kinds, ["did not see each other", "rabbit1 had another memory limit", "rabbit1 was in maintenance", "user guest was"]),
    (a_copy_of_the_course_that_is_gone, ["which is gone: removed", "haproxy had no container: made again"]),
    (a_fourth_node, ["rabbit4 was left in the cluster", "rabbit4 was left over"]),
]


@pytest.mark.faults
@pytest.mark.parametrize(("break_it", "mended"), BROKEN, ids=[break_it.__name__ for break_it, _ in BROKEN])
def test_heal_mends_whatever_is_broken_and_says_what(break_it, mended):
    try:
        break_it()
        assert faults.whole()
    finally:
        said = faults.heal()
    assert faults.whole() == ""
    for sentence in mended:
        assert any(sentence in one for one in said), f"{sentence}: not in {said}"


@pytest.mark.faults
def test_heal_gives_a_quorum_queue_its_missing_member_back(room):
    room.fill(room.channel(), "orders", 1, "quorum")
    broker.api(broker.path("queues", "quorum", room.vhost, "orders", "replicas", "delete"), "DELETE", {"node": "rabbit@rabbit2"})
    broker.wait_until(lambda: len(broker.members("orders", vhost=room.vhost)) == 2)
    assert "orders" in faults.whole()
    assert any("orders" in sentence for sentence in faults.heal())
    assert broker.members("orders", vhost=room.vhost) == ["rabbit1", "rabbit2", "rabbit3"]


@pytest.mark.faults
def test_a_queue_that_was_forgotten_can_be_declared_at_once_though_its_node_was_restarted(room):
    names = [f"queue {n}" for n in range(20)]
    for name in names:
        room.fill(room.channel(), name, 1, "quorum")
    with faults.killed("rabbit1"):
        pass
    for name in names:  # deleted in the usual way, one in sixty would be refused here, with 541
        broker.forget(name, vhost=room.vhost)
        with pika.BlockingConnection(room.parameters()) as connection:
            connection.channel().queue_declare(queue=name, durable=True, arguments={"x-queue-type": "quorum"})
        assert broker.members(name, vhost=room.vhost) == [node.name for node in NODES]
        assert broker.depth(name, vhost=room.vhost) == 0


@pytest.mark.faults
def test_heal_starts_a_member_that_has_ended_on_a_node_that_runs(room):
    room.fill(room.channel(), "orders", 1, "quorum")
    end_member("rabbit2", room.vhost, "orders")
    assert wholeness.ended_members(broker.queue("orders", vhost=room.vhost)) == ["rabbit2"]
    assert any("had a member that had ended on rabbit2: started" in sentence for sentence in faults.heal())
    assert wholeness.ended_members(broker.queue("orders", vhost=room.vhost)) == []


@pytest.mark.faults
def test_who_gets_a_turn_on_a_broken_cluster_heals_it_first():
    said = []
    containers.of("rabbit2").pause()
    healing.before_use(said.append)
    assert states()["rabbit2"] == "running"
    assert said
    assert said[0].startswith("The cluster is not whole: ")
    healing.before_use(said.append)
    assert len(said) == 1
    assert faults.heal() == []


@pytest.mark.faults
def test_lab_up_starts_a_cluster_that_is_half_there():
    containers.of("rabbit1").pause()
    containers.of("rabbit3").kill()
    cluster.up()
    assert faults.whole() == ""


@pytest.mark.parametrize("name", ["lab", "nobody"])
def test_a_user_that_cannot_be_deleted_is_answered_with_a_sentence(name):
    with pytest.raises(Mendable, match=name), faults.deleted_user(name):
        pytest.fail("the body ran")


@pytest.mark.faults
def test_faults_inside_each_other_are_each_there_and_the_last_leaves_all_well():
    with faults.memory_alarm("rabbit1") as alarm:
        with faults.killed("rabbit3") as crash:
            assert states()["rabbit3"] == "exited"
            assert blocked(NODES[1])
        assert broker.running_nodes() == ["rabbit1", "rabbit2", "rabbit3"]
        assert faults.whole()
    assert alarm.began < crash.began < crash.ended < alarm.ended
    assert faults.whole() == ""


BREAKING = """
import pathlib, sys
from rabbitlab import faults, lock
lock.FOLDER = pathlib.Path(sys.argv[1])  # a turn of its own: the test has the true one
with faults.{fault}:
    print("broken", flush=True)
    sys.stdin.read()
"""


@pytest.mark.faults
@pytest.mark.parametrize(
    ("number", "fault"),
    [(signal.SIGINT, 'paused("rabbit2")'), (signal.SIGKILL, 'paused("rabbit2")'), (signal.SIGTERM, "deleted_user()")],
    ids=["SIGINT", "SIGKILL", "SIGTERM"],
)
def test_what_a_process_broke_is_mended_when_it_is_ended_before_anybody_else_has_a_turn(number, fault, tmp_path):
    command = [sys.executable, "-c", BREAKING.format(fault=fault), str(tmp_path)]
    of_its_own = {name: value for name, value in os.environ.items() if name != lock.INHERITED}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=of_its_own) as breaking:
        assert breaking.stdout.readline() == "broken\n"
        assert faults.whole()
        breaking.send_signal(number)
        breaking.wait(30)
    with open(tmp_path / "cluster.lock") as turn:
        broker.wait_until(lambda: is_free(turn), 60, "a turn")
        assert faults.whole() == ""


def is_free(file) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@pytest.mark.faults
def test_a_guardian_is_gone_when_all_is_well_and_its_turn_with_it():
    with faults.deleted_user():
        at_work = fault_module._there.guardian._process
        assert at_work.poll() is None
        assert os.getpgid(at_work.pid) != os.getpgrp(), "Ctrl-C in this terminal would end it"
    assert at_work.returncode == 0
    assert fault_module._there.guardian is None
