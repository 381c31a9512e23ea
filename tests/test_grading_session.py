"""A grading that meets a broken cluster: between two of its checks anybody may have broken it, and have been killed."""

from types import SimpleNamespace

import pytest

from rabbitlab import cluster, healing, lock, wholeness
from rabbitlab.errors import Mendable
from rabbitlab.grading import attempt, room
from rabbitlab.grading.session import Grading

CHECK = SimpleNamespace(get_closest_marker=lambda name: None)


class Attempt:
    """One without a broker behind it."""

    def __init__(self, room):
        self._running = []

    def wipe(self):
        pass


@pytest.fixture
def grading(monkeypatch, tmp_path):
    """A grading run on a cluster that is there, with a turn of its own."""
    monkeypatch.setattr(lock, "FOLDER", tmp_path)
    monkeypatch.setattr(healing, "AGAIN", 0)
    monkeypatch.delenv(lock.INHERITED, raising=False)
    monkeypatch.setattr(cluster, "is_running", lambda: True)
    monkeypatch.setattr(wholeness, "missing", lambda thorough: "")
    monkeypatch.setattr(room, "attempt_room", lambda: SimpleNamespace(remove=lambda: None))
    monkeypatch.setattr(attempt, "Attempt", Attempt)
    grading = Grading(None)
    yield grading
    grading._close_room()


def test_what_somebody_broke_is_healed_before_the_next_check(grading, monkeypatch):
    healed = []
    monkeypatch.setattr(healing, "put_right", lambda: healed.append("all"))
    with grading.attempt_for_check(CHECK):
        assert healed == []
    monkeypatch.setattr(wholeness, "missing", lambda thorough: "rabbit2 does not answer")
    with grading.attempt_for_check(CHECK):
        assert healed == ["all"]


def test_who_is_late_once_is_not_healed(grading, monkeypatch):
    monkeypatch.setattr(healing, "put_right", lambda: pytest.fail("healed"))
    looks = iter(["rabbit2 does not answer", ""])
    monkeypatch.setattr(wholeness, "missing", lambda thorough: next(looks))
    with grading.attempt_for_check(CHECK):
        assert next(looks, "none") == "none"


def test_what_cannot_be_healed_ends_the_run_between_two_checks_with_its_sentence(grading, monkeypatch):
    def in_vain():
        raise Mendable("The cluster is not whole after 120 s.")

    with grading.attempt_for_check(CHECK):
        pass
    monkeypatch.setattr(wholeness, "missing", lambda thorough: "rabbit2 does not answer")
    monkeypatch.setattr(healing, "put_right", in_vain)
    with pytest.raises(pytest.exit.Exception, match="not whole after"), grading.attempt_for_check(CHECK):
        pytest.fail("the check ran")
    assert grading._sentence == "The cluster is not whole after 120 s."
