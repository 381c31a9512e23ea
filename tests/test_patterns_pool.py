"""The pool: never more connections than it has, none used by two threads, none lent dead, and no borrower who waits for ever."""

import gc
import os
import random
import select
import socket
import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace
from typing import ClassVar

import pika
import psutil
import pytest
from pika.exceptions import AMQPConnectionError, ChannelClosedByBroker, ChannelWrongStateError, ProbableAuthenticationError, StreamLostError

from rabbitlab import broker, faults, stalls
from rabbitlab.nodes import NODES
from rabbitlab.patterns import LOST, ConnectionPool, PoolClosed, PoolTimeout
from rabbitlab.patterns.turns import Turns
from rabbitlab.proxy import Proxy
from tests.clients import until_silence

pytest_plugins = ["tests.rooms"]

PATIENCE = 30.0  # seconds, for what takes milliseconds on an idle machine
SLACK = 1.0  # seconds over a timeout: a busy machine, and the moment that a node has for a goodbye


def awake(pool: ConnectionPool) -> None:
    """Let *pool* take a pause of its keeper for what it is here, a busy machine, and not for a laptop that slept."""
    pool._unattended = 60.0


def until(condition, within=PATIENCE, every=0.02):
    """Wait for *condition*, and return what it returned."""
    deadline = time.monotonic() + within
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come to that"
        threading.Event().wait(every)
    return found


def together(number, work) -> list:
    """What ``work(n)`` returned in so many threads; the first error of one is raised here."""
    start, results, errors = threading.Barrier(number), [], []

    def one(n):
        start.wait(PATIENCE)
        try:
            results.append(work(n))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=one, args=(n,), name=f"borrower-{n}", daemon=True) for n in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE * 2)
    for error in errors:
        raise error
    assert len(results) == number, "a borrower hangs"
    return results


class Stand:
    """Makes connections that only pretend, and watches over them: how many are open, and whether two threads use one."""

    def __init__(self):
        self.made, self.open, self.most, self.shared = 0, 0, 0, 0
        self._lock = threading.Lock()

    def connect(self):
        with self._lock:
            self.made += 1
            self.open += 1
            self.most = max(self.most, self.open)
        return Pretended(self)

    def closed(self):
        with self._lock:
            self.open -= 1


class Pretended:
    """As much of a ``BlockingConnection`` as a pool uses."""

    def __init__(self, stand):
        self._stand, self._user = stand, threading.Lock()
        self._impl = SimpleNamespace(
            _channels={}, _adapter_call_later=lambda *_: None, _adapter_remove_timeout=lambda _: None, _terminate_stream=self._ended
        )
        self.is_open, self.is_dead = True, False
        self.pumped = 0

    def _ended(self, *_):
        if self.is_open:
            self.is_open = False
            self._stand.closed()

    @contextmanager
    def _used(self):
        if not self._user.acquire(blocking=False):
            self._stand.shared += 1
        try:
            threading.Event().wait(random.uniform(0, 0.002))
            if self.is_dead:
                self._ended()
                raise StreamLostError("dead")
            yield
        finally:
            self._user.release()

    def process_data_events(self, time_limit=None):
        with self._used():
            self.pumped += 1

    def channel(self):
        with self._used():
            return SimpleNamespace(close=lambda: None, is_open=False, confirm_delivery=lambda: None)

    def close(self):
        with self._used():
            self._ended()


@pytest.fixture
def stand():
    return Stand()


def test_never_more_connections_than_its_size_and_none_for_two(stand):
    """L1 and L2, with borrowers whose connections die in all ways."""
    pool = ConnectionPool(size=4, connect=stand.connect, max_age=0.2, max_idle=0.05, heartbeat=1)

    def borrow(n):
        for turn in range(15):
            try:
                with pool.connection(timeout=PATIENCE) as connection:
                    connection.process_data_events(0)
                    if (n + turn) % 5 == 0:
                        connection.is_dead = True
                    if (n + turn) % 7 == 0:
                        raise KeyboardInterrupt
                    if (n + turn) % 3 == 0:
                        connection.channel()
            except (StreamLostError, KeyboardInterrupt):
                continue
        return n

    together(30, borrow)
    assert stand.most <= 4
    assert stand.shared == 0
    assert stand.made > 4  # dead ones were replaced
    assert pool.close() == 0
    assert stand.open == 0


