"""The circuit breaker: fails at once while open, tries once when half-open, and counts only what says that RabbitMQ cannot be reached."""

import socket
import threading
import time
from collections import Counter
from contextlib import ExitStack

import pika
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from pika.adapters.blocking_connection import ReturnedMessage
from pika.adapters.utils.connection_workflow import AMQPConnectorStackTimeout
from pika.exceptions import (
    AMQPConnectionError,
    AMQPHeartbeatTimeout,
    ChannelClosedByBroker,
    ChannelWrongStateError,
    ConnectionBlockedTimeout,
    ConnectionClosedByBroker,
    NackError,
    ProbableAuthenticationError,
    StreamLostError,
    UnroutableError,
)

from rabbitlab.nodes import NODES
from rabbitlab.patterns import (
    LOST,
    CircuitBreaker,
    CircuitOpen,
    ConnectionPool,
    Metrics,
    PoolClosed,
    PoolTimeout,
    PublisherClosed,
    is_connection_trouble,
)
from rabbitlab.proxy import Proxy
from tests.clients import until_silence

pytest_plugins = ["tests.rooms"]
PATIENCE = 20.0  # seconds, for what takes milliseconds on an idle machine
RETURNED = ReturnedMessage(pika.spec.Basic.Return(312, "NO_ROUTE"), pika.BasicProperties(), b"")
ANSWERS = [
    ChannelClosedByBroker(404, "NOT_FOUND - no exchange"),
    ChannelClosedByBroker(403, "ACCESS_REFUSED"),
    ChannelClosedByBroker(406, "PRECONDITION_FAILED - inequivalent arg"),
    ChannelWrongStateError("Channel is closed."),  # after a 404; it says nothing of its own
    UnroutableError([RETURNED]),
    NackError([]),
    ValueError("no order"),
]
TROUBLE = [
    AMQPConnectionError("refused"),
    StreamLostError("connection lost"),
    AMQPHeartbeatTimeout("silent"),
    ConnectionBlockedTimeout("short of memory"),
    ConnectionClosedByBroker(320, "CONNECTION_FORCED - shutting down"),
    ProbableAuthenticationError("(403)"),
    AMQPConnectorStackTimeout("paused"),
    ConnectionRefusedError(),
    TimeoutError(),
    socket.gaierror(),
]
NOT_ASKED = [PoolTimeout("all 8 are lent"), PoolClosed("closed"), PublisherClosed("closed"), CircuitOpen(1.0, "another breaker's")]


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def fail(error):
    raise error


def works():
    return "done"


def opened(threshold=5, **more) -> CircuitBreaker:
    breaker = CircuitBreaker(threshold, **more)
    for _ in range(threshold):
        with pytest.raises(StreamLostError):
            breaker.call(fail, StreamLostError("gone"))
    assert breaker.state == "open"
    return breaker


