"""broker answers exactly, or says what to do."""

import http.server
import json
import os
import socket
import threading
import time
from contextlib import contextmanager

import pika
import pytest

from rabbitlab import broker, management, stalls
from rabbitlab.errors import Mendable
from rabbitlab.nodes import NODES, Node
from tests.members import end_member

pytest_plugins = ["tests.rooms"]
ROUNDS = 5  # each starts where a figure used to be old; CALM in broker.py tells how often that was


@pytest.mark.cluster
@pytest.mark.parametrize("type", ["classic", "quorum"])
def test_depth_is_exact_after_confirms(room, type):
    channel = room.channel()
    for n in range(1, ROUNDS + 1):
        room.fill(channel, "orders", 3, type)
        assert broker.depth("orders", vhost=room.vhost) == 3 * n


@pytest.mark.cluster
def test_a_quorum_queue_that_has_lost_its_leader_does_not_look_empty(room):
    """RabbitMQ answers a passive declare with 0 until the others have agreed on another."""
    room.fill(room.channel(node=NODES[2]), "orders", 3, type="quorum")
    seen, ended = [], threading.Event()

    def look():
        while not ended.is_set():
            seen.append(broker.depth("orders", vhost=room.vhost))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        end_member("rabbit3", room.vhost, "orders")
        broker.wait_until(lambda: broker.leader("orders", vhost=room.vhost) != "rabbit3", what="another leader")
    finally:
        ended.set()
        looking.join()
    assert set(seen) == {3}


@pytest.mark.cluster
def test_counts_follow_delivery_acknowledgement_and_rejection(room):
    channel = room.channel()
    for _ in range(ROUNDS):
        channel.queue_declare(queue="orders", durable=True)
        channel.queue_purge(queue="orders")
        room.fill(channel, "orders", 3)
        first, second = (channel.basic_get(queue="orders")[0].delivery_tag for _ in range(2))
        assert (broker.depth("orders", vhost=room.vhost), broker.unacked("orders", vhost=room.vhost)) == (1, 2)
        channel.basic_ack(delivery_tag=first)
        assert broker.unacked("orders", vhost=room.vhost) == 1
        channel.basic_reject(delivery_tag=second, requeue=True)
        assert (broker.depth("orders", vhost=room.vhost), broker.unacked("orders", vhost=room.vhost)) == (2, 0)


@pytest.mark.cluster
def test_messages_are_ready_again_after_a_connection_ends(room):
    room.fill(room.channel(), "orders", 2)
    for _ in range(ROUNDS):
        with pika.BlockingConnection(room.parameters()) as connection:
            connection.channel().basic_get(queue="orders")
        assert (broker.depth("orders", vhost=room.vhost), broker.unacked("orders", vhost=room.vhost)) == (2, 0)


@pytest.mark.cluster
def test_a_quorum_queues_unacknowledged_count_is_newer_than_the_call(room):
    channel = room.channel()
    room.fill(channel, "orders", 3, "quorum")
    channel.basic_get(queue="orders")
    assert broker.unacked("orders", vhost=room.vhost) == 1
    assert broker.depth("orders", vhost=room.vhost) == 2


@pytest.mark.cluster
def test_counts_are_asked_together(room):
    room.fill(room.channel(), "orders", 2)
    room.fill(room.channel(), "parcels", 1)
    counted = broker.counts(["orders", "parcels", "nowhere"], vhost=room.vhost)
    assert counted == {"orders": broker.Counts(2, 0, 0), "parcels": broker.Counts(1, 0, 0)}


@pytest.mark.cluster
def test_consumers_come_and_go(room):
    channel = room.channel()
    channel.queue_declare(queue="orders", durable=True)
    assert broker.consumers("orders", vhost=room.vhost) == 0
    tag = channel.basic_consume(queue="orders", on_message_callback=print)
    assert broker.consumers("orders", vhost=room.vhost) == 1
    channel.basic_cancel(consumer_tag=tag)
    assert broker.consumers("orders", vhost=room.vhost) == 0


