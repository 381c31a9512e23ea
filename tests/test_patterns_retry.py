"""Waits that grow and differ, and calls that are made again."""

import threading
import time

import pika
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rabbitlab.patterns import LOST, Backoff, Message, retry
from rabbitlab.patterns.retries import copied

BACKOFFS = st.builds(
    Backoff,
    base=st.floats(0, 100),
    factor=st.floats(1, 1000),
    cap=st.floats(0, 1000),
    jitter=st.floats(0, 1),
    attempts=st.none() | st.integers(1, 50),
)
NOW = Backoff(base=0)


class Flaky:
    """Fails so many times, then works."""

    def __init__(self, failures, error=OSError):
        self.left, self.error, self.calls = failures, error, 0

    def __call__(self):
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.error(f"failure {self.calls}")
        return "done"


@given(BACKOFFS, st.integers(0, 10**6))
def test_each_wait_is_within_its_jitter(backoff, n):
    try:
        middle = min(backoff.base * backoff.factor**n, backoff.cap)
    except OverflowError:
        middle = backoff.cap
    tolerance = 1e-9 * (1 + middle)
    assert middle * (1 - backoff.jitter) - tolerance <= backoff.seconds(n) <= middle * (1 + backoff.jitter) + tolerance


@given(BACKOFFS.filter(lambda backoff: backoff.attempts))
def test_there_are_as_many_waits_as_attempts_at_each_iteration(backoff):
    assert len(list(backoff)) == len(list(backoff)) == backoff.attempts


def test_waits_double_up_to_the_cap_and_an_iteration_begins_anew():
    waits = Backoff(base=0.1, factor=2, cap=1, jitter=0, attempts=6)
    assert list(waits) == list(waits) == pytest.approx([0.1, 0.2, 0.4, 0.8, 1, 1])
    endless = iter(Backoff(base=1, jitter=0, cap=1))
    assert [next(endless) for _ in range(2000)] == [1] * 2000


def test_two_clients_do_not_wait_in_step():
    assert len({Backoff().seconds(5) for _ in range(100)}) > 90


def test_is_a_value():
    backoff = Backoff()
    assert backoff == Backoff()
    with pytest.raises(AttributeError):
        backoff.base = 3  # a default that all share must not change


@pytest.mark.parametrize("wrong", [{"base": -1}, {"factor": 0.5}, {"cap": -1}, {"jitter": 1.1}, {"jitter": -0.1}, {"attempts": 0}])
def test_refuses_what_is_no_backoff(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Backoff(**wrong)


def test_returns_what_the_call_returns_in_the_end():
    call = Flaky(3)
    assert retry(call, on=OSError, backoff=NOW) == "done"
    assert call.calls == 4


def test_waits_as_the_backoff_says():
    waits = []
    retry(Flaky(4), on=OSError, backoff=Backoff(base=1, factor=3, cap=10, jitter=0), wait=waits.append)
    assert waits == [1, 3, 9, 10]


def test_gives_up_after_so_many_attempts_with_the_last_error():
    call, waits = Flaky(10), []
    with pytest.raises(OSError, match="failure 3"):
        retry(call, on=OSError, backoff=Backoff(attempts=3), wait=waits.append)
    assert call.calls == 3
    assert len(waits) == 2  # to wait after the last one is no use


def test_only_the_errors_named_are_worth_it():
    call = Flaky(1, error=KeyError)
    with pytest.raises(KeyError):
        retry(call, on=LOST, backoff=NOW)
    assert call.calls == 1


def test_unless_ends_it():
    call = Flaky(10)
    with pytest.raises(OSError, match="failure 2"):
        retry(call, on=OSError, backoff=NOW, unless=lambda error: "2" in str(error))
    assert call.calls == 2


def test_within_ends_it_with_a_last_call_at_the_end():
    began, calls = time.monotonic(), []

    def call():
        calls.append(time.monotonic() - began)
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        retry(call, on=OSError, backoff=Backoff(base=0.1, factor=100, cap=60, jitter=0), within=0.5)
    assert calls[0] < 0.1 <= calls[1]
    assert 0.5 <= calls[-1] < 5  # and did not wait for ten seconds first


def test_within_interrupts_no_call_and_allows_none_later():
    calls = []

    def slow():
        calls.append(1)
        threading.Event().wait(0.1)
        raise OSError("slow")

    with pytest.raises(OSError, match="slow"):
        retry(slow, on=OSError, backoff=NOW, within=0.01)
    assert len(calls) == 1


def test_a_service_that_stops_need_not_wait_out_a_backoff():
    stopping, call = threading.Event(), Flaky(10)
    threading.Timer(0.1, stopping.set).start()
    began = time.monotonic()
    with pytest.raises(OSError, match="failure 1"):
        retry(call, on=OSError, backoff=Backoff(base=60, cap=60), wait=stopping.wait)
    assert time.monotonic() - began < 10


def test_a_copy_keeps_the_headers_of_its_publisher_whatever_their_names_begin_with():
    mine = {"CCY": "EUR", "BCC-of": "nobody", "x-deathly": 1, "x-delivery-counter": 2, b"\xff": "a name that is no text, as pika gives it"}
    rabbitmqs = {
        "CC": ["elsewhere"],
        "BCC": ["elsewhere"],
        "x-death": [{"count": 1}],
        "x-delivery-count": 1,
        "x-acquired-count": 1,
        "x-first-death-reason": "expired",
        "x-last-death-queue": "orders",
    }
    original = Message(b"order", pika.BasicProperties(headers=mine | rabbitmqs), "orders", False)
    copy = copied(original, "orders", 1, "ValueError")
    ours = {"retry-attempt", "reason", "retry-queue", "retry-routing-key"}
    assert {name: value for name, value in copy.headers.items() if name not in ours} == mine
    copy.encode()  # pika can send it