def together(number, work) -> list:
    """What *work* returned or raised in so many threads that begin at the same moment."""
    start, outcomes = threading.Barrier(number), []

    def one():
        start.wait(PATIENCE)
        try:
            outcomes.append(work())
        except CircuitOpen as error:
            outcomes.append(error)

    threads = [threading.Thread(target=one, daemon=True) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(outcomes) == number
    return outcomes


class Hung:
    """A call through a breaker that hangs until told how to end."""

    def __init__(self, breaker):
        self._ends, self._begun, self._error = threading.Event(), threading.Event(), None
        self.refused = False
        self._thread = threading.Thread(target=self._call, args=(breaker,), daemon=True)
        self._thread.start()
        assert self._begun.wait(PATIENCE)

    def _call(self, breaker):
        try:
            breaker.call(self._hang)
        except CircuitOpen:
            self.refused = True
        except Exception:
            assert self._error
        self._begun.set()

    def _hang(self):
        self._begun.set()
        assert self._ends.wait(PATIENCE)
        if self._error:
            raise self._error

    def end(self, error=None):
        self._error = error
        self._ends.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


@pytest.mark.parametrize("error", TROUBLE, ids=repr)
def test_connection_trouble_counts(error):
    breaker = CircuitBreaker(threshold=2)
    for _ in range(2):
        with pytest.raises(type(error)):
            breaker.call(fail, error)
    with pytest.raises(CircuitOpen):
        breaker.call(works)


@pytest.mark.parametrize("error", ANSWERS, ids=repr)
def test_an_answer_does_not_count(error):
    """B3, while closed and as the trial: the broker that says 404 is there."""
    clock = Clock()
    breaker = CircuitBreaker(threshold=2, cooldown=10, clock=clock)
    for _ in range(10):
        with pytest.raises(type(error)):
            breaker.call(fail, error)
    assert breaker.state == "closed"
    breaker = opened(2, clock=clock)
    clock.now += 10
    with pytest.raises(type(error)):
        breaker.call(fail, error)
    assert breaker.state == "closed"


def test_only_failures_in_a_row_open_it():
    breaker = CircuitBreaker(threshold=3)
    for answer in (works, lambda: fail(NackError([]))):
        for _ in range(2):
            with pytest.raises(OSError, match="gone"):
                breaker.call(fail, OSError("gone"))
        try:
            answer()
            breaker.call(answer)
        except NackError:
            with pytest.raises(NackError):
                breaker.call(answer)
    assert breaker.state == "closed"


def test_open_fails_at_once_while_another_call_hangs():
    """B1, with 16 threads: at most 1 ms as a rule, and 10 ms but for one in a hundred."""
    clock = Clock()
    breaker = CircuitBreaker(threshold=5, clock=clock)
    early = Hung(breaker)  # begun while it was closed
    for _ in range(5):
        with pytest.raises(StreamLostError):
            breaker.call(fail, StreamLostError("gone"))
    assert refused_in(breaker) == "at once"
    clock.now += 10
    trial = Hung(breaker)
    assert not trial.refused
    assert refused_in(breaker) == "at once"
    early.end()
    trial.end()


def refused_in(breaker, call=works) -> str:
    """How long 16 threads wait to be refused, 200 times each: ``at once``, or the numbers.

    The best of three: on a busy machine a thread may wait for a processor. Behind a lock that is held it would wait each time.
    """

    def measure() -> list[float]:
        waited = []
        for _ in range(200):
            began = time.perf_counter()
            with pytest.raises(CircuitOpen):
                breaker.call(call)
            waited.append(time.perf_counter() - began)
        return waited

    for _ in range(3):
        waited = sorted(seconds for each in together(16, measure) for seconds in each)
        median, high = waited[len(waited) // 2], waited[len(waited) * 99 // 100]
        if median <= 0.001 and high <= 0.010:
            return "at once"
    return f"median {median * 1000:.2f} ms, 99 % {high * 1000:.2f} ms"


@pytest.mark.parametrize("works_again", [True, False])
def test_one_trial_of_fifty(works_again):
    """B2. The trial lasts until the 49 others have been refused."""
    clock, trials, refused = Clock(), [], threading.Semaphore(0)
    breaker = opened(clock=clock)
    clock.now += 10
    assert breaker.state == "half-open"

    def trial():
        trials.append(1)
        for _ in range(49):
            assert refused.acquire(timeout=PATIENCE)
        if not works_again:
            raise StreamLostError("still gone")
        return "done"

    def one():
        try:
            return breaker.call(trial)
        except CircuitOpen:
            refused.release()
            raise
        except StreamLostError as error:
            return error

    outcomes = together(50, one)
    assert len(trials) == 1
    assert sum(isinstance(outcome, CircuitOpen) for outcome in outcomes) == 49
    assert breaker.state == ("closed" if works_again else "open")
    if not works_again:  # the cooldown begins anew
        clock.now += 9
        with pytest.raises(CircuitOpen):
            breaker.call(works)
        clock.now += 1
    assert breaker.call(works) == "done"


def test_says_how_long_and_why():
    clock = Clock()
    breaker = opened(clock=clock, cooldown=10)
    clock.now += 4
    with pytest.raises(CircuitOpen, match=r"trial in 6\.0 s; last failure: StreamLostError.*gone") as refused:
        breaker.call(works)
    assert refused.value.seconds == 6
    clock.now += 6
    trial = Hung(breaker)
    with pytest.raises(CircuitOpen, match="under way") as refused:
        breaker.call(works)
    assert refused.value.seconds == 0
    trial.end()


def test_a_call_that_hung_while_it_closed_again_says_nothing_any_more():
    clock = Clock()
    breaker = CircuitBreaker(threshold=1, clock=clock)
    late_failure, late_success = Hung(breaker), Hung(breaker)
    with pytest.raises(OSError, match="gone"):
        breaker.call(fail, OSError("gone"))
    late_success.end()
    assert breaker.state == "open"
    clock.now += 10
    breaker.call(works)
    late_failure.end(StreamLostError("long ago"))
    assert breaker.state == "closed"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), GeneratorExit()], ids=repr)
def test_a_trial_that_was_broken_off_is_made_again(error):
    clock = Clock()
    breaker = opened(clock=clock)
    clock.now += 10
    with pytest.raises(type(error)):
        breaker.call(fail, error)
    assert breaker.state == "half-open"
    assert breaker.call(works) == "done"


