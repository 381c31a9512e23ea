"""The reliable publisher against a model of a broker: whatever it answers, in whatever order, and whenever the connection ends."""

import logging
import os
import random
import signal
import threading
import time
import uuid

import pika
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from pika import frame, spec
from pika.exceptions import ConnectionClosedByBroker, ProbableAuthenticationError, StreamLostError

from rabbitlab import stalls
from rabbitlab.patterns import (
    Backoff,
    Metrics,
    Outcome,
    PublisherClosed,
    Receipt,
    ReliablePublisher,
    Unknown,
    is_connection_trouble,
    sender,
)
from rabbitlab.patterns.frames import body_frames, header_frame, method_frame, new_id
from rabbitlab.patterns.rounds import HASTE, STEADY, Failures, Rounds, address
from rabbitlab.patterns.window import Window
from tests.publisher_model import DEADLINE, GOOD, NO_EXCHANGE, NO_ROUTE, PATIENCE, WINDOW, Model

INTERNAL_ERROR = ConnectionClosedByBroker(541, "INTERNAL_ERROR")


class Anything(RuleBasedStateMachine):
    """Whatever happens, in any order."""

    def __init__(self):
        super().__init__()
        self.model = Model()
        self.broker, self.loop, self.window = self.model.broker, self.model.loop, self.model.window
        self.receipts: list[Receipt] = []
        self.until: dict[str, float] = {}
        self.kinds: dict[str, str] = {}
        self.seen: dict[str, Outcome] = {}
        self.told: list[str] = []
        self.alone: list[str] = []  # on its way when a connection ended with 541

    def teardown(self):
        try:
            self._everything_ends_well()
        finally:
            self.model.end()

    @rule(kind=st.sampled_from([GOOD, GOOD, GOOD, NO_ROUTE, NO_EXCHANGE]), deadline=st.sampled_from([1.0, 5.0, 30.0, 120.0]))
    def publish(self, kind, deadline):
        was_full = self.window.open >= WINDOW
        receipt = self.model.publish(kind, deadline=deadline)
        assert was_full == (receipt.outcome is Outcome.UNKNOWN and receipt.attempts == 0 and "full" in receipt.reply_text)
        receipt.add_done_callback(lambda settled: self.told.append(settled.message_id))
        self.receipts.append(receipt)
        self.until[receipt.message_id] = self.loop.now + deadline
        self.kinds[receipt.message_id] = kind

    @precondition(lambda self: self.broker.connection and not self.broker.connection.is_open)
    @rule(works=st.booleans())
    def connect(self, works):
        if works:
            self.model.connect()
        else:
            self.broker.connection.lost(ConnectionRefusedError())
            self.loop.advance()

    @precondition(lambda self: self.broker.confirming)
    @rule(number=st.integers(1, 4))
    def handle(self, number):
        self.broker.process(number)

    @precondition(lambda self: self.broker.confirming and self.broker.processed)
    @rule(data=st.data(), multiple=st.booleans(), ack=st.sampled_from([True, True, True, False]))
    def answer(self, data, multiple, ack):
        tags = [tag for tag in self.broker.unanswered() if tag <= self.broker.processed]
        if not tags:
            return
        tag = data.draw(st.sampled_from(tags))
        meant = [one for one in tags if one == tag or (multiple and one < tag)]
        # RabbitMQ never nacks what it has returned
        ack = ack or any(self.broker.written[one - 1].message_id in self.broker.returned for one in meant)
        open_before = [receipt for receipt in self.receipts if receipt.outcome is None]
        ids = {self.broker.written[one - 1].message_id for one in meant}
        self.broker.answer(tag, multiple, ack)
        for receipt in open_before:
            if receipt.message_id in ids:
                assert receipt.outcome is (Outcome.CONFIRMED if ack else Outcome.NACKED)
        self.loop.advance()

    @precondition(lambda self: self.broker.connection)
    @rule(error=st.sampled_from([StreamLostError("gone"), INTERNAL_ERROR]))
    def lose(self, error):
        tags = self.broker.confirming and self.broker.unanswered()
        if error is INTERNAL_ERROR and tags and len(tags) == 1:
            self.alone.append(self.broker.written[tags[0] - 1].message_id)
        self.broker.connection.lost(error)
        self.loop.advance()

    @precondition(lambda self: self.broker.confirming)
    @rule(blocked=st.booleans())
    def block(self, blocked):
        connection = self.broker.connection
        (connection.blocked if blocked else connection.unblocked)(connection, None)
        self.loop.advance()

    @rule(seconds=st.sampled_from([0.01, 0.3, 2.0, 11.0]))
    def wait(self, seconds):
        self.loop.advance(seconds)

    @invariant()
    def nothing_is_promised_that_is_not_so(self):
        for receipt in self.receipts:
            name, outcome = receipt.message_id, receipt.outcome
            if outcome is Outcome.CONFIRMED:
                assert name in self.broker.acked
                assert name in self.broker.stored
                assert self.kinds[name] == GOOD
            if outcome is Outcome.RETURNED:
                assert name in self.broker.returned
                assert receipt.reply_code == 312
            if outcome is Outcome.NACKED:
                assert name in self.broker.nacked
            if outcome is Outcome.REFUSED:
                assert receipt.reply_code == 404 or self.alone.count(name) >= sender.PROOFS
                assert receipt.reply_code == 541 or self.kinds[name] == NO_EXCHANGE

    @invariant()
    def an_outcome_never_changes_and_is_told_once(self):
        for receipt in self.receipts:
            if receipt.outcome is not None:
                assert self.seen.setdefault(receipt.message_id, receipt.outcome) is receipt.outcome
        assert sorted(self.told) == sorted(self.seen)

    @invariant()
    def every_message_is_settled_by_its_deadline(self):
        for receipt in self.receipts:
            if receipt.outcome is None:
                assert self.loop.now <= self.until[receipt.message_id] + 2 * sender.TICK

    @invariant()
    def the_window_holds(self):
        still_open = [receipt for receipt in self.receipts if receipt.outcome is None]
        assert self.window.open == len(still_open) <= WINDOW
        assert len(self.window.queue) + len(self.window.sent) <= 2 * WINDOW
        assert self.broker.most <= WINDOW

    @invariant()
    def open_messages_are_kept_in_order(self):
        assert self.window.pending() == [receipt for receipt in self.receipts if receipt.outcome is None]
        numbers = {receipt.message_id: number for number, receipt in enumerate(self.receipts)}
        on_the_wire = [numbers[message.message_id] for message in self.broker.written]
        assert on_the_wire == sorted(on_the_wire)

    @invariant()
    def settled_messages_are_let_go_of(self):
        assert not any(receipt._head or receipt._body for receipt in self.receipts if receipt.outcome is not None)

    def _everything_ends_well(self):
        """From now on the broker works; so every message that is open ends with the right outcome, long before its deadline."""
        waiting = [receipt for receipt in self.receipts if receipt.outcome is None]
        began = {receipt: self.until[receipt.message_id] - self.loop.now for receipt in waiting}
        if (connection := self.broker.connection) and self.broker.confirming:
            connection.unblocked(connection, None)
        for _ in range(200):
            self.model.connect()
            while self.broker.confirming and self.broker.processed < len(self.broker.written):
                self.broker.process(1)
                self.loop.advance()
            if tags := self.broker.confirming and self.broker.unanswered():
                self.broker.answer(tags[-1], True, True)
            self.loop.advance(0.05)
        for receipt in waiting:
            assert receipt.done()
            if began[receipt] > 30:  # a back-off may take ten of them
                expected = {GOOD: Outcome.CONFIRMED, NO_ROUTE: Outcome.RETURNED, NO_EXCHANGE: Outcome.REFUSED}
                assert receipt.outcome is expected[self.kinds[receipt.message_id]]
        self.nothing_is_promised_that_is_not_so()