def test_a_connection_is_used_again_the_last_one_first(stand):
    with ConnectionPool(size=3, connect=stand.connect) as pool:
        with pool.connection() as first, pool.connection() as second:
            assert first is not second
        for _ in range(5):
            with pool.connection() as again:
                assert again is first  # given back last
        assert stand.made == 2


def test_a_borrower_waits_no_longer_than_it_said(stand):
    """L3, where all are lent; and the message names who has them."""
    pool, lent, go = ConnectionPool(size=2, name="till", connect=stand.connect), threading.Semaphore(0), threading.Event()

    def hold():
        with pool.connection():
            lent.release()
            go.wait(PATIENCE)

    holders = [threading.Thread(target=hold, name=f"holder-{n}", daemon=True) for n in range(2)]
    for holder in holders:
        holder.start()
        assert lent.acquire(timeout=PATIENCE)
    for timeout in (0, 0.3):
        began = time.monotonic()
        with pytest.raises(PoolTimeout, match=r"'till'.*all 2 are lent, the longest to holder-0 for"), pool.connection(timeout):
            pytest.fail("lent a third one")
        assert time.monotonic() - began >= timeout
        assert stalls.spent(began) < timeout + SLACK
    go.set()
    with pool.connection(timeout=PATIENCE):
        pass
    assert not isinstance(PoolTimeout(), LOST)  # or a busy pool would pass for a dead broker
    pool.close()


def test_borrowers_are_served_in_the_order_in_which_they_came(stand):
    with ConnectionPool(size=1, connect=stand.connect) as pool:
        served, threads = [], []

        def borrow(n):
            with pool.connection(timeout=PATIENCE):
                served.append(n)

        with pool.connection():
            for n in range(10):
                threads.append(threading.Thread(target=borrow, args=(n,), daemon=True))
                threads[-1].start()
                until(lambda n=n: len(pool._turns._line) == n + 1)
        for thread in threads:
            thread.join(PATIENCE)
        assert served == list(range(10))


def test_a_dead_connection_is_lent_to_nobody(stand):
    """L4: one that died idle, one that died while it was lent, and one whose borrower was interrupted."""
    with ConnectionPool(size=2, connect=stand.connect) as pool:
        with pool.connection() as first:
            pass
        first.is_dead = True
        with pool.connection() as second:
            assert second is not first
            second.is_dead = True
        assert stand.open == 0  # seen when it was given back
        with pool.connection() as third:
            assert third is not second
        with pytest.raises(KeyboardInterrupt), pool.connection() as interrupted:
            raise KeyboardInterrupt
        assert not interrupted.is_open
        with pytest.raises(ValueError, match="of the work"), pool.connection() as worked:
            raise ValueError("of the work")
        with pool.connection() as again:
            assert again is worked  # nothing is wrong with it
        assert stand.open == 1


def test_an_old_one_is_replaced(stand):
    with ConnectionPool(size=1, connect=stand.connect, max_age=0.3, heartbeat=0) as pool:
        with pool.connection() as old:
            until(lambda: time.monotonic() > pool._loans[0].pooled.expires)
            assert old.is_open  # not under its borrower's hands
        with pool.connection() as new:
            assert new is not old
        assert not old.is_open
        assert stand.most == 1


def test_what_nobody_uses_is_closed(stand):
    with ConnectionPool(size=3, connect=stand.connect, max_idle=0.2) as pool:
        with pool.connection(), pool.connection(), pool.connection():
            pass
        until(lambda: stand.open == 0)
        with pool.connection():
            assert stand.open == 1