@pytest.mark.parametrize("error", NOT_ASKED, ids=repr)
def test_what_never_reached_rabbitmq_says_nothing_about_it(error):
    """Neither a failure nor a success: the failures around it are still in a row, and a trial is made again."""
    clock = Clock()
    breaker = CircuitBreaker(threshold=3, cooldown=10, clock=clock)
    for failure in (OSError("gone"), error, OSError("gone"), error, OSError("gone")):
        assert breaker.state == "closed"
        with pytest.raises(type(failure)):
            breaker.call(fail, failure)
    assert breaker.state == "open"
    clock.now += 10
    with pytest.raises(type(error)):
        breaker.call(fail, error)
    assert breaker.state == "half-open"
    assert breaker.call(works) == "done"
    assert breaker.state == "closed"


def test_a_trial_ends_though_counts_raises():
    clock = Clock()
    breaker = opened(clock=clock, counts=lambda error: isinstance(error, OSError | StreamLostError) or error.reply_code == 320)
    clock.now += 10
    with pytest.raises(AttributeError):
        breaker.call(fail, ValueError("has no reply_code"))
    assert breaker.call(works) == "done"


def test_a_call_within_a_call_belongs_to_the_outer_one():
    clock = Clock()
    breaker = opened(threshold=2, clock=clock)
    clock.now += 10
    assert breaker.call(breaker.call, breaker.call, works) == "done"  # a trial would otherwise wait for itself
    with pytest.raises(OSError, match="gone"):
        breaker.call(breaker.call, fail, OSError("gone"))
    assert breaker.state == "closed"  # one failure, not two


def test_with_is_a_call():
    breaker = CircuitBreaker(threshold=1)
    with pytest.raises(OSError, match="gone"), breaker:
        raise OSError("gone")
    with pytest.raises(CircuitOpen), breaker:
        pytest.fail("let through")


def test_counts_what_it_is_told_to():
    breaker = CircuitBreaker(threshold=1, counts=lambda error: isinstance(error, NackError) or is_connection_trouble(error))
    with pytest.raises(NackError):
        breaker.call(fail, NackError([]))
    assert breaker.state == "open"


def test_metrics_follow():
    prometheus = pytest.importorskip("prometheus_client")
    registry, clock = prometheus.CollectorRegistry(), Clock()
    breaker = opened(clock=clock, metrics=Metrics("shop", registry))

    def shown():
        return registry.get_sample_value("rabbitmq_client_breaker_state", {"name": "shop"})

    assert shown() == 2
    clock.now += 10
    trial = Hung(breaker)
    assert shown() == 1
    trial.end()
    assert shown() == 0


def test_refuses_a_threshold_that_never_opens():
    with pytest.raises(ValueError, match="0"):
        CircuitBreaker(threshold=0)


class Breaker(RuleBasedStateMachine):
    """Calls that begin, hang, work, fail and are refused, in any order, while time goes by."""

    THRESHOLD, COOLDOWN = 3, 10.0

    def __init__(self):
        super().__init__()
        self.clock = Clock()
        self.breaker = CircuitBreaker(self.THRESHOLD, self.COOLDOWN, clock=self.clock)
        self.hung: list[tuple[Hung, int]] = []  # with the opening before which, or as whose trial, each began
        self.openings = 0
        self.in_a_row = 0
        self.opened_at = None  # None: closed
        self.trial = None

    @property
    def expected(self):
        if self.opened_at is None:
            return "closed"
        over = self.clock.now >= self.opened_at + self.COOLDOWN
        return "half-open" if over else "open"

    @precondition(lambda self: len(self.hung) < 4)
    @rule()
    def begin(self):
        let_in = self.expected == "closed" or (self.expected == "half-open" and self.trial is None)
        call = Hung(self.breaker)
        assert call.refused is not let_in
        if let_in:
            self.hung.append((call, self.openings))
            if self.expected == "half-open":
                self.trial = call

    @precondition(lambda self: self.hung)
    @rule(which=st.integers(0, 3), error=st.sampled_from([None, *ANSWERS, *TROUBLE, *NOT_ASKED]))
    def end(self, which, error):
        call, began = self.hung.pop(which % len(self.hung))
        call.end(error)
        bad = error is not None and error in TROUBLE
        if call is self.trial:
            self.trial = None
            if error not in NOT_ASKED:
                self._open() if bad else self._close()
        elif error in NOT_ASKED:
            return
        elif self.opened_at is None and began == self.openings:
            self.in_a_row = self.in_a_row + 1 if bad else 0
            if self.in_a_row == self.THRESHOLD:
                self._open()

    @rule(seconds=st.sampled_from([1.0, 5.0, 10.0]))
    def pass_time(self, seconds):
        self.clock.now += seconds

    def _open(self):
        self.opened_at, self.openings, self.in_a_row = self.clock.now, self.openings + 1, 0

    def _close(self):
        self.opened_at, self.in_a_row = None, 0

    @invariant()
    def state_is_as_expected(self):
        assert self.breaker.state == self.expected

    def teardown(self):
        for call, _ in self.hung:
            call.end()


