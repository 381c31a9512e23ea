"""The proxy does to a connection what it says, each time, and leaves no socket behind."""

import contextlib
import os
import resource
import signal
import socket
import threading
import time
from dataclasses import replace

import pika
import psutil
import pytest
from pika.exceptions import AMQPConnectionError

from rabbitlab import broker, stalls
from rabbitlab.nodes import NODES, Node
from rabbitlab.proxy import Proxy, _Frames

pytest_plugins = ["tests.rooms"]
SOON = 5  # seconds within which this machine does what it does at once
ACK = b"\x01\x00\x01\x00\x00\x00\x0d\x00\x3c\x00\x50" + bytes(9) + b"\xce"
DELIVER = b"\x01\x00\x01\x00\x00\x00\x06\x00\x3c\x00\x3c\x00\x00\xce"
HEARTBEAT = b"\x08\x00\x00\x00\x00\x00\x00\xce"


@pytest.fixture
def echo():
    """A server that sends back what it gets, until its client has finished."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(end):
        with end:
            try:
                while data := end.recv(65536):
                    end.sendall(data)
            except OSError:
                pass

    def accept():
        try:
            while True:
                threading.Thread(target=serve, args=[listener.accept()[0]], daemon=True).start()
        except OSError:
            pass

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@pytest.fixture
def proxy(echo):
    with Proxy(echo) as proxy:
        yield proxy


def connected(proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=SOON)


def received(end, number) -> bytes:
    data = b""
    while len(data) < number and (more := end.recv(65536)):
        data += more
    return data


def until_reset(end) -> bytes:
    data = b""
    try:
        while more := end.recv(65536):
            data += more
    except ConnectionResetError:
        return data
    raise AssertionError(f"it ended without a reset after {len(data)} bytes")


def silent(end, seconds=0.3) -> bool:
    end.settimeout(seconds)
    try:
        return end.recv(1) is None
    except TimeoutError:
        return True
    finally:
        end.settimeout(SOON)


def until(condition) -> None:
    end = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_passes_everything_on_in_both_directions(proxy):
    whole = os.urandom(3_000_000)
    with connected(proxy) as end:
        sender = threading.Thread(target=lambda: (end.sendall(whole), end.shutdown(socket.SHUT_WR)))
        sender.start()
        assert received(end, len(whole) + 1) == whole  # and then the end of the stream
        sender.join()
    until(lambda: proxy.connections == 0)
    assert proxy.accepted == 1


def test_a_reset_is_a_reset_and_the_next_connection_is_welcome(proxy):
    with connected(proxy) as first, connected(proxy) as second:
        first.sendall(b"ready?")
        assert received(first, 6) == b"ready?"
        until(lambda: proxy.connections == 2)
        assert proxy.reset() == 2
        for end in (first, second):
            with pytest.raises(ConnectionResetError):
                end.recv(1)
    with connected(proxy) as third:
        third.sendall(b"again")
        assert received(third, 5) == b"again"


@pytest.mark.parametrize("direction", ["to_client", "to_broker", "both"])
def test_a_black_hole_is_silent_and_gives_back_what_it_held(proxy, direction):
    with connected(proxy) as end:
        proxy.black_hole(direction)
        end.sendall(b"hello?")
        assert silent(end)
        with connected(proxy) as late:
            late.sendall(b"anybody?")
            assert silent(late)
            proxy.heal()
            assert received(end, 6) == b"hello?"
            assert received(late, 8) == b"anybody?"


def test_a_black_hole_holds_no_more_than_a_network_would(proxy):
    proxy.black_hole("to_broker")
    with connected(proxy) as end:
        end.settimeout(0.3)
        with pytest.raises(TimeoutError):
            end.sendall(bytes(100_000_000))


def test_delay_delays_both_directions(proxy):
    proxy.delay(0.2)
    with connected(proxy) as end:
        began = time.monotonic()
        end.sendall(b"x")
        assert received(end, 1) == b"x"
        assert time.monotonic() - began >= 0.4
        assert stalls.spent(began) < 2


def test_throttle_slices_and_keeps_to_its_rate(proxy):
    proxy.throttle(40_000)
    with connected(proxy) as end:
        began = time.monotonic()
        end.sendall(bytes(20_000))
        assert len(received(end, 1)) <= 2000
        received(end, 18_000)
        assert time.monotonic() - began > 0.4
        assert stalls.spent(began) < 2


@pytest.mark.parametrize("direction", ["to_client", "to_broker", "both"])
def test_cut_lets_exactly_so_many_bytes_through(proxy, direction):
    with connected(proxy) as open_before:
        open_before.sendall(b"before")
        received(open_before, 6)
        proxy.cut(after=100, direction=direction)
        with connected(proxy) as opened_later:
            for end in (open_before, opened_later):
                end.sendall(bytes(500))
                data = until_reset(end)
                assert len(data) == (100 if direction == "to_client" else len(data)) <= 100
    proxy.heal()
    with connected(proxy) as end:
        end.sendall(bytes(500))
        assert len(received(end, 500)) == 500


def test_healing_takes_a_cut_back_from_a_connection_that_is_open(proxy):
    with connected(proxy) as end:
        end.sendall(b"before")
        received(end, 6)
        proxy.cut(after=100)
        proxy.heal()
        end.sendall(bytes(500))
        assert len(received(end, 500)) == 500


def test_an_unknown_direction_is_named(proxy):
    with pytest.raises(ValueError, match="sideways"):
        proxy.black_hole("sideways")


def test_nobody_behind_it_is_a_reset():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = probe.getsockname()[1]
    # Where the machine is busy, connect() itself hears of it.
    with Proxy(nobody) as proxy, pytest.raises(ConnectionResetError), connected(proxy) as end:
        end.recv(1)


def test_ends_also_when_a_connection_moves_at_that_very_moment(proxy):
    proxy._ending = True  # as __exit__ does, and before it can wake the thread, a client does
    with contextlib.suppress(ConnectionResetError):
        connected(proxy).close()
    until(lambda: not proxy._thread.is_alive())


def test_leaves_no_socket_and_no_thread_behind(echo):
    process = psutil.Process()
    before = process.num_fds()
    for _ in range(5):
        with Proxy(echo) as proxy, connected(proxy) as end:
            end.sendall(b"x")
            received(end, 1)
    until(lambda: process.num_fds() == before)
    assert not [thread for thread in threading.enumerate() if thread.name == "proxy"]
    with pytest.raises(RuntimeError, match="closed"):
        proxy.reset()


def test_costs_nothing_while_nothing_happens(proxy):
    with connected(proxy) as end:
        proxy.black_hole()
        end.sendall(b"held")
        silent(end, 0.1)
        before = resource.getrusage(resource.RUSAGE_SELF)
        silent(end, 0.5)
        after = resource.getrusage(resource.RUSAGE_SELF)
        assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_reset_reaches_the_client_although_a_forked_child_lives(proxy):
    """A grader forks the answer's process while connections are open; a socket that two hold is not closed by one of them."""
    with connected(proxy) as end:
        end.sendall(b"x")
        received(end, 1)
        child = os.fork()
        if child == 0:
            signal.pause()
            os._exit(0)
        try:
            proxy.reset()
            with pytest.raises(ConnectionResetError):
                end.recv(1)
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 11, 64, 1000])
def test_finds_each_acknowledgement_however_the_stream_is_sliced(size):
    stream = DELIVER + ACK + HEARTBEAT + ACK + DELIVER + HEARTBEAT + ACK
    starts = [at for at in range(len(stream)) if stream.startswith(ACK, at)]
    frames, found = _Frames(), []
    for at in range(0, len(stream), size):
        found += [at + start for start in frames.acks(stream[at : at + size])]
    assert found == starts