@pytest.mark.cluster
def test_consumers_of_an_exclusive_queue_are_counted_though_it_may_not_be_declared(room):
    channel = room.channel()
    channel.queue_declare(queue="orders", exclusive=True)
    channel.basic_consume(queue="orders", on_message_callback=print)
    assert broker.consumers("orders", vhost=room.vhost) == 1


@pytest.mark.cluster
@pytest.mark.parametrize("node", NODES, ids=lambda node: node.name)
def test_a_queue_is_seen_wherever_it_lives(room, node):
    room.fill(room.channel(node=node), "orders", 2)
    assert broker.leader("orders", vhost=room.vhost) == node.name
    assert broker.members("orders", vhost=room.vhost) == [node.name]
    assert broker.depth("orders", vhost=room.vhost) == 2


@pytest.mark.cluster
def test_a_queue_that_was_forgotten_can_be_declared_at_once_on_any_node(room):
    for turn in range(60):  # deleted in the usual way, about one in fifty ends with 404 or 541
        channel = room.channel()
        broker.forget("orders", vhost=room.vhost)
        channel.queue_declare(queue="orders", durable=True, arguments={"x-queue-type": "quorum"})
        channel.queue_bind(queue="orders", exchange="amq.fanout")
        assert broker.members("orders", vhost=room.vhost) == [node.name for node in NODES], turn
        channel.connection.close()


@pytest.mark.cluster
@pytest.mark.parametrize("type", ["quorum", "stream"])
def test_a_replicated_queue_has_a_leader_and_three_members(room, type):
    room.fill(room.channel(), "orders", 0, type)
    assert broker.members("orders", vhost=room.vhost) == [node.name for node in NODES]
    assert broker.leader("orders", vhost=room.vhost) in broker.members("orders", vhost=room.vhost)


@pytest.mark.cluster
def test_a_stream_is_counted_too(room):
    room.fill(room.channel(), "visits", 3, "stream")
    broker.wait_until(lambda: broker.depth("visits", vhost=room.vhost) == 3, what="3 entries of the stream")
    assert broker.unacked("visits", vhost=room.vhost) == 0


@pytest.mark.cluster
def test_what_is_declared_is_listed(room):
    channel = room.channel()
    channel.exchange_declare(exchange="events", exchange_type="topic", durable=True)
    for name in ("parcels", "orders"):
        channel.queue_declare(queue=name, durable=True)
    channel.queue_bind(queue="orders", exchange="events", routing_key="order.*")
    assert broker.queues(vhost=room.vhost) == ["orders", "parcels"]
    assert broker.bindings("orders", vhost=room.vhost) == [("", "orders"), ("events", "order.*")]
    assert broker.exists("orders", vhost=room.vhost)
    assert broker.queue("orders", vhost=room.vhost)["durable"] is True


@pytest.mark.cluster
@pytest.mark.parametrize("name", ["a/b c#?%", 'with "quotes" and <b>', "snö & 日本", "back\\slash"])
def test_any_name_will_do(room, name):
    room.fill(room.channel(), name, 1)
    assert (broker.depth(name, vhost=room.vhost), broker.consumers(name, vhost=room.vhost)) == (1, 0)
    assert broker.bindings(name, vhost=room.vhost) == [("", name)]


@pytest.mark.cluster
@pytest.mark.parametrize("ask", [broker.depth, broker.unacked, broker.consumers, broker.bindings, broker.leader, broker.members])
def test_a_queue_that_is_not_there_is_answered_with_those_that_are(room, ask):
    room.fill(room.channel(), "orders", 0)
    with pytest.raises(LookupError, match=r"no queue 'ordres' .* Queues there: orders\."):
        ask("ordres", vhost=room.vhost)


@pytest.mark.cluster
def test_asking_whether_a_queue_is_there_is_no_error(room):
    assert broker.exists("orders", vhost=room.vhost) is False
    assert broker.queue("orders", vhost=room.vhost) is None


@pytest.mark.cluster
def test_a_vhost_that_is_not_there_is_answered_with_those_that_are(room):
    with pytest.raises(LookupError, match=f"no virtual host 'nowhere'. There are: /, .*{room.vhost}"):
        broker.queues(vhost="nowhere")


