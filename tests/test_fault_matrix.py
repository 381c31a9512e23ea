"""The fault matrix: what it measures, what it calls lost, and some of its rows on the cluster. All of them: ``./lab faults``."""

import os

import pytest

from rabbitlab import matrix
from rabbitlab.errors import Mendable
from rabbitlab.ledger import DONE, SENT, Ledger
from rabbitlab.matrix import report, results
from rabbitlab.matrix.judging import HELD, INFRASTRUCTURE, MISSED, UNSAFE
from rabbitlab.matrix.row import ROWS
from rabbitlab.matrix.watch import Watch, longest_gap

# One run each, with few messages: what a change of the patterns breaks first. FAULT_ROWS="cut-off partition" or "all" asks for others.
CORE = ("connections-closed", "lost-confirm", "kill-leader", "sigterm")
MESSAGES = 600
ASKED = os.environ.get("FAULT_ROWS", "").split()
CHOSEN = [row.name for row in matrix.chosen([] if ASKED == ["all"] else ASKED or list(CORE))]
HEADS = {"row": "kill-leader", "programs": "patterns", "limit": 10, "missed": [], "examples": {}}


def result(verdict: str = HELD, **more) -> dict:
    """As a run would save it."""
    return {**HEADS, "lost": 0, "unexpected": 0, "duplicated": 0, "gap": 1.0, "verdict": verdict, **more}


class TestRows:
    @pytest.mark.cluster
    @pytest.mark.faults
    @pytest.mark.parametrize("name", CHOSEN)
    def test_the_patterns_keep_their_promises(self, name):
        found = matrix.play(ROWS[name], messages=MESSAGES, say=print)
        if found["verdict"] == INFRASTRUCTURE:  # it says nothing about the programs: once more, as ./lab faults does
            found = matrix.play(ROWS[name], messages=MESSAGES, say=print)
        assert found["verdict"] == HELD, found.get("error") or found["missed"] or found["examples"]

    @pytest.mark.cluster
    @pytest.mark.faults
    def test_what_careless_programs_lose_is_seen(self):
        # A row in which they lose at every run: where connections are closed, they are lucky now and then.
        found = matrix.play(ROWS["queue-deleted"], programs="careless", messages=MESSAGES, say=print)
        assert found["verdict"] == UNSAFE
        assert found["lost"]
        assert (matrix.ROOT / found["timeline"]).exists()

    def test_there_is_a_row_for_each_fault(self):
        assert len(ROWS) == 21
        assert all(row.play.__doc__ for row in ROWS.values())

    def test_an_unknown_row_is_answered_with_those_that_there_are(self):
        with pytest.raises(Mendable, match="kill-leader"):
            matrix.chosen(["kill-all"])


class TestGap:
    def test_it_is_the_longest_one_that_reaches_into_the_span(self):
        moments = [0.0, 4.0, 5.0, 7.0, 7.5]
        assert longest_gap(moments, began=1.0, until=7.0) == (4.0, 0.0)  # it began before the fault, and went on into it
        assert longest_gap(moments, began=4.5, until=7.0) == (2.0, 5.0)

    def test_one_that_never_ends_lasts_until_the_last_message_was_sent(self):
        assert longest_gap([0.0, 1.0], began=0.5, until=31.0) == (30.0, 1.0)
        assert longest_gap([], began=0.5, until=31.0) == (30.5, 0.5)


class TestWatch:
    def test_it_reads_what_is_new_and_waits_for_the_end_of_a_line(self, tmp_path):
        ledger = Ledger(tmp_path / "ledger.jsonl", sync=False)
        watch = Watch(ledger.path)
        ledger.invoke("1")
        assert watch.look().number(SENT) == 1
        with ledger.path.open("a") as file:
            file.write('{"at": 5.0, "what": "eff')
            file.flush()
            assert watch.look().number(DONE) == 0
            file.write('ect", "id": "1"}\n')
        assert watch.look().moments(DONE) == [5.0]
        assert watch.number(SENT) == 1

    def test_it_knows_what_is_open_and_what_has_not_arrived(self, tmp_path):
        ledger = Ledger(tmp_path / "ledger.jsonl", sync=False)
        for id in "abc":
            ledger.invoke(id)
        ledger.ok("a")
        ledger.unknown("b")
        watch = Watch(ledger.path).look()
        assert watch.open() == ["c"]
        assert watch.not_arrived() == ["a"]


