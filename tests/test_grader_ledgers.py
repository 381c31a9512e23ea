"""Two gradings of one answer at once: neither reads what the other's programs did."""

import importlib.util
from types import ModuleType, SimpleNamespace

import pytest

from rabbitlab import units
from rabbitlab.grading import management
from rabbitlab.grading.answer import Answer


def grader_of(name: str) -> ModuleType:
    unit = units.find_one(name)
    spec = importlib.util.spec_from_file_location(f"{unit.stem}_grader", unit.grader)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def attempt(monkeypatch, tmp_path):
    """Without a broker."""
    monkeypatch.setattr("rabbitlab.grading.answer.STATE", tmp_path)
    monkeypatch.setattr(management, "call", lambda *_, **__: None)
    return SimpleNamespace(vhost="mine", user="me", declare=lambda *_, **__: None, publish=lambda *_: None)


@pytest.fixture
def answer(attempt, tmp_path):
    return Answer(tmp_path / "answer.py", "answer", attempt)


def test_each_run_of_the_workshop_has_a_book_of_its_own(attempt, answer):
    grader = grader_of("3/ex_01")
    first = grader.Shop(attempt, answer, jobs=1)
    first._book.start("job 0")
    second = grader.Shop(attempt, answer, jobs=1)
    second._book.effect("job 0")
    assert (first.begun(), first.engraved()) == (["job 0"], [])
    assert (second.begun(), second.engraved()) == ([], ["job 0"])


def test_each_run_of_the_resilient_system_has_a_ledger_and_a_rush_of_its_own(attempt, answer):
    grader = grader_of("4/project")
    first = grader.Shop(attempt, answer)
    first.ledger.effect("order-1")
    second = grader.Shop(attempt, answer)
    second.ledger.start("order-1")
    second.rush()
    assert first.effects() == ["order-1"]
    assert second.effects() == []
    assert (first.is_rushed(), second.is_rushed()) == (False, True)
