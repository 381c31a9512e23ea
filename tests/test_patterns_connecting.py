"""How the patterns reach a cluster, and how they tell a refusal from trouble."""

import socket
import ssl
import threading
import time

import pika
import pytest
from pika.adapters.utils.connection_workflow import AMQPConnectorStackTimeout
from pika.exceptions import (
    AMQPConnectionError,
    AuthenticationError,
    ChannelClosedByBroker,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
)

from rabbitlab import broker
from rabbitlab.nodes import NODES
from rabbitlab.patterns import LOST, limited, login_refused, parameters
from rabbitlab.proxy import Proxy

pytest_plugins = ["tests.rooms"]

NODE_URLS = [f"amqp://shop:secret@rabbit{n}:{5671 + n}/orders" for n in (1, 2, 3)]


def url(room, port=NODES[0].amqp, password=None, vhost=None) -> str:
    return f"amqp://{room.vhost}:{password or room.password}@127.0.0.1:{port}/{vhost or room.vhost}"


@pytest.fixture
def deaf_port():
    """A port that takes connections and never says a word, as a node that is paused."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_sets_what_pika_leaves_open():
    (found,) = parameters(NODE_URLS[0], name="till", heartbeat=4, timeout=3, blocked_timeout=12)
    assert (found.host, found.port, found.virtual_host) == ("rabbit1", 5672, "orders")
    assert (found.credentials.username, found.credentials.password) == ("shop", "secret")
    assert (found.heartbeat, found.socket_timeout, found.stack_timeout, found.blocked_connection_timeout) == (4, 3, 3, 12)
    assert found.client_properties == {"connection_name": "till"}
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        assert found.tcp_options == {"TCP_USER_TIMEOUT": 3000}
        (patient,) = parameters(NODE_URLS, name="till", cut_timeout=30)[:1]
        assert patient.tcp_options == {"TCP_USER_TIMEOUT": 30_000}


def test_every_node_may_come_first():
    assert {parameters(NODE_URLS, name="till")[0].host for _ in range(200)} == {"rabbit1", "rabbit2", "rabbit3"}
    assert sorted(found.host for found in parameters(NODE_URLS, name="till")) == ["rabbit1", "rabbit2", "rabbit3"]


def test_what_is_given_stays_as_it_was_and_keeps_what_it_says():
    options = pika.SSLOptions(ssl.create_default_context(), "rabbit1")
    given = pika.ConnectionParameters(
        "rabbit1", heartbeat=99, ssl_options=options, client_properties={"version": "3"}, tcp_options={"TCP_KEEPIDLE": 5}
    )
    before = repr([getattr(given, name) for name in ("heartbeat", "client_properties", "tcp_options", "stack_timeout")])
    (found,) = parameters(given, name="till")
    assert repr([getattr(given, name) for name in ("heartbeat", "client_properties", "tcp_options", "stack_timeout")]) == before
    assert found is not given
    assert found.ssl_options is options
    assert found.client_properties == {"version": "3", "connection_name": "till"}
    assert found.tcp_options["TCP_KEEPIDLE"] == 5
    assert found.heartbeat == 10


@pytest.mark.parametrize(
    "wrong", ["rabbit1:5672", "ftp://shop:secret@rabbit1/", "amqp://shop@rabbit1/", "amqp://shop:secret@rabbit1:port/"]
)
def test_a_wrong_address_is_named_without_its_password(wrong):
    with pytest.raises(ValueError, match=r"rabbit1.*amqp://user:password@host:port/vhost") as refused:
        parameters([NODE_URLS[0], wrong], name="till")
    assert "secret" not in str(refused.value)


def test_no_address_is_an_error():
    with pytest.raises(ValueError, match="at least one node"):
        parameters([], name="till")


def test_only_what_rabbitmq_said_is_a_refusal():
    assert login_refused(ProbableAuthenticationError("ConnectionClosedByBroker: (403) 'ACCESS_REFUSED - Login was refused'"))
    assert login_refused(ProbableAccessDeniedError("ConnectionClosedByBroker: (530) 'NOT_ALLOWED - vhost x not found'"))
    assert not login_refused(ProbableAuthenticationError("StreamLostError: reset by peer"))  # a node that dies
    assert not login_refused(ProbableAccessDeniedError("ConnectionClosedByBroker: (530) 'NOT_ALLOWED - connection limit (1) is reached'"))
    assert not login_refused(ChannelClosedByBroker(403, "ACCESS_REFUSED"))  # no login
    assert not login_refused(OSError())


def test_a_deaf_node_is_given_up_in_time(deaf_port):
    began = time.monotonic()
    with pytest.raises(LOST) as lost:
        pika.BlockingConnection(parameters(f"amqp://127.0.0.1:{deaf_port}/", name="till", timeout=0.5))
    assert lost.type is AMQPConnectorStackTimeout  # which is why LOST has more in it than pika's own base class
    assert 0.4 < time.monotonic() - began < 5


def test_a_node_that_hangs_up_is_lost_and_has_refused_nothing():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        address = f"amqp://127.0.0.1:{server.getsockname()[1]}/"
        threading.Thread(target=lambda: server.accept()[0].close(), daemon=True).start()
        with pytest.raises(LOST) as lost:
            pika.BlockingConnection(parameters(address, name="till", timeout=5))
    assert not login_refused(lost.value)


@pytest.mark.cluster
def test_connects_under_its_name_to_a_node_that_answers(room, deaf_port):
    name = f"till-{room.vhost}"
    nodes = parameters([url(room, deaf_port), url(room)], name=name, timeout=20)
    for node in nodes:
        node.stack_timeout = 0.3 if node.port == deaf_port else 20
    with pika.BlockingConnection(nodes):
        broker.wait_until(lambda: broker.connections(name, vhost=room.vhost), within=20)


@pytest.mark.cluster
def test_wrong_password_unknown_vhost_and_another_kind_of_login_are_refusals(room):
    with pytest.raises(ProbableAuthenticationError) as refused:
        pika.BlockingConnection(parameters(url(room, password="wrong"), name="till"))
    assert login_refused(refused.value)
    with pytest.raises(ProbableAccessDeniedError) as refused:
        pika.BlockingConnection(parameters(url(room, vhost="nowhere"), name="till"))
    assert login_refused(refused.value)
    with pytest.raises(AuthenticationError) as refused:
        pika.BlockingConnection(parameters(room.parameters(credentials=pika.credentials.ExternalCredentials()), name="till"))
    assert login_refused(refused.value)


@pytest.mark.cluster
def test_a_limit_of_connections_is_no_refusal(room):
    """Others may leave again: a service that starts while an old one ends must ask again."""
    broker.api(broker.path("vhost-limits", room.vhost, "max-connections"), "PUT", {"value": 0})
    with pytest.raises(LOST) as lost:
        pika.BlockingConnection(parameters(url(room), name="till"))
    assert "limit" in str(lost.value)
    assert not login_refused(lost.value)


@pytest.mark.cluster
def test_a_call_to_a_silent_node_can_be_limited(room):
    with Proxy() as proxy:
        connection = pika.BlockingConnection(parameters(url(room, proxy.port), name="till"))
        with limited(connection, 30):
            connection.channel()
        proxy.black_hole()
        began = time.monotonic()
        with pytest.raises(AMQPConnectionError, match=r"within 0\.5 s"), limited(connection, 0.5):
            connection.channel()
        assert 0.4 < time.monotonic() - began < 5
        assert connection.is_closed
        proxy.heal()
        broker.wait_until(lambda: not proxy.connections, within=20)


@pytest.mark.cluster
def test_a_limit_that_was_kept_ends_nothing_later(room):
    connection = room.connection()
    with limited(connection, 0.3):
        connection.process_data_events(0)
    connection.sleep(0.5)  # the time of the limit goes by
    connection.channel().close()
