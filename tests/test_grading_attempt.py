"""How an attempt waits, without a cluster: the clock and the broker are the test's."""

from types import SimpleNamespace

import pytest

from rabbitlab.grading import attempt as module
from rabbitlab.grading.attempt import FRESH, Attempt


class Clock:
    """Goes on when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("rabbitlab.stalls.clock", clock)
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
    return clock


@pytest.fixture
def attempt() -> Attempt:
    return Attempt(SimpleNamespace(name="attempt-0", password=""))


def looks(clock: Clock, *seen: tuple[float, object]):
    """Something to ask: each look takes so many seconds, and sees that; how many are left stands in ``left``."""
    left = list(seen)

    def look(*_):
        seconds, found = left.pop(0)
        clock.now += seconds
        return found

    look.left = left
    return look


def test_where_the_clock_stands_still_nothing_is_waited(clock, attempt):
    assert attempt.comes_true(looks(clock, (0, False), (0, False), (0, False), (0, True)), within=0)


def test_time_is_up_after_a_look_that_began_then(clock, attempt):
    assert attempt.comes_true(looks(clock, (5, False), (5, True)), within=1), "the first look began in time, and saw an old world"
    vain = looks(clock, (0.6, False), (0.6, False), (0.6, False), (0.6, True))
    assert not attempt.comes_true(vain, within=1)
    assert len(vain.left) == 1


def test_what_a_quorum_queue_holds_is_believed_when_the_question_was_late_enough(clock, attempt, monkeypatch):
    old, new = ({"type": "quorum", "messages_ready": 0, "messages_unacknowledged": number} for number in (7, 0))
    monkeypatch.setattr(attempt, "queue", looks(clock, (FRESH + 1, old), (0, new)))
    monkeypatch.setattr(attempt, "depth", lambda queue: 0)
    assert attempt.unacked("orders") == 0


def test_connections_are_closed_once_rabbitmq_knows_them(clock, attempt, monkeypatch):
    asked = []
    monkeypatch.setattr(module.management, "call", lambda *words: asked.append(words))
    monkeypatch.setattr(attempt, "_open", looks(clock, (0, set()), (1, {"a"}), (0, {"a"}), (0, set())))
    assert attempt.close_connections(at_least=1) == 1
    assert asked == [("DELETE", "connections", "username", "attempt-0")]


def test_connections_that_never_come_are_not_waited_for_for_ever(clock, attempt, monkeypatch):
    monkeypatch.setattr(attempt, "_open", looks(clock, (0, set()), (6, set()), (0, set()), (0, set())))
    assert attempt.close_connections(at_least=1) == 0