def test_idle_ones_are_looked_after(stand):
    with ConnectionPool(size=3, connect=stand.connect, heartbeat=1) as pool:
        awake(pool)
        with pool.connection() as first, pool.connection() as second:
            pass
        seen = first.pumped, second.pumped
        until(lambda: first.pumped >= seen[0] + 3 and second.pumped >= seen[1] + 3)
        assert (stand.made, stand.open, stand.shared) == (2, 2, 0)


def test_one_that_nobody_looked_after_is_replaced(stand, monkeypatch):
    """As after a laptop slept: the node has given it up long ago, and the network may not have told."""
    monkeypatch.setattr(ConnectionPool, "_keep", lambda pool: None)
    with ConnectionPool(size=1, connect=stand.connect, heartbeat=1) as pool:
        with pool.connection() as first:
            pass
        until(lambda: time.monotonic() > pool._idle[0].seen + 1)
        with pool.connection() as second:
            assert second is not first
        assert stand.open == 1


def test_close_ends_those_who_wait_and_counts_what_is_lent(stand):
    pool, waiting = ConnectionPool(size=1, connect=stand.connect), []

    def wait():
        try:
            with pool.connection(timeout=PATIENCE * 10):
                waiting.append("lent")
        except PoolClosed as closed:
            waiting.append(closed)

    with pool.connection() as lent:
        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        until(lambda: pool._turns._line)
        began = time.monotonic()
        assert pool.close(timeout=0.2) == 1
        assert time.monotonic() - began >= 0.2
        assert stalls.spent(began) < 0.2 + SLACK
        thread.join(PATIENCE)
        assert [type(ended) for ended in waiting] == [PoolClosed]
        assert lent.is_open
    assert not lent.is_open
    assert pool.close() == 0
    with pytest.raises(PoolClosed), pool.connection():
        pytest.fail("lent by a closed pool")


def test_close_waits_for_a_connection_that_is_being_made(stand):
    making, go = threading.Event(), threading.Event()

    def connect():
        making.set()
        assert go.wait(PATIENCE)
        return stand.connect()

    pool = ConnectionPool(size=1, connect=connect)

    def borrow():
        with pool.connection():
            pass

    thread = threading.Thread(target=borrow, daemon=True)
    thread.start()
    assert making.wait(PATIENCE)
    assert pool.close(timeout=0.1) == 1
    go.set()
    assert pool.close(timeout=PATIENCE) == 0
    thread.join(PATIENCE)
    assert (stand.made, stand.open) == (1, 0)


def test_a_turn_is_lost_by_no_error(stand):
    """Borrowers that cannot connect give their turns back."""
    fails = iter([OSError("refused"), KeyboardInterrupt(), AMQPConnectionError("refused")])

    def connect():
        for error in fails:
            raise error
        return stand.connect()

    with ConnectionPool(size=1, connect=connect) as pool:
        for error in (OSError, KeyboardInterrupt, AMQPConnectionError):
            with pytest.raises(error), pool.connection():
                pytest.fail("lent nothing")
        with pool.connection(timeout=0.1):
            pass


def test_refuses_what_is_no_pool():
    with pytest.raises(ValueError, match="0 connections"):
        ConnectionPool("amqp://localhost/", size=0)
    with pytest.raises(ValueError, match="at least one node"):
        ConnectionPool([])


def test_no_more_turns_than_there_are_and_none_gets_lost():
    turns, inside, most = Turns(3), [], []

    def take(n):
        had = 0
        for _ in range(200):
            if turns.take(random.choice([0, 0.0001, 0.01])):
                inside.append(n)
                most.append(len(inside))
                inside.remove(n)
                turns.end()
                had += 1
        return had

    assert sum(together(12, take)) > 100
    assert max(most) <= 3
    assert [turns.take(0) for _ in range(4)] == [True, True, True, False]
    turns.end()
    turns.close()
    assert turns.take(0) is False


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # a keeper is running: that is the point
def test_a_forked_child_that_leaves_the_with_closes_no_channel_of_its_parent(stand):
    """Its goodbye would go out on the parent's socket."""
    closed = []

    def connect():
        connection = stand.connect()
        connection.channel = lambda: SimpleNamespace(close=lambda: closed.append(1), is_open=True, confirm_delivery=lambda: None)
        return connection

    with ConnectionPool(size=1, connect=connect) as pool:
        parent = os.getpid()
        try:
            with pool.channel():
                child = os.fork()
            if child == 0:
                os._exit(len(closed))
        finally:
            if os.getpid() != parent:
                os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
        assert closed == [1]


