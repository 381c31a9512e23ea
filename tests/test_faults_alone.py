"""How faults begin and end, on a cluster that is only imagined; what they do to a true one is in test_faults.py."""

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from rabbitlab import cluster, containers, faults, healing, lock, management, wholeness
from rabbitlab.errors import Mendable
from rabbitlab.faults import fault as fault_module
from rabbitlab.faults import guardian
from rabbitlab.healing import menders

HEALTHY = {"nodes": (), "break_it": lambda: None, "mend": lambda: None, "seen": lambda: ""}


class Guardian:
    """One that only says how it was let go."""

    def __init__(self):
        self.let_go = []
        self.all.append(self)

    def dismiss(self):
        self.let_go.append("dismissed")

    def leave_to(self):
        self.let_go.append("left to")


@pytest.fixture
def guardians(monkeypatch, tmp_path) -> list[Guardian]:
    """Those that were called, on a cluster that is whole whenever somebody looks."""
    monkeypatch.setattr(lock, "FOLDER", tmp_path)
    monkeypatch.delenv(lock.INHERITED, raising=False)
    monkeypatch.setattr(Guardian, "all", [], raising=False)
    monkeypatch.setattr(guardian, "Guardian", Guardian)
    monkeypatch.setattr(fault_module, "_there", fault_module._There())
    monkeypatch.setattr(containers, "state", lambda service: "running")
    monkeypatch.setattr(containers, "run", lambda *_: "")
    monkeypatch.setattr(healing, "settle", lambda: None)
    for place, name in ((healing, "heal"), (containers, "_client"), (cluster, "compose"), (management, "_exchange")):
        monkeypatch.setattr(place, name, out_of_reach)  # somebody may be at work on the true cluster
    return Guardian.all


def out_of_reach(*_, **__):
    pytest.fail("this would have reached the true cluster")


def test_an_alarm_is_seen_by_a_node_that_answers_late(guardians, monkeypatch):
    asked = []

    def raised_alarms(node):
        asked.append(node.name)
        if asked.count("rabbit2") == 1 and node.name == "rabbit2":
            raise TimeoutError("timed out")
        return ["memory on rabbit1"]

    monkeypatch.setattr(wholeness, "raised_alarms", raised_alarms)
    monkeypatch.setattr(wholeness, "view", lambda node: {})
    with faults.memory_alarm("rabbit1"):
        assert asked.count("rabbit2") == 2


def test_an_alarm_need_not_be_known_to_a_node_that_nobody_reaches(guardians, monkeypatch):
    def raised_alarms(node):
        if node.name == "rabbit3":
            raise ConnectionRefusedError
        return ["disk on rabbit1"]

    monkeypatch.setattr(wholeness, "raised_alarms", raised_alarms)
    monkeypatch.setattr(wholeness, "view", lambda node: None if node.name == "rabbit3" else {})
    with faults.disk_alarm("rabbit1"):
        pass
    assert [one.let_go for one in guardians] == [["dismissed"]]


def test_who_heals_inside_a_fault_is_told_at_once_to_end_it_first(guardians, monkeypatch):
    monkeypatch.setattr(lock, "take_healing", lambda: pytest.fail("it waits for its own guardian"))
    with fault_module.made("rabbit2 killed", **HEALTHY), pytest.raises(Mendable, match=r"rabbit2 killed.*End the `with faults"):
        faults.heal()


def test_who_has_ended_the_fault_may_heal(guardians, monkeypatch):
    monkeypatch.setattr(healing, "heal", lambda tell: ["all"])
    with fault_module.made("rabbit2 killed", **HEALTHY):
        pass
    assert faults.heal() == ["all"]


def test_ctrl_c_right_after_the_beginning_leaves_no_fault_behind(guardians, monkeypatch):
    begin, calls = fault_module._begin, []

    def interrupted(fault):
        begin(fault)
        raise KeyboardInterrupt

    monkeypatch.setattr(fault_module, "_begin", interrupted)
    took_back = {**HEALTHY, "break_it": lambda: calls.append("broken"), "mend": lambda: calls.append("mended")}
    with pytest.raises(KeyboardInterrupt), fault_module.made("rabbit2 killed", **took_back):
        pytest.fail("the body ran")
    assert calls == ["mended"]
    assert [one.let_go for one in guardians] == [["dismissed"]]
    assert fault_module._there.faults == []