TestAnything = Anything.TestCase
TestAnything.settings = settings(max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture
def model():
    made = Model()
    made.connect()
    yield made
    made.end()


@pytest.fixture
def wide():
    made = Model(window=1000)
    made.connect()
    yield made
    made.end()


def answer_all(model):
    """Handle and confirm whatever comes, until nothing is left."""
    for _ in range(2000):
        model.connect()
        model.broker.process()
        model.loop.advance()
        if tags := model.broker.confirming and model.broker.unanswered():
            model.broker.answer(tags[-1], True, True)
            model.loop.advance()
        elif not model.window.open:
            return
    raise AssertionError(f"{model.window.open} messages are still open")


# What is written.


@given(
    st.binary(max_size=300),
    st.text(max_size=40),
    st.text(max_size=40),
    st.text(max_size=60),
    st.booleans(),
    st.sampled_from([1, 2]),
    st.sampled_from([64, 4096]),
)
def test_writes_the_bytes_that_pika_would(body, exchange, routing_key, message_id, mandatory, mode, frame_max):
    properties = pika.BasicProperties(message_id=message_id, delivery_mode=mode)
    publish = spec.Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=mandatory)
    parts = [body[start : start + frame_max - 8] for start in range(0, len(body), frame_max - 8)]
    pikas = [frame.Method(1, publish), frame.Header(1, len(body), properties), *(frame.Body(1, part) for part in parts)]
    ours = method_frame(exchange, routing_key, mandatory) + header_frame(len(body), message_id, mode, None)
    assert ours + b"".join(body_frames(body, frame_max)) == b"".join(one.marshal() for one in pikas)