@contextmanager
def deaf_node():
    """A node that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"amqp://127.0.0.1:{server.getsockname()[1]}/"


def test_a_borrower_waits_no_longer_for_deaf_nodes_either():
    """L3, where a connection has to be made: each node has its share of the time."""
    with deaf_node() as one, deaf_node() as two, deaf_node() as three, ConnectionPool([one, two, three]) as pool:
        for lend in (pool.connection, pool.channel):
            began = time.monotonic()
            with pytest.raises(LOST), lend(timeout=1.5):
                pytest.fail("connected to a deaf node")
            assert time.monotonic() - began > 1
            assert stalls.spent(began) < 1.5 + SLACK


def urls(room, *ports) -> list[str]:
    return [f"amqp://{room.vhost}:{room.password}@127.0.0.1:{port}/{room.vhost}" for port in ports or [node.amqp for node in NODES]]


class Watched(pika.BlockingConnection):
    """A connection that notices two threads in it at once."""

    shared: ClassVar[list] = []

    def _flush_output(self, *waiters):
        mine = threading.get_ident()
        if self.__dict__.setdefault("user", mine) != mine:
            self.shared.append((self.user, mine))
        try:
            return super()._flush_output(*waiters)
        finally:
            self.__dict__.pop("user", None)


@contextmanager
def proxied(room, **more):
    """A pool behind a proxy, which passes everything on in the end, and has nothing left to do when it is closed."""
    with Proxy() as proxy:
        with ConnectionPool(urls(room, proxy.port), **more) as pool:
            yield proxy, pool
        proxy.heal()
        until(lambda: not proxy.connections)


def sockets() -> set:
    """This process's connections to the nodes, by their ports. pika's pollers are in cycles, which are ended first."""
    gc.collect()
    nodes = {node.amqp for node in NODES}
    return {found.laddr.port for found in psutil.Process().net_connections("tcp") if found.raddr and found.raddr.port in nodes}


@pytest.mark.cluster
def test_fifty_threads_lose_nothing_share_nothing_and_leave_nothing(room, monkeypatch):
    """L1 and L2 on the cluster: 50 threads x 1,000 messages through one pool of six connections; each thread borrows ten times.

    What pika does with shared connections is in the lesson; here all messages arrive. Each id is looked for in the queue, so the proof
    needs no confirms: 49 borrowers of 50 work without, as fast as they can, and one waits for the confirm of each message.
    """
    monkeypatch.setattr(pika, "BlockingConnection", Watched)
    monkeypatch.setattr(Watched, "shared", [])
    queue = room.channel()
    queue.queue_declare(queue="orders", durable=True, arguments={"x-queue-type": "quorum"})
    (mine,) = broker.connections(vhost=room.vhost)  # the test's own
    threads, ports, files = set(threading.enumerate()), sockets(), psutil.Process().num_fds()
    users = {}  # of each channel
    with ConnectionPool(urls(room), size=6, name=f"pool-{room.vhost}") as pool:

        def publish(n):
            for batch in range(10):
                with pool.channel(timeout=PATIENCE * 2, confirm=(n + batch) % 50 == 0) as channel:
                    assert users.setdefault(channel, threading.get_ident()) == threading.get_ident()
                    for number in range(100):
                        name = f"{n}-{batch}-{number}"
                        channel.basic_publish(exchange="", routing_key="orders", body=name, mandatory=True)
            return n

        together(50, publish)
        assert 1 <= len(pool._idle) <= 6
        assert len(broker.connections(vhost=room.vhost)) <= 6 + 1
    assert Watched.shared == []
    assert len(users) == 50 * 10
    sent = {f"{n}-{batch}-{number}" for n in range(50) for batch in range(10) for number in range(100)}
    arrived = [body.decode() for _, _, body in until_silence(queue, "orders", auto_ack=True)]
    queue.cancel()
    assert len(sent - set(arrived)) == 0
    assert (len(arrived), len(set(arrived))) == (50_000, 50_000)
    assert broker.depth("orders", vhost=room.vhost) == 0
    users.clear()
    assert set(threading.enumerate()) == threads
    assert sockets() == ports
    assert psutil.Process().num_fds() <= files
    broker.wait_until(lambda: broker.connections(vhost=room.vhost) == [mine], PATIENCE, "the broker to see none of the pool's connections")


@pytest.mark.cluster
def test_an_idle_connection_outlives_its_heartbeats(room):
    """An idle ``BlockingConnection`` of the same heartbeat is given up by the node meanwhile; the pool's is the same one as before."""
    alone = pika.BlockingConnection(room.parameters(heartbeat=3, client_properties={"connection_name": "alone"}))
    with ConnectionPool(urls(room), heartbeat=3) as pool:
        awake(pool)
        with pool.connection() as before:
            pass
        broker.wait_until(lambda: broker.connections("alone", vhost=room.vhost), PATIENCE)
        broker.wait_until(lambda: not broker.connections("alone", vhost=room.vhost), PATIENCE)
        with pytest.raises(LOST):
            alone.process_data_events(0)
        with pool.channel() as channel:
            assert channel.connection is before
            channel.queue_declare(queue="orders", durable=True)