def test_what_was_never_begun_is_not_mended(guardians, monkeypatch):
    def at_work():
        raise Mendable("Another process breaks or heals the cluster.")

    monkeypatch.setattr(guardian, "Guardian", at_work)
    took_back = {**HEALTHY, "mend": lambda: pytest.fail("it may be what the other process broke")}
    with pytest.raises(Mendable, match="Another process"), fault_module.made("rabbit2 killed", **took_back):
        pytest.fail("the body ran")
    assert fault_module._there.faults == []


def test_ctrl_c_while_it_is_mended_leaves_the_rest_to_the_guardian(guardians):
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), fault_module.made("rabbit2 killed", **{**HEALTHY, "mend": interrupted}):
        pass
    assert [one.let_go for one in guardians] == [["left to"]]
    assert fault_module._there.faults == []


def test_a_fault_of_another_thread_begins_when_the_last_one_is_over(guardians, monkeypatch):
    settling, broken, meanwhile = threading.Event(), threading.Event(), []

    def settle():
        settling.set()
        meanwhile.append(broken.wait(0.5))

    def another():
        assert settling.wait(10)
        with fault_module.made("rabbit3 killed", **{**HEALTHY, "break_it": broken.set}):
            assert fault_module._there.guardian is guardians[-1]

    monkeypatch.setattr(healing, "settle", settle)
    with ThreadPoolExecutor() as pool:
        other = pool.submit(another)
        with fault_module.made("rabbit2 killed", **HEALTHY):
            pass
        other.result(10)
    assert meanwhile[0] is False, "it would have been healed"
    assert [one.let_go for one in guardians] == [["dismissed"], ["dismissed"]]
    assert fault_module._there.faults == []


def test_of_two_that_overlap_the_one_that_ends_last_leaves_a_whole_cluster(guardians, monkeypatch):
    settled = []
    monkeypatch.setattr(healing, "settle", lambda: settled.append(list(fault_module._there.faults)))
    first, second = (fault_module.made(name, **HEALTHY) for name in ("rabbit2 killed", "rabbit3 killed"))
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert settled == []
    second.__exit__(None, None, None)
    assert settled == [[]]
    assert [one.let_go for one in guardians] == [["dismissed"]]


def test_a_mender_that_stumbles_over_what_changes_at_this_moment_has_its_turn_again(monkeypatch):
    """A queue that somebody deletes between the look and the mend, a node that has just booted and answers late."""
    left, done = [TimeoutError("timed out"), LookupError("no such queue")], []

    def mender():
        if left:
            raise left.pop()
        done.append("rabbit2 had another memory limit: restored")
        return done

    monkeypatch.setattr(healing.containers, "all_of_them", lambda: {"rabbit1": None})
    monkeypatch.setattr(healing.menders, "MENDERS", (mender,))
    monkeypatch.setattr(healing, "_come_to_rest", lambda tell, deadline: "" if done else "an alarm")
    assert healing.heal() == done != []


def test_a_mender_that_stumbles_again_and_again_says_over_what(monkeypatch):
    def mender():
        raise TimeoutError("timed out")

    monkeypatch.setattr(healing.containers, "all_of_them", lambda: {"rabbit1": None})
    monkeypatch.setattr(healing.menders, "MENDERS", (mender,))
    monkeypatch.setattr(healing, "_come_to_rest", lambda tell, deadline: "an alarm")
    with pytest.raises(Mendable, match="TimeoutError: timed out"):
        healing.heal()


def test_a_prometheus_that_somebody_has_paused_on_purpose_stays_paused(monkeypatch):
    paused = SimpleNamespace(status="paused", unpause=lambda: pytest.fail("it looked away on purpose"))
    monkeypatch.setattr(menders.containers, "all_of_them", lambda: {"prometheus": paused})
    monkeypatch.setattr(menders.lock, "prometheus_is_taken", lambda: True)
    assert menders.containers_at_rest() == []


def test_what_belongs_to_a_copy_that_we_may_not_look_at_is_not_removed(monkeypatch, tmp_path):
    def closed(path, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(menders.Path, "stat", closed)
    assert not menders._is_gone(tmp_path / "docker-compose.yml")
