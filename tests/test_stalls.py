"""The clock that leaves out the time in which this process stood still."""

import os
import signal
import subprocess
import sys
import time

import pytest

from rabbitlab import stalls
from rabbitlab.grading import again
from rabbitlab.grading.verdict import Late, Verdict


def stood_still(seconds: float, code: str) -> float:
    """What a process prints at its end that was stopped for *seconds* after it had said "ready"."""
    running = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert running.stdout.readline() == "ready\n"
    os.kill(running.pid, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(running.pid, signal.SIGCONT)
    told, _ = running.communicate(timeout=30)
    return float(told)


WATCHING = """
import time
from rabbitlab import stalls
began, by_the_wall = stalls.clock(), time.monotonic()
print("ready", flush=True)
while time.monotonic() - by_the_wall < 2.5:
    time.sleep(0.01)
print({what})
"""


def test_a_process_that_was_stopped_has_lost_that_time():
    assert stood_still(1.5, WATCHING.format(what="stalls.lost()")) == pytest.approx(1.5, abs=0.4)


def test_its_clock_did_not_go_on_meanwhile():
    assert stood_still(1.5, WATCHING.format(what="stalls.clock() - began")) == pytest.approx(1.0, abs=0.4)


def test_one_that_works_or_waits_has_lost_nothing():
    assert min(lost_at_work() for _ in range(5)) == 0  # five times, since this machine may stall indeed


def lost_at_work() -> float:
    began = time.monotonic()
    while stalls.lost(began) == 0 and time.monotonic() - began < 0.5:
        sum(range(100_000))
    time.sleep(0.5)
    return stalls.lost(began)


def test_only_what_lies_within_the_span_counts(monkeypatch):
    now = time.monotonic()
    monkeypatch.setattr(stalls, "_stalls", [(now - 10, now - 8), (now - 4, now - 3)])
    assert stalls.lost(now - 9, now - 3.5) == pytest.approx(1.5)
    assert stalls.lost(now - 7, now - 5) == 0
    assert stalls.longest(now - 9) == pytest.approx(1)
    assert stalls.lost(now - 20, now) == pytest.approx(3, abs=0.01)


FORKED = """
import os, sys, time
from rabbitlab import stalls
stalls.lost()
if os.fork():
    os.wait()
    sys.exit()
by_the_wall = time.monotonic()
stalls.lost()
open({pid!r}, "w").write(str(os.getpid()))
while time.monotonic() - by_the_wall < 2.5:
    time.sleep(0.01)
open({told!r}, "w").write(str(stalls.lost(by_the_wall)))
"""


def test_a_forked_process_is_watched_too(tmp_path):
    pid, told = tmp_path / "pid", tmp_path / "told"
    running = subprocess.Popen([sys.executable, "-c", FORKED.format(pid=str(pid), told=str(told))])
    end = time.monotonic() + 20
    while not (pid.exists() and pid.read_text()) and time.monotonic() < end:
        time.sleep(0.01)
    child = int(pid.read_text())
    os.kill(child, signal.SIGSTOP)
    time.sleep(1.5)
    os.kill(child, signal.SIGCONT)
    assert running.wait(timeout=30) == 0
    assert float(told.read_text()) == pytest.approx(1.5, abs=0.4)


class Answer:
    """A check that fails the first times it is made, and what the machine lost each time."""

    def __init__(self, monkeypatch, failures: int, stalled: float, error: Exception | None = None):
        self.failures, self.made, self.wiped = failures, 0, 0
        self.error = error or AssertionError("Tried, in this order: 1, 2")
        monkeypatch.setattr(again.stalls, "longest", lambda began: stalled)

    def wipe(self):
        self.wiped += 1

    def check(self, attempt, answer):
        assert attempt is self
        assert answer == "an answer"
        self.made += 1
        if self.made <= self.failures:
            raise self.error


def test_a_check_that_failed_after_a_stall_is_made_again(monkeypatch):
    found = Answer(monkeypatch, failures=2, stalled=0.8)
    again.again_after_a_stall(1.5)(found.check)(attempt=found, answer="an answer")
    assert (found.made, found.wiped) == (3, 2)


@pytest.mark.parametrize(("failures", "stalled", "made"), [(1, 0.7, 1), (3, 5.0, 3)])
def test_one_that_fails_without_a_stall_or_each_time_has_failed(monkeypatch, failures, stalled, made):
    found = Answer(monkeypatch, failures, stalled)
    with pytest.raises(AssertionError, match="Tried"):
        again.again_after_a_stall(1.5)(found.check)(attempt=found, answer="an answer")
    assert found.made == made


@pytest.mark.parametrize(
    ("error", "made"), [(Verdict("timeout", "still running"), 1), (Late("never came"), 3), (Verdict("failed", "none"), 3)]
)
def test_one_that_did_not_go_home_is_not_made_again(monkeypatch, error, made):
    found = Answer(monkeypatch, 3, 5.0, error)
    with pytest.raises(Verdict):
        again.again_after_a_stall(1.5)(found.check)(attempt=found, answer="an answer")
    assert found.made == made


def test_one_that_passes_is_made_once(monkeypatch):
    found = Answer(monkeypatch, failures=0, stalled=5.0)
    again.again_after_a_stall(1.5)(found.check)(attempt=found, answer="an answer")
    assert (found.made, found.wiped) == (1, 0)