class TestSeries:
    @pytest.fixture
    def played(self, monkeypatch):
        """The runs that were made; each comes out as the first of ``outcomes`` says."""
        runs, outcomes = [], []

        def play(row, number, seed, programs, say):
            runs.append((row.name, number, seed))
            return {**result(outcomes.pop(0) if outcomes else HELD), "row": row.name, "programs": programs}

        monkeypatch.setattr(matrix, "play", play)
        monkeypatch.setattr(matrix.cluster, "is_running", lambda: True)
        monkeypatch.setattr(matrix.healing, "put_right", lambda say: [])
        play.runs, play.outcomes = runs, outcomes
        return play

    def test_it_goes_on_where_it_ended(self, played, tmp_path):
        file = tmp_path / "results" / "faults.jsonl"
        assert matrix.run(["poison", "crash"], runs=2, file=file, seed=7) == 0
        assert played.runs == [("poison", 0, 7), ("poison", 1, 8), ("crash", 0, 7), ("crash", 1, 8)]
        with file.open("a") as half:
            half.write('{"row": "poison", "verd')
        assert matrix.run(["poison", "crash"], runs=3, file=file, seed=7) == 0
        assert played.runs[4:] == [("poison", 2, 9), ("crash", 2, 9)]

    def test_without_a_number_each_row_is_played_once_more(self, played, tmp_path):
        for _ in range(2):
            matrix.run(["poison"], file=tmp_path / "faults.jsonl")
        assert [number for _, number, _ in played.runs] == [0, 1]

    def test_what_was_lost_is_never_tried_again(self, played, tmp_path):
        played.outcomes += [UNSAFE]
        assert matrix.run(["poison"], runs=1, file=tmp_path / "faults.jsonl") == 1
        assert len(played.runs) == 1
        assert matrix.run(["poison"], runs=1, file=tmp_path / "faults.jsonl") == 1

    def test_a_cluster_that_fails_is_reported_and_tried_once_more(self, played, tmp_path):
        played.outcomes += [INFRASTRUCTURE, HELD, INFRASTRUCTURE, INFRASTRUCTURE]
        assert matrix.run(["poison"], runs=1, file=tmp_path / "faults.jsonl") == 0
        assert [one["verdict"] for one in results.read(tmp_path / "faults.jsonl")] == [INFRASTRUCTURE, HELD]
        assert matrix.run(["crash"], runs=1, file=tmp_path / "faults.jsonl") == 1
        assert len(played.runs) == 4

    def test_several_runs_are_one_line_with_the_worst_verdict(self):
        runs = [result(lost=1, verdict=UNSAFE), result(MISSED, gap=12.0, duplicated=3), result(duplicated=4)]
        assert results.summed(runs) == {
            "runs": 3,
            "lost": 1,
            "unexpected": 0,
            "duplicated": 7,
            "gap": 12.0,
            "limit": 10,
            "verdict": UNSAFE,
        }

    def test_the_page_names_each_miss_and_what_was_missed(self, played, tmp_path, monkeypatch):
        monkeypatch.setattr(report, "machine", lambda: "a machine")
        runs = [
            result(sent=3000, at="2026-01-31 10:00:00"),
            result(MISSED, sent=3100, gap=12.5, at="2026-02-01 09:00:00", missed=["too late"]),
        ]
        report.write(tmp_path / "table.md", [ROWS["kill-leader"], ROWS["poison"]], runs, "patterns")
        assert (tmp_path / "table.md").read_text().splitlines()[2:] == [
            "| leader killed | 2 | 6,100 | 0 | 0 | 0 | 12.5 s | 10 s | 1 of 2 |",
            "",
            "2 runs, 2026-01-31 to 2026-02-01; a machine.",
            "Of these, 1 did not hold:",
            "",
            "- leader killed, 2026-02-01 09:00:00: too late",
        ]

    def test_the_table_shows_each_row_that_was_played(self, played, tmp_path, capsys):
        played.outcomes += [HELD, MISSED]
        matrix.run(["poison", "crash"], file=tmp_path / "faults.jsonl")
        shown = capsys.readouterr().out
        assert [line.split()[-1] for line in shown.splitlines() if line.startswith(("poison  ", "crash  "))] == [HELD, MISSED]