@pytest.mark.cluster
@pytest.mark.parametrize("how", ["closed by the node", "reset by the network"])
def test_connections_that_died_idle_are_lent_to_nobody(room, how):
    """L4: no borrower sees an error, though every connection of the pool is dead."""
    with proxied(room, size=4, name=f"pool-{room.vhost}") as (proxy, pool):
        with pool.channel() as channel, pool.channel(), pool.channel(), pool.channel():
            channel.queue_declare(queue="orders", durable=True)
        idle = {id(pooled.connection) for pooled in pool._idle}
        assert len(idle) == 4
        if how == "closed by the node":
            with faults.closed_connections(f"pool-{room.vhost}", vhost=room.vhost) as fault:
                assert fault.count == 4
        else:
            assert proxy.reset() == 4

        def publish(n):
            with pool.channel(timeout=PATIENCE) as channel:
                channel.basic_publish(exchange="", routing_key="orders", body=b"")
                return channel.connection  # kept, so that no other has its id

        assert idle.isdisjoint(map(id, together(8, publish)))
    assert broker.depth("orders", vhost=room.vhost) == 8


@pytest.mark.cluster
def test_a_silent_node_costs_a_borrower_half_of_its_time(room):
    """L3 and L4: the idle connections look alive, and their node does not answer; another one does. One silence is enough."""
    with proxied(room, size=4) as (proxy, pool):
        with pool.connection(), pool.connection(), pool.connection(), pool.connection():
            pass
        pool._urls = urls(room, NODES[1].amqp)  # where the next one is made
        proxy.black_hole()
        began = time.monotonic()
        with pool.channel(timeout=6) as channel:
            assert time.monotonic() - began >= 3
            assert stalls.spent(began) < 6 + SLACK
            channel.queue_declare(queue="orders", durable=True)
        proxy.heal()
        until(lambda: proxy.connections == 3)  # the silent one was ended, not parked


@pytest.mark.cluster
def test_a_node_that_falls_silent_while_its_connection_is_lent(room):
    with proxied(room, size=1) as (proxy, pool):
        with pool.channel() as channel:
            proxy.black_hole()
        assert not channel.connection.is_open  # what was in the with is done; nobody else is to have the connection
        began = time.monotonic()
        with pytest.raises(LOST), pool.channel(timeout=1):
            pytest.fail("opened a channel on a silent node")
        assert stalls.spent(began) < 1 + SLACK
        proxy.heal()
        with pool.channel(timeout=PATIENCE) as channel:
            assert channel.is_open