Breaker.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None, database=None)
TestBreaker = Breaker.TestCase


@pytest.mark.cluster
def test_on_a_broker_answers_do_not_count_and_a_lost_connection_does(room):
    room.channel().queue_declare(queue="orders", durable=True)
    breaker = CircuitBreaker(threshold=1)

    def declare_otherwise():
        room.channel().queue_declare(queue="orders", durable=True, arguments={"x-max-length": 1})

    def publish(exchange):
        room.channel().basic_publish(exchange=exchange, routing_key="nowhere", body=b"", mandatory=True)

    with pytest.raises(ChannelClosedByBroker, match="406"):
        breaker.call(declare_otherwise)
    with pytest.raises(ChannelClosedByBroker, match="404"):
        breaker.call(publish, "nothing")
    with pytest.raises(UnroutableError):
        breaker.call(publish, "")
    assert breaker.state == "closed"
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        deaf_node = pika.ConnectionParameters("127.0.0.1", deaf.getsockname()[1], stack_timeout=0.2)
        with pytest.raises(AMQPConnectorStackTimeout):
            breaker.call(pika.BlockingConnection, deaf_node)
    assert breaker.state == "open"


@pytest.mark.cluster
def test_publishing_fails_fast_while_no_node_answers_and_goes_on_when_one_does(room):
    """The three nodes behind cables that are pulled, a pool, and a breaker around it: one call hangs, in the wait for its confirm, from
    before the circuit opens until the cables are back. All the others are refused within milliseconds, and none of them is a connection.
    """
    queue = room.channel()
    queue.queue_declare(queue="orders", durable=True)
    clock, confirmed = Clock(), []
    breaker = CircuitBreaker(threshold=3, cooldown=10, clock=clock)
    lent, pulled = threading.Event(), threading.Event()
    with ExitStack() as stack:
        proxies = [stack.enter_context(Proxy(node.amqp)) for node in NODES]
        urls = [f"amqp://{room.vhost}:{room.password}@127.0.0.1:{proxy.port}/{room.vhost}" for proxy in proxies]
        pool = stack.enter_context(ConnectionPool(urls, size=4, heartbeat=60))

        def publish(name="refused", timeout=1.0, before=lambda: None):
            with pool.channel(timeout=timeout) as channel:
                before()
                channel.basic_publish(exchange="", routing_key="orders", body=name)
            confirmed.append(name)

        def hold():
            lent.set()
            assert pulled.wait(PATIENCE)

        breaker.call(publish, "first", PATIENCE)
        hung = threading.Thread(target=breaker.call, args=(publish, "hung", PATIENCE, hold), daemon=True)
        hung.start()
        assert lent.wait(PATIENCE)
        try:
            for proxy in proxies:
                proxy.black_hole()
            pulled.set()
            for _ in range(3):
                assert breaker.state == "closed"
                with pytest.raises(LOST):
                    breaker.call(publish)
            assert breaker.state == "open"
            accepted = sum(proxy.accepted for proxy in proxies)
            assert refused_in(breaker, publish) == "at once"
            assert sum(proxy.accepted for proxy in proxies) == accepted
            clock.now += 10
            with pytest.raises(LOST):  # the trial
                breaker.call(publish)
            assert refused_in(breaker, publish) == "at once"
            assert hung.is_alive()
            assert confirmed == ["first"]
        finally:
            pulled.set()
            for proxy in proxies:
                proxy.heal()
        hung.join(PATIENCE)
        assert confirmed == ["first", "hung"]
        assert breaker.state == "open"  # it began before that
        clock.now += 10
        breaker.call(publish, "trial", PATIENCE)
        assert breaker.state == "closed"
        together(16, lambda: breaker.call(publish, "more", PATIENCE))
    assert Counter(body.decode() for _, _, body in until_silence(queue, "orders", auto_ack=True)) == Counter(confirmed)
    assert Counter(confirmed) == {"first": 1, "hung": 1, "trial": 1, "more": 16}