def through(proxy) -> Node:
    return replace(NODES[0], amqp=proxy.port)


@pytest.mark.cluster
def test_a_lost_confirm_is_lost_each_time(room):
    """Twenty of twenty: the broker has the message, and the client never heard of it."""
    room.fill(room.channel(), "orders", 0, "quorum")
    with Proxy(5672) as proxy:
        for n in range(1, 21):
            with pika.BlockingConnection(room.parameters(through(proxy))) as connection:
                channel = connection.channel()
                channel.confirm_delivery()
                proxy.lose_confirm()
                with pytest.raises(AMQPConnectionError):
                    channel.basic_publish(exchange="", routing_key="orders", body=f"order {n}")
            assert broker.depth("orders", vhost=room.vhost) == n
        assert proxy.accepted == 20


@pytest.mark.cluster
def test_the_nth_confirm_is_lost_and_those_before_arrive(room):
    room.fill(room.channel(), "orders", 0)
    with Proxy(5672) as proxy, pika.BlockingConnection(room.parameters(through(proxy))) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        proxy.lose_confirm(nth=3)
        for n in range(2):
            channel.basic_publish(exchange="", routing_key="orders", body=f"order {n}")
        with pytest.raises(AMQPConnectionError):
            channel.basic_publish(exchange="", routing_key="orders", body="order 2")
    assert broker.depth("orders", vhost=room.vhost) == 3