def test_makes_ids_as_uuid4_does():
    made = {new_id() for _ in range(1000)}
    assert len(made) == 1000
    for name in made:
        parsed = uuid.UUID(name)
        assert (parsed.version, parsed.variant, str(parsed)) == (4, uuid.RFC_4122, name)


def test_properties_of_the_caller_are_used_and_not_changed(model):
    given = pika.BasicProperties(content_type="text/plain", headers={"a": 1}, message_id="mine", delivery_mode=1)
    assert model.publish(properties=given).message_id == "mine"
    assert model.publish(properties=given, message_id="yours").message_id == "yours"
    assert (given.message_id, given.delivery_mode) == ("mine", 1)
    _, header = frame.decode_frame(header_frame(4, "yours", 2, given))
    assert (header.properties.content_type, header.properties.message_id, header.properties.delivery_mode) == ("text/plain", "yours", 1)
    bare = pika.BasicProperties(content_type="text/plain")
    _, header = frame.decode_frame(header_frame(4, "yours", 2, bare))
    assert (header.properties.delivery_mode, bare.delivery_mode) == (2, None)


@pytest.mark.parametrize("size", [0, 1, 4088, 4089, 50_000, 500_000])
def test_a_body_of_any_size_arrives_whole(model, size):
    body = random.Random(size).randbytes(size)
    model.publisher.publish(body, routing_key=GOOD)
    model.loop.advance()
    assert [message.body for message in model.broker.written] == [body]


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"body": "text"}, TypeError),
        ({"message_id": "x" * 256}, ValueError),
        ({"routing_key": "x" * 256}, Exception),
        ({"properties": pika.BasicProperties(headers={"a": object()})}, Exception),
        ({"properties": pika.BasicProperties(headers={"a": "x" * 131_072})}, ValueError),
        # As bytes they would be sent, and would come back as text, which is not the same.
        ({"routing_key": b"nowhere"}, TypeError),
        ({"exchange": b"", "routing_key": "nowhere"}, TypeError),
        ({"message_id": b"mine"}, TypeError),
        ({"properties": pika.BasicProperties(message_id=b"mine")}, TypeError),
    ],
)
def test_what_cannot_be_encoded_is_an_error_at_once_and_harms_nobody(model, wrong, error):
    with pytest.raises(error):
        model.publisher.publish(**{"body": b"", "routing_key": GOOD, **wrong})
    receipt = model.publish()
    answer_all(model)
    assert receipt.outcome is Outcome.CONFIRMED
    assert len(model.broker.connections) == 1


@pytest.mark.parametrize(("kind", "outcome"), [(GOOD, Outcome.CONFIRMED), (NO_ROUTE, Outcome.RETURNED)])
def test_an_id_that_is_no_text_is_taken_as_pika_hands_it_over(model, kind, outcome):
    """A consumer that moves a message of another program has such an id of pika, and may not change it."""
    foreign = pika.BasicProperties(message_id=b"\xff")
    receipts = [model.publish(kind, properties=foreign), model.publish(kind, message_id=b"\xff")]
    answer_all(model)
    assert [(receipt.outcome, receipt.message_id) for receipt in receipts] == [(outcome, b"\xff")] * 2