def test_a_vhost_that_is_being_deleted_is_not_named(monkeypatch):
    listed = [{"name": "shop"}, {"metadata": {"default_queue_type": "classic"}, "default_queue_type": "classic"}, {"name": "/"}]
    monkeypatch.setattr(broker, "api", lambda _: listed)
    assert broker.vhosts() == ["/", "shop"]


@pytest.mark.cluster
def test_a_vhost_that_somebody_else_made_can_be_asked(room):
    room.fill(room.channel(), "orders", 0)
    broker.api(broker.path("permissions", room.vhost, "lab"), "DELETE")
    assert broker.consumers("orders", vhost=room.vhost) == 0


@pytest.mark.cluster
def test_connections_are_listed_while_they_are_open(room):
    assert broker.connections(vhost=room.vhost) == []
    till = room.connection("till")
    room.connection("till", NODES[1])
    room.connection()
    assert len(broker.connections(vhost=room.vhost)) == 3
    assert len(broker.connections("till", vhost=room.vhost)) == 2
    till.close()
    assert len(broker.connections("till", vhost=room.vhost)) == 1
    assert sorted(broker.named_connections(vhost=room.vhost).values(), key=str) == [None, "till"]


@pytest.mark.cluster
def test_asking_leaves_no_connection_behind(room):
    room.fill(room.channel(), "orders", 1, "quorum")
    broker.depth("orders", vhost=room.vhost)
    own = broker.api(broker.path("connections", "username", "lab"))
    assert [connection for connection in own if connection["vhost"] == room.vhost] == []


@pytest.mark.cluster
def test_the_cluster_is_described():
    assert broker.running_nodes() == [node.name for node in NODES]
    assert broker.version().startswith("4.3.")