@pytest.mark.cluster
def test_nothing_of_a_borrower_stays_for_the_next_one(room):
    room.fill(room.channel(), "orders", 3)
    with ConnectionPool(urls(room), size=1) as pool:
        with pool.connection() as connection:
            forgotten = connection.channel()
            forgotten.basic_consume(queue="orders", on_message_callback=lambda *_: None)
            connection.process_data_events(0.2)
        assert not forgotten.is_open
        broker.wait_until(lambda: broker.counts(["orders"], vhost=room.vhost)["orders"].ready == 3, PATIENCE)
        assert broker.consumers("orders", vhost=room.vhost) == 0
        with pool.channel() as channel:
            assert channel.connection is connection
        with pytest.raises(ChannelWrongStateError):
            channel.basic_publish(exchange="", routing_key="orders", body=b"given back already")


@pytest.mark.cluster
def test_what_rabbitmq_refuses_is_told_and_costs_no_connection(room):
    with ConnectionPool(urls(room), size=1) as pool:
        with pytest.raises(ChannelClosedByBroker, match="404"), pool.channel() as first:
            first.basic_publish(exchange="nothing", routing_key="", body=b"")
        with pytest.raises(ChannelClosedByBroker, match="404"), pool.channel(confirm=False) as second:
            second.basic_publish(exchange="nothing", routing_key="", body=b"told as the with ends, or never")
        with pool.connection() as connection:
            assert connection is first.connection is second.connection


@pytest.mark.cluster
def test_a_refused_login_is_told_at_once(room):
    with ConnectionPool([url.replace(room.password, "wrong") for url in urls(room)]) as pool:
        began = time.monotonic()
        with pytest.raises(ProbableAuthenticationError), pool.channel(timeout=PATIENCE):
            pytest.fail("let in")
        assert stalls.spent(began) < PATIENCE


@pytest.mark.cluster
def test_close_leaves_no_socket_and_no_thread(room):
    gc.collect()
    sockets, threads = psutil.Process().num_fds(), set(threading.enumerate())
    pool = ConnectionPool(urls(room), size=3, heartbeat=1)
    with pool.channel(), pool.channel(), pool.connection():
        pass
    assert psutil.Process().num_fds() > sockets
    assert set(threading.enumerate()) - threads
    assert pool.close() == 0
    assert set(threading.enumerate()) == threads
    gc.collect()  # a poller of pika's is in a cycle
    assert psutil.Process().num_fds() == sockets
    broker.wait_until(lambda: not broker.connections(vhost=room.vhost), PATIENCE)


@pytest.mark.cluster
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # a keeper is running: that is the point
def test_a_forked_child_has_connections_of_its_own(room):
    """What the parent has idle or lent stays the parent's; the child's are the child's."""
    room.fill(room.channel(), "orders", 0)
    with ConnectionPool(urls(room), size=2, heartbeat=1) as pool:
        awake(pool)
        with pool.connection() as idle:
            pass
        with pool.connection() as lent, pool.connection():
            reader, writer = os.pipe()
            child = os.fork()
            if child == 0:
                try:
                    with pool.channel(timeout=PATIENCE) as channel:
                        assert channel.connection not in (idle, lent)
                        channel.basic_publish(exchange="", routing_key="orders", body=b"from the child")
                    pool.close()
                    os.write(writer, b"published")
                finally:
                    os._exit(0)
        os.close(writer)
        try:
            assert select.select([reader], [], [], PATIENCE * 2)[0], "the child hangs"
            assert os.read(reader, 100) == b"published"
        finally:
            os.close(reader)
            os.waitpid(child, 0)
        for _ in range(2):
            with pool.channel() as channel:
                assert channel.connection in (idle, lent)
                channel.basic_publish(exchange="", routing_key="orders", body=b"from the parent")
    assert broker.depth("orders", vhost=room.vhost) == 3