def test_a_returned_message_that_nobody_sent_is_an_error_in_the_log(model, caplog):
    receipts = [model.publish(NO_ROUTE, message_id="late", deadline=1), model.publish(NO_ROUTE, message_id="in time")]
    model.loop.advance(2)  # the first is given up, and comes back only now
    answer_all(model)
    assert [receipt.outcome for receipt in receipts] == [Outcome.UNKNOWN, Outcome.RETURNED]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    method = spec.Basic.Return(312, "NO_ROUTE", "", "elsewhere")
    model.broker.connection.channel_now.returned(None, method, pika.BasicProperties(message_id="whose"), b"")
    (told,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert "whose" in told
    assert "elsewhere" in told


# Where it connects to.


def nodes(*ports):
    return [pika.ConnectionParameters(port=port) for port in ports]


def test_tries_each_node_once_a_round_and_pauses_between_rounds():
    rounds = Rounds(lambda: nodes(1, 2, 3), Backoff(base=1, cap=5, jitter=0))
    tried, waits = [], []
    for _ in range(12):
        tried.append(rounds.next().port)
        waits.append(rounds.failed(None))
    assert [sorted(tried[n : n + 3]) for n in range(0, 12, 3)] == [[1, 2, 3]] * 4
    assert waits == [0, 0, 1, 0, 0, 2, 0, 0, 4, 0, 0, 5]


def test_takes_another_node_after_a_loss():
    orders = iter([nodes(1, 2, 3), nodes(1, 3, 2)])
    rounds = Rounds(lambda: next(orders), Backoff(jitter=0))
    assert rounds.next().port == 1
    rounds.failed(lasted=1.0)
    assert rounds.next().port == 3


def test_a_connection_that_is_lost_at_once_again_and_again_is_made_ever_less_often():
    rounds = Rounds(lambda: nodes(1), Backoff(base=1, cap=100, jitter=0))
    assert [rounds.failed(lasted=0.1) for _ in range(4)] == [1, 2, 4, 8]
    assert rounds.failed(lasted=STEADY + 1) == 1
    assert rounds.failed(lasted=0.1) == 2
    rounds.worked()
    assert rounds.failed(lasted=0.1) == 1


def test_gives_up_after_as_many_rounds_as_the_back_off_allows():
    model = Model(backoff=Backoff(attempts=2, jitter=0))
    try:
        receipt = model.publish()
        for _ in range(6):
            assert not receipt.done()
            model.broker.connection.lost(ConnectionRefusedError())
            model.loop.advance(1)
        assert receipt.outcome is Outcome.UNKNOWN
        assert model.loop.stopped
        with pytest.raises(PublisherClosed) as raised:
            model.publish()
        assert isinstance(raised.value.__cause__, ConnectionRefusedError)
    finally:
        model.end()


def test_a_refused_login_is_told_at_once_and_not_tried_again():
    model = Model()
    try:
        receipt = model.publish()
        refused = ProbableAuthenticationError("ConnectionClosedByBroker: (403) 'ACCESS_REFUSED - Login was refused'")
        model.broker.connection.lost(refused)
        assert (receipt.outcome, receipt.reply_code, receipt.attempts) == (Outcome.UNKNOWN, 403, 0)
        assert "ACCESS_REFUSED" in receipt.reply_text
        with pytest.raises(PublisherClosed) as raised:
            model.publish()
        assert raised.value.__cause__ is refused
        model.loop.advance(1000)
        assert len(model.broker.connections) == 1
    finally:
        model.end()


def test_a_nack_or_a_return_makes_no_new_connection(model):
    for kind, ack in ((GOOD, False), (NO_ROUTE, True)):
        receipt = model.publish(kind)
        model.broker.process()
        model.broker.answer(len(model.broker.written), False, ack)
        assert receipt.outcome is (Outcome.RETURNED if ack else Outcome.NACKED)
    model.loop.advance(100)
    assert len(model.broker.connections) == 1


def test_nodes_that_have_failed_of_late_are_tried_last(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("rabbitlab.patterns.rounds.time.monotonic", lambda: now[0])
    failures = Failures()
    for node, at in ((2, 100.0), (1, 101.0)):
        now[0] = at
        failures.add(address(nodes(node)[0]))
    assert [address(node) for node in failures.last(nodes(1, 2, 3))] == [address(node) for node in nodes(3, 1, 2)]
    now[0] = 110.0
    failures.add(address(nodes(3)[0]))
    assert [address(node) for node in failures.last(nodes(1, 2, 3))] == [address(node) for node in nodes(1, 3, 2)]  # 2 began it
    now[0] = 160.5  # and is forgiven
    assert [address(node) for node in failures.last(nodes(1, 2, 3))] == [address(node) for node in nodes(2, 3, 1)]


def test_a_node_that_takes_no_connection_is_tried_at_the_very_end():
    failures = Failures()
    failures.add(address(nodes(1)[0]))  # began it, and was only cut off
    failures.add(address(nodes(2)[0]), reached=False)
    failures.add(address(nodes(3)[0]))
    assert [node.port for node in failures.last(nodes(1, 2, 3, 4))] == [4, 3, 1, 2]
    failures.add(address(nodes(2)[0]))  # it was there again, and lost
    assert [node.port for node in failures.last(nodes(1, 2, 3, 4))] == [4, 3, 2, 1]


def test_a_node_is_given_little_time_until_that_was_too_little():
    given = nodes(1, 2)
    usual = given[0].stack_timeout
    rounds = Rounds(lambda: given, Backoff(jitter=0))
    times = []
    for _ in range(4):
        times.append(rounds.next().stack_timeout)
        rounds.failed(None)
    assert times == [HASTE * usual] * 2 + [usual] * 2
    assert [node.stack_timeout for node in given] == [usual] * 2, "what is given stays as it was"
    assert Rounds(lambda: nodes(1), Backoff()).next().stack_timeout == usual, "there is no other to try"


def test_a_node_that_never_answers_is_left_for_another_and_each_gets_longer(model):
    receipt = model.publish(deadline=10_000)
    first = model.broker.connection.node
    times = []
    for _ in range(6):
        began, before = model.loop.now, len(model.broker.connections)
        while len(model.broker.connections) == before:
            model.loop.advance(0.1)
            assert model.loop.now - began < 1000
        times.append(model.loop.now - began)
        assert model.broker.connection.node != first
        first = model.broker.connection.node
        model.connect()
    assert times == pytest.approx([10, 10, 20, 40, 80, 80], abs=4)  # the pause between two connections included
    answer_all(model)
    assert receipt.outcome is Outcome.CONFIRMED
    model.publish(deadline=10_000)
    began, before = model.loop.now, len(model.broker.connections)
    while len(model.broker.connections) == before:
        model.loop.advance(0.1)
    assert model.loop.now - began == pytest.approx(10, abs=1)  # it had answered


def test_a_node_that_answers_slowly_is_not_left(model):
    for _ in range(WINDOW):
        model.publish(deadline=10_000)
    for tag in range(1, WINDOW + 1):
        model.loop.advance(PATIENCE - 1)
        model.broker.process()
        model.broker.answer(tag, False, True)
    assert len(model.broker.connections) == 1
    model.loop.advance(1000)  # and one that has nothing to answer neither
    assert len(model.broker.connections) == 1


def test_a_blocked_connection_is_kept_and_nothing_is_sent_on_it(model):
    first = model.publish(deadline=100)
    connection = model.broker.connection
    connection.blocked(connection, None)
    late, patient = model.publish(deadline=5), model.publish(deadline=100)
    assert model.sender.blocked
    assert not model.publisher.connected
    model.loop.advance(60)
    assert (late.outcome, late.attempts) == (Outcome.UNKNOWN, 0)
    assert "memory or disk" in late.reply_text
    assert model.broker.unanswered() == [1]
    assert len(model.broker.connections) == 1
    connection.unblocked(connection, None)
    answer_all(model)
    assert (first.outcome, patient.outcome) == (Outcome.CONFIRMED, Outcome.CONFIRMED)


def test_an_unexpected_error_costs_the_connection_and_no_message(model, caplog):
    receipt = model.publish()
    with caplog.at_level(logging.CRITICAL):
        model.sender._recover()
    model.loop.advance(5)
    answer_all(model)
    assert (receipt.outcome, receipt.attempts) == (Outcome.CONFIRMED, 2)
    assert len(model.broker.connections) == 2


def test_what_an_earlier_channel_says_counts_for_nothing(model):
    earlier = model.broker.connection.channel_now
    first = model.publish()
    model.broker.connection.lost(StreamLostError("gone"))
    model.loop.advance(1)
    model.connect()
    assert first.attempts == 2
    earlier.answer(frame.Method(1, spec.Basic.Ack(1, False)))
    assert first.outcome is None
    answer_all(model)
    assert first.outcome is Outcome.CONFIRMED


# Which message it was.


@pytest.mark.parametrize("wrong", [[0], [99], [50], [3, 4, 5], [0, 33, 66, 99], range(100)])
def test_finds_the_messages_over_which_the_channel_is_closed(wide, wrong):
    wide.broker.connection.blocked(wide.broker.connection, None)  # so that they go out together
    receipts = [wide.publish(NO_EXCHANGE if n in wrong else GOOD) for n in range(100)]
    wide.broker.connection.unblocked(wide.broker.connection, None)
    closings = 0
    for _ in range(3000):
        if wide.broker.confirming and (tags := wide.broker.unanswered()):
            before = wide.broker.connection.channel_now
            wide.broker.process()
            closings += before.answer is None
            if wide.broker.written:
                wide.broker.answer(tags[-1], True, True)
        wide.loop.advance()
        if not wide.window.open:
            break
    assert [n for n, receipt in enumerate(receipts) if receipt.outcome is Outcome.REFUSED] == list(wrong)
    assert all(receipt.outcome is Outcome.CONFIRMED for n, receipt in enumerate(receipts) if n not in wrong)
    assert closings <= 1 + 8 * len(wrong)
    assert len(wide.broker.connections) == 1
    for _ in range(200):  # and then it is as fast as ever
        wide.publish()
    assert len(wide.broker.unanswered()) == 200


@pytest.mark.parametrize(("ends", "outcome"), [(2, Outcome.CONFIRMED), (3, Outcome.REFUSED)])
def test_a_message_is_refused_when_three_connections_in_a_row_have_ended_over_it(model, caplog, ends, outcome):
    """With 541, and with nothing else on its way; two may be chance."""
    receipts = [model.publish() for _ in range(3)]
    for end in range(1 + ends):
        assert len(model.broker.unanswered()) == (1 if end else 3)
        model.broker.connection.lost(INTERNAL_ERROR)
        model.loop.advance(1)  # longer than the wait before the next attempt
        model.connect()
    answer_all(model)
    assert [receipt.outcome for receipt in receipts] == [outcome, Outcome.CONFIRMED, Outcome.CONFIRMED]
    assert (f"have ended over {receipts[0].message_id}: refused" in caplog.text) == (outcome is Outcome.REFUSED)
    assert receipts[0].reply_code == (541 if outcome is Outcome.REFUSED else 0)


@pytest.mark.parametrize("kinds", [[GOOD, NO_ROUTE, GOOD], [NO_ROUTE, NO_ROUTE], [NO_ROUTE, GOOD]])
def test_messages_with_one_id_are_told_apart(wide, kinds):
    receipts = [wide.publish(kind, message_id="same") for kind in kinds]
    answer_all(wide)
    expected = {GOOD: Outcome.CONFIRMED, NO_ROUTE: Outcome.RETURNED}
    assert [receipt.outcome for receipt in receipts] == [expected[kind] for kind in kinds]


# What callers see.


class Running:
    """A window with a thread that confirms when told to."""

    def __init__(self, size):
        self.window = Window(size, Metrics.off())
        self.publisher = object.__new__(ReliablePublisher)
        self.publisher._deadline = DEADLINE
        self.publisher._window, self.publisher._sender = self.window, self
        self._thread = None

    def wake(self):
        pass

    def confirm(self, number=1, outcome=Outcome.CONFIRMED):
        def run():
            self.window.own()
            for _ in range(number):
                if not self.window.queue:
                    break
                self.window.take(1)
                self.window.answered(self.window._tag, False, outcome)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()


def publishing(publisher, **more):
    """A thread that publishes one message, and what came of it."""
    got = []
    thread = threading.Thread(target=lambda: got.append(publisher.publish(b"x", routing_key="q", **more)))
    thread.start()
    return thread, got


def test_a_full_window_makes_the_caller_wait_until_there_is_room():
    running = Running(2)
    for _ in range(2):
        running.publisher.publish(b"x", routing_key="q")
    thread, got = publishing(running.publisher)
    thread.join(0.2)
    assert not got
    assert running.window.open == 2
    running.confirm()
    thread.join(5)
    assert [receipt.outcome for receipt in got] == [None]
    assert running.window.open == 2


def test_a_caller_for_whom_there_is_no_room_is_told_by_the_deadline():
    running = Running(1)
    running.publisher.publish(b"x", routing_key="q")
    began = time.monotonic()
    with pytest.raises(Unknown) as raised:
        running.publisher.send(b"x", routing_key="q", deadline=0.3)
    assert time.monotonic() - began >= 0.3
    assert stalls.spent(began) < 0.8
    assert raised.value.receipt.attempts == 0
    assert "full" in str(raised.value)
    assert is_connection_trouble(raised.value), "a circuit breaker around send() counts it"


def test_closing_ends_the_wait_for_room():
    running = Running(1)
    running.publisher.publish(b"x", routing_key="q")
    raised = []

    def publish():
        try:
            running.publisher.publish(b"x", routing_key="q")
        except PublisherClosed as error:
            raised.append(error)

    thread = threading.Thread(target=publish)
    thread.start()
    thread.join(0.1)
    running.window.close("closed")
    thread.join(5)
    assert len(raised) == 1
    assert running.window.open == 1


def test_result_waits_and_gives_up_waiting_without_a_trace():
    running = Running(2)
    receipt = running.publisher.publish(b"x", routing_key="q")
    for _ in range(3):
        with pytest.raises(TimeoutError):
            receipt.result(0.01)
    assert receipt._callbacks == ()
    threading.Timer(0.1, running.confirm).start()
    assert receipt.result(5) is Outcome.CONFIRMED
    assert receipt.result() is Outcome.CONFIRMED


def test_callbacks_may_publish_and_may_fail_and_may_not_wait(model, caplog):
    inner, errors = [], []

    def publish_again(_):
        inner.append(model.publisher.publish(b"x", routing_key=GOOD))

    def wait(_):
        try:
            inner[0].result()
        except RuntimeError as error:
            errors.append(error)

    receipt = model.publish()
    receipt.add_done_callback(publish_again)
    receipt.add_done_callback(lambda _: 1 / 0)
    receipt.add_done_callback(wait)
    answer_all(model)
    assert [one.outcome for one in inner] == [Outcome.CONFIRMED]
    assert len(errors) == 1
    assert "ZeroDivisionError" in caplog.text
    told = []
    receipt.add_done_callback(told.append)
    assert told == [receipt]


def test_in_a_callback_nothing_waits_and_what_is_sent_arrives(model):
    """It would wait for its own thread."""
    told, full = [], []

    def wait(_):
        for call in (lambda: model.publisher.send(b"x", routing_key=GOOD), model.publisher.flush):
            with pytest.raises(RuntimeError):
                call()
        told.extend(model.window.pending())
        while not (receipt := model.publisher.publish(b"x", routing_key=GOOD)).done():
            told.append(receipt)
        full.append(receipt)

    model.publish().add_done_callback(wait)
    answer_all(model)
    assert [receipt.outcome for receipt in told] == [Outcome.CONFIRMED] * WINDOW
    assert [(receipt.outcome, receipt.attempts) for receipt in full] == [(Outcome.UNKNOWN, 0)]


def test_flush_returns_what_is_open():
    running = Running(5)
    receipts = [running.publisher.publish(b"x", routing_key="q") for _ in range(3)]
    running.confirm()
    assert running.publisher.flush(0.1) == receipts[1:]
    running.confirm(2)
    assert running.publisher.flush(5) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_is_told_and_the_parent_goes_on():
    publisher = ReliablePublisher("amqp://127.0.0.1:1")  # nobody there
    told = []
    receipt = publisher.publish(b"x", routing_key="q")
    receipt.add_done_callback(lambda _: told.append("in this process"))
    held = publisher._sender._loop._poller._waking_mutex
    held.acquire()  # as its thread may have it at this moment; nobody gives it back in the child
    child = os.fork()
    if child:
        held.release()
    else:
        signal.alarm(10)  # rather than hang
        try:
            publisher.publish(b"x", routing_key="q")
        except PublisherClosed as error:
            os._exit(0 if "fork" in str(error) and not told and not publisher.close(0) else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert not receipt.done()
    assert publisher.close(0) == [receipt]
    assert told == ["in this process"]


def test_addresses_are_checked_where_they_are_given():
    with pytest.raises(ValueError, match="amqp://"):
        ReliablePublisher("rabbit1:5672")
    with pytest.raises(ValueError, match="window"):
        ReliablePublisher("amqp://127.0.0.1:1", window=0)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("publisher")]


def test_nobody_there_costs_no_more_than_the_deadline():
    with ReliablePublisher("amqp://127.0.0.1:1", deadline=0.5) as publisher:
        began = time.monotonic()
        with pytest.raises(Unknown, match="no connection to"):
            publisher.send(b"x", routing_key="q")
        assert stalls.spent(began) < 1.0
        assert not publisher.connected
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("publisher")]
