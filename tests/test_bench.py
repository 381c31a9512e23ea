"""The bench: what it makes of figures, and its contenders on the cluster for a moment."""

import json
import re
import xml.etree.ElementTree as ET

import pytest

from rabbitlab import bench, lock
from rabbitlab.bench import charts, rounds, screen, timings
from rabbitlab.bench.contenders import ALL, LIMIT, TARGETS, Contender
from rabbitlab.bench.report import Report
from rabbitlab.bench.timings import EVERY, FLOOR
from rabbitlab.errors import Mendable
from rabbitlab.units import ROOT

FAST = {LIMIT: 10_000.0, "publish_patterns": 8_000.0, "publish_select": 8_000.0, "consume_patterns": 9_000.0, "consume_usual": 3_000.0}


def report(**more: list[float]) -> Report:
    """Three rounds in which every target is met, unless *more* says otherwise."""
    rates = {contender.name: [FAST.get(contender.name, 400.0)] * 3 for contender in ALL}
    return Report(rates | more, {FLOOR: [0.5, 0.4, 0.5], "grading 1/ex_01": [5.0, 4.0, 6.0], EVERY: [400.0]}, 3, 2.0)


class TestReport:
    def test_each_target_says_whether_it_is_met_and_by_how_much(self):
        told = [str(judged) for judged in report().judged]
        assert told[0] == "publisher: 80% of the limit, 60% wanted: met by 33%; stretch 75%: met by 7%"
        assert told[2] == "publisher: 20.0 times a confirm after each, 12 wanted: met by 67%"
        missed = report(publish_patterns=[5_000.0] * 3)
        assert str(missed.judged[0]).startswith("publisher: 50% of the limit, 60% wanted: missed by 17%")
        assert not missed.met
        assert report().met

    def test_ratios_are_those_within_a_round(self):
        """A neighbour that takes the machine for a round slows both, and must not decide."""
        found = report(**{LIMIT: [10_000.0, 1_000.0, 12_000.0], "publish_patterns": [7_000.0, 700.0, 8_400.0]})
        assert found.ratios("publish_patterns") == pytest.approx([0.7, 0.7, 0.7])

    def test_the_file_holds_every_round_and_what_it_was_measured_on(self, tmp_path, monkeypatch):
        monkeypatch.setattr("rabbitlab.broker.version", lambda: "4.3.6")
        path = tmp_path / "made" / "bench.json"
        report().save(path)
        told = json.loads(path.read_text())
        assert told["messages_per_second"]["publish_patterns"]["rounds"] == [8_000.0] * 3
        assert told["messages_per_second"]["publish_patterns"]["ratios"]["median"] == 0.8
        assert told["versions"]["RabbitMQ"] == "4.3.6"
        assert told["timings"]["grading 1/ex_01"]["median"] == 5.0
        assert told["timings"]["grading 1/ex_01"]["multiples"]["median"] == 10.0
        assert told["timings"][EVERY]["multiples"]["median"] == 800.0  # it was timed once
        assert [target["met"] for target in told["targets"]] == [True] * len(TARGETS)

    def test_the_screen_shows_every_contender_and_target(self, capsys):
        screen.show(report(consume_patterns=[3_100.0] * 3))
        shown = capsys.readouterr().out
        assert all(contender.title in shown for contender in ALL)
        assert shown.count("met     ") == len(TARGETS) - 1
        assert "MISSED  consumer: 1.0 times the usual loop" in shown
        assert re.search(r"grading 1/ex_01 +4\.0 +5\.0 +6\.0 +10\.0\n", shown)

    def test_the_chart_names_every_contender_and_timing(self, tmp_path):
        path = tmp_path / "bench.svg"
        charts.draw(report(), path)
        ET.parse(path)
        assert all(f"<!-- {contender.title} -->" in path.read_text() for contender in ALL)
        assert f"<!-- {EVERY} -->" in path.read_text()


class TestContenders:
    def test_each_is_a_program_and_is_explained(self):
        explained = (ROOT / "benchmarks" / "README.md").read_text()
        for contender in ALL:
            assert (ROOT / "benchmarks" / f"{contender.name}.py").exists()
            assert f"`{contender.name}`" in explained

    @pytest.mark.cluster
    @pytest.mark.parametrize(
        "contender", [one for one in ALL if one.name in (LIMIT, "publish_patterns", "consume_patterns")], ids=lambda one: one.name
    )
    def test_what_it_tells_is_what_the_queue_holds(self, contender):
        assert rounds._rate(contender, seconds=0.2, consumed=200) > 0

    @pytest.mark.cluster
    def test_one_that_tells_more_than_the_queue_holds_is_no_fast_one(self, monkeypatch):
        told = rounds.told
        monkeypatch.setattr(rounds, "told", lambda *task, **more: told(*task, **more) | {"messages": 10**9})
        monkeypatch.setattr(rounds, "ARRIVED_WITHIN", 1)
        with pytest.raises(Mendable, match="another number than the queue holds"):
            rounds._rate(Contender(LIMIT, "boaster"), seconds=0.1, consumed=0)

    @pytest.mark.cluster
    def test_one_that_fails_says_why(self, monkeypatch):
        monkeypatch.setattr(rounds, "QUEUE", "")
        with pytest.raises(Mendable, match=r"benchmarks/publish_select.py failed: "):
            rounds.told("publish_select", type("Place", (), {"name": "nowhere", "password": "x"})(), seconds=0.1)


class TestTurns:
    def test_what_is_measured_has_the_cluster_to_itself_and_notebooks_take_their_own_turns(self, monkeypatch):
        """Under a turn of ours they would have none among themselves, and one that kills a node would run beside the others."""
        turns = []

        def seen(*_):
            turns.append(lock.turn_here())
            return {contender.name: [1.0] for contender in ALL}

        monkeypatch.setattr("rabbitlab.cluster.is_running", lambda: True)
        monkeypatch.setattr("rabbitlab.healing.before_use", lambda say: None)
        monkeypatch.setattr(rounds, "play", seen)
        monkeypatch.setattr(timings, "tasks", lambda everything: {FLOOR: lambda: seen() and 1.0})
        monkeypatch.setattr("rabbitlab.verify.run_notebooks", lambda paths, far: seen() and 0)
        bench.run(rounds=1, everything=True)
        assert turns == ["exclusive", "exclusive", ""]
