"""The turns on the cluster: many who use it, or one who breaks it."""

import os
import select
import subprocess
import sys
import time

import pytest

from rabbitlab import lock
from rabbitlab.errors import Mendable

HOLD = """
import sys
from rabbitlab import lock
with getattr(lock, sys.argv[1])():
    print("has it", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def state(tmp_path, monkeypatch):
    """A lock of the test's own: the real one may be held by those who use the cluster now."""
    monkeypatch.setattr(lock, "STATE", tmp_path)
    monkeypatch.delenv(lock.INHERITED, raising=False)
    return tmp_path


@pytest.fixture
def hold(state):
    """Start another process that takes a turn; it holds it until its input ends."""
    started = []

    def start(kind: str) -> subprocess.Popen:
        code = f"import pathlib, rabbitlab.lock as lock\nlock.STATE = pathlib.Path({str(state)!r})\n" + HOLD
        alone = {name: value for name, value in os.environ.items() if name != lock.INHERITED}
        process = subprocess.Popen([sys.executable, "-c", code, kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=alone)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def has_it(process, within=10) -> bool:
    return bool(select.select([process.stdout], [], [], within)[0]) and process.stdout.readline() == "has it\n"


def test_two_may_use_the_cluster_at_once(hold):
    assert has_it(hold("shared"))
    with lock.shared():
        pass


def test_who_breaks_it_waits_for_who_uses_it(hold):
    user, breaker = hold("shared"), None
    assert has_it(user)
    breaker = hold("exclusive")
    assert not has_it(breaker, within=0.5)
    user.communicate()
    assert has_it(breaker)


def test_newcomers_wait_behind_who_wants_to_break_it(hold):
    user = hold("shared")
    assert has_it(user)
    breaker = hold("exclusive")
    assert not has_it(breaker, within=0.5)
    newcomer = hold("shared")
    assert not has_it(newcomer, within=0.5)
    user.communicate()
    assert has_it(breaker)
    breaker.communicate()
    assert has_it(newcomer)


def test_a_killed_process_gives_its_turn_back(hold):
    breaker = hold("exclusive")
    assert has_it(breaker)
    breaker.kill()
    began = time.monotonic()
    with lock.shared():
        assert time.monotonic() - began < 5


def test_a_fault_within_a_fault_needs_no_second_turn(state):
    with lock.exclusive(), lock.exclusive(), lock.shared():
        assert lock.descriptor() >= 0
    assert lock.descriptor() == -1


def test_the_turn_is_held_until_the_last_part_of_it_ends(state, hold):
    first = lock.exclusive()
    second = lock.exclusive()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    other = hold("shared")
    other_has_it = has_it(other, within=0.5)
    second.__exit__(None, None, None)
    assert not other_has_it
    assert has_it(other)


def test_a_kernel_acts_under_the_turn_that_was_taken_for_it(state, monkeypatch):
    monkeypatch.setenv(lock.INHERITED, lock.EXCLUSIVE)
    with lock.exclusive():
        pass


def test_who_only_announced_to_use_it_may_not_break_it(state):
    with lock.shared(), pytest.raises(Mendable, match=r"as faults\.name"), lock.exclusive():
        pass


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('with faults.killed("rabbit2"):', lock.EXCLUSIVE),
        ("with faults.memory_alarm() as alarm:", lock.EXCLUSIVE),
        ('with faults.closed_connections("till"):', lock.SHARED),
        ("from rabbitlab import faults", lock.SHARED),
    ],
)
def test_what_a_file_calls_says_which_turn_it_needs(tmp_path, text, kind):
    file = tmp_path / "lesson.md"
    file.write_text(text)
    assert lock.needed(file) == kind
