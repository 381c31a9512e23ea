"""faults breaks what it is asked to break, and nothing else."""

import pika
import pytest

from rabbitlab import broker, faults

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
        assert closed == 2
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
            assert closed == 2
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
        assert closed == 1
    assert not is_open(connection)


def test_a_name_that_nobody_bears_is_answered_with_those_that_are_open(room, monkeypatch):
    monkeypatch.setattr(faults, "OPENING", 0.1)
    room.connection("packer")
    with pytest.raises(LookupError, match=r"calls itself 'till'. Open are: packer\."), faults.closed_connections("till", room.vhost):
        pytest.fail("the body ran")


def test_a_vhost_without_connections_says_so(room, monkeypatch):
    monkeypatch.setattr(faults, "OPENING", 0.1)
    with pytest.raises(LookupError, match=rf"No connection to the virtual host '{room.vhost}' is open\."):
        faults.closed_connections(vhost=room.vhost).__enter__()


def test_an_error_of_the_body_passes_through(room):
    room.connection()
    with pytest.raises(ZeroDivisionError), faults.closed_connections(vhost=room.vhost):
        _ = 1 / 0