@pytest.mark.cluster
def test_a_forked_process_does_not_write_into_its_parents_connection(room):
    room.fill(room.channel(), "orders", 1)
    child = os.fork()
    if child == 0:
        os._exit(0 if all(broker.exists("orders", vhost=room.vhost) for _ in range(50)) else 1)
    assert all(broker.exists("orders", vhost=room.vhost) for _ in range(50))
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.cluster
def test_threads_may_ask_at_once(room):
    room.fill(room.channel(), "orders", 1)
    seen = []
    threads = [threading.Thread(target=lambda: seen.extend(broker.exists("orders", vhost=room.vhost) for _ in range(20))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [True] * 80


class Answer(http.server.BaseHTTPRequestHandler):
    """A node of a cluster that is not there: answers each request with the next of *statuses*, and with the last one ever after."""

    statuses: list[int]
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = json.dumps({"port": self.server.server_port}).encode()
        self.send_response(self.statuses.pop(0) if self.statuses[1:] else self.statuses[0])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def answering(*statuses: int):
    """A node that answers with each of *statuses* in turn, with 200 where there are none; yields its port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Answer,), {"statuses": list(statuses) or [200]}))
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def silent():
    """A node that is paused: it accepts connections and says nothing; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def dead() -> int:
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture
def nodes(monkeypatch):
    """Replace the course's nodes by some on other ports."""

    def replace(*ports: int) -> None:
        monkeypatch.setattr(management, "NODES", tuple(Node(f"rabbit{n}", 0, port, 0) for n, port in enumerate(ports, 1)))
        monkeypatch.setattr(management, "_answered", management.NODES[0])

    return replace


def test_a_dead_node_costs_nothing_and_a_silent_one_less_than_a_second(nodes):
    with silent() as paused, answering() as port:
        nodes(dead(), paused, port)
        started = time.monotonic()
        assert broker.api("whoami") == {"port": port}
        assert stalls.spent(started) < 1.5
        started = time.monotonic()
        assert broker.api("whoami") == {"port": port}, "the node that answered is asked first"
        assert stalls.spent(started) < 0.5


def test_a_node_that_is_starting_leaves_the_answer_to_another(nodes):
    with answering(503) as starting, answering() as port:
        nodes(starting, port)
        assert broker.api("whoami") == {"port": port}


def test_an_error_of_every_node_is_told(nodes):
    with answering(503) as port:
        nodes(port, dead())
        with pytest.raises(ValueError, match="503"):
            broker.api("health/checks/alarms")


def test_what_is_being_deleted_is_asked_about_again(nodes, monkeypatch):
    with answering(500) as port:
        nodes(port)
        once = management._one_round

        def gone_by_now(*question):
            monkeypatch.setattr(management, "_one_round", lambda *_: (404, "", management.NODES[0]))
            return once(*question)

        monkeypatch.setattr(management, "_one_round", gone_by_now)
        assert not broker.exists("orders")


def test_what_one_node_does_not_know_yet_is_asked_again_until_it_does(nodes):
    with answering(404, 404, 200) as late, answering() as port, answering(404) as later:
        nodes(late, port, later)
        assert broker.api("queues/%2F/orders") == {"port": late}


def test_what_no_node_knows_is_unknown_at_once_and_what_one_alone_knows_after_a_moment(nodes, monkeypatch):
    monkeypatch.setattr(management, "MOMENT", 0.3)
    with answering(404) as first, answering(404) as second, silent() as paused, answering() as stale:
        nodes(first, second, dead())
        started = time.monotonic()
        with pytest.raises(LookupError):
            broker.api("queues/%2F/orders")
        assert stalls.spent(started) < 0.25
        for others in ((second, paused), (second, stale)):
            nodes(first, *others)
            with pytest.raises(LookupError):
                broker.api("queues/%2F/orders")


def test_what_no_node_can_answer_is_told_after_a_moment(nodes, monkeypatch):
    monkeypatch.setattr(management, "MOMENT", 0.3)
    with answering(500) as port:
        nodes(port)
        with pytest.raises(ValueError, match="500"):
            broker.api("queues")


def test_a_connection_that_the_node_has_closed_is_opened_again(nodes):
    with answering() as port:
        nodes(port)
        broker.api("whoami")
        management._kept.open[os.getpid(), port].sock.shutdown(socket.SHUT_RDWR)
        assert broker.api("whoami") == {"port": port}


def test_no_node_says_how_to_start_them(nodes):
    nodes(dead(), dead())
    with pytest.raises(Mendable, match=r"No node of the cluster answers on 127.0.0.1, ports \d+, \d+\. Start it with: \./lab up"):
        broker.depth("orders")


def test_a_node_that_answers_but_takes_no_client_is_named(nodes, monkeypatch):
    nodes(0)
    monkeypatch.setattr(management, "_first_answer", lambda *_: (200, '[{"user": "lab"}]', Node("rabbit1", dead(), 0, 0)))
    with pytest.raises(Mendable, match=r"rabbit1 takes no AMQP connection on port \d+\. .*\./lab status"):
        broker._declare_passively(["orders"], "/")


def test_another_rabbitmq_is_named(nodes):
    with answering(401) as port:
        nodes(port)
        with pytest.raises(Mendable, match=rf"Another RabbitMQ .* port {port}.* \./lab doctor"):
            broker.queues()


def test_a_path_is_quoted():
    assert broker.path("queues", "/", "a b/c#") == "queues/%2F/a%20b%2Fc%23"


def test_waiting_ends_when_the_condition_holds():
    began = time.monotonic()
    broker.wait_until(lambda: time.monotonic() - began > 0.1, within=5)
    assert stalls.spent(began) < 1


def test_waiting_in_vain_says_what_for_and_what_was_seen():
    with pytest.raises(TimeoutError, match=r"Waited 0.1 s for: 3 messages are ready. Seen last: 2."):
        broker.wait_until(lambda: False, within=0.1, what="3 messages are ready", seen=lambda: 2)
    with pytest.raises(TimeoutError, match=r"Waited 0.1 s for: a condition. Seen last: None."):
        broker.wait_until(lambda: None, within=0.1)


def test_waiting_asks_once_more_when_time_is_up():
    asked = []
    with pytest.raises(TimeoutError):
        broker.wait_until(lambda: asked.append(1), within=0)
    assert asked == [1]


def test_an_error_of_the_condition_is_not_hidden():
    def fails():
        raise LookupError("no such queue")

    with pytest.raises(LookupError):
        broker.wait_until(fails)
