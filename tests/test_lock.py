"""The turns on the cluster: many who use it, or one who breaks it."""

import contextlib
import fcntl
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from rabbitlab import lock
from rabbitlab.errors import Mendable
from rabbitlab.units import ROOT

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
    monkeypatch.setattr(lock, "FOLDER", tmp_path)
    monkeypatch.delenv(lock.INHERITED, raising=False)
    return tmp_path


@pytest.fixture
def hold(state):
    """Start another process that takes a turn; it holds it until its input ends."""
    started = []

    def start(kind: str) -> subprocess.Popen:
        code = f"import pathlib, rabbitlab.lock as lock\nlock.FOLDER = pathlib.Path({str(state)!r})\n" + HOLD
        started.append(python(code, kind))
        return started[-1]

    yield start
    end(started)


def python(code: str, kind: str, **kwargs) -> subprocess.Popen:
    """A Python that acts under nobody's turn."""
    alone = {name: value for name, value in os.environ.items() if name != lock.INHERITED} | kwargs.pop("env", {})
    return subprocess.Popen(
        [sys.executable, "-c", code, kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=alone, **kwargs
    )


def end(processes) -> None:
    for process in processes:
        process.kill()
        process.communicate()


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


def test_two_copies_of_the_course_have_their_locks_in_one_place_since_they_have_one_cluster(tmp_path):
    another = tmp_path / "another copy"
    shutil.copytree(ROOT / "rabbitlab", another / "rabbitlab", ignore=shutil.ignore_patterns("__pycache__"))
    where = "import rabbitlab.lock as lock; print(lock.__file__, lock.FOLDER, sep=chr(10))"
    started = [python(where, "", cwd=ROOT), python(where, "", cwd=another, env={"TMPDIR": str(tmp_path)})]
    files, folders = zip(*(process.communicate()[0].split("\n")[:2] for process in started), strict=True)
    assert len(set(files)) == 2
    assert len(set(folders)) == 1


def test_what_is_no_folder_holds_no_locks(state, monkeypatch):
    (state / "a file").write_text("")
    monkeypatch.setattr(lock, "FOLDER", state / "a file")
    with pytest.raises(Mendable, match="a file is not a folder of yours"), lock.shared():
        pass


def test_two_threads_that_come_at_once_have_one_turn_and_give_it_back(state, monkeypatch):
    together = threading.Barrier(2)
    take = lock._take

    def both_at_once(name, *args, **kwargs):
        taken = take(name, *args, **kwargs)
        if name == "cluster.lock":
            together.wait(5)
        return taken

    def use():
        with lock.shared():
            together.wait(5)

    @contextlib.contextmanager
    def passed(gate):  # the second thread is through before the first has noted its turn
        os.close(gate)
        yield

    monkeypatch.setattr(lock, "_take", both_at_once)
    monkeypatch.setattr(lock, "_closing", passed)
    threads = [threading.Thread(target=use) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    with open(state / "cluster.lock") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert not lock.turn_here()


def test_a_long_wait_is_told_to_who_asked(state, hold, monkeypatch):
    monkeypatch.setattr(lock, "LONG", 0.1)
    breaker, told = hold("exclusive"), []
    assert has_it(breaker)

    def tell(sentence):
        told.append(sentence)
        breaker.communicate()  # and it ends

    with lock.shared(tell):
        assert told == ["Waiting for the cluster: another check, notebook or fault has its turn."]


def test_who_has_prometheus_to_himself_is_seen_by_others(state, hold):
    assert not lock.prometheus_is_taken()
    holder = hold("prometheus")
    assert has_it(holder)
    assert lock.prometheus_is_taken()
    holder.communicate()
    assert not lock.prometheus_is_taken()


def test_a_folder_of_locks_that_somebody_else_has_made_is_not_used(state, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: state.stat().st_uid + 1)
    with pytest.raises(Mendable, match=str(state)), lock.shared():
        pass


@pytest.mark.parametrize("kind", ["exclusive", "prometheus"])
def test_a_worker_that_outlives_a_killed_process_does_not_keep_its_turn(kind, state, hold):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:  # a breaker, whose worker lives on
        turn = getattr(lock, kind)()
        turn.__enter__()
        worker = os.fork()
        if worker == 0:
            os.write(writer, str(os.getpid()).encode())
            signal.pause()
        os.waitpid(worker, 0)
        os._exit(0)
    os.close(writer)
    worker = int(os.read(reader, 20))
    os.close(reader)
    try:
        other = hold(kind)
        assert not has_it(other, within=0.5)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert has_it(other)
    finally:
        os.kill(worker, signal.SIGKILL)


def test_a_forked_child_that_takes_part_in_a_turn_ends_nobody_elses(state, hold):
    with lock.exclusive():
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException), lock.exclusive():
                os._exit(7 if lock.descriptor() == -1 else 8)
            os._exit(9)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert not has_it(hold("shared"), within=0.5)


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
