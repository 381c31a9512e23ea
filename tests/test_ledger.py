"""The ledger finds every loss, duplicate and stranger that was planted, and nothing else; and its picture shows them."""

import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rabbitlab import ledger as module
from rabbitlab.ledger import Ledger

# What can become of one message: (what its publisher learned, where it is). All else is interleaving.
LEARNED = ("ok", "unknown", "fail", "unknown, then ok", "fail, then ok", "nothing")
WHERE = ("handled", "handled again", "dead", "ready", "nowhere", "started only")
fates = st.lists(st.tuples(st.sampled_from(LEARNED), st.sampled_from(WHERE)), max_size=30)
quick = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.jsonl"


def steps(id, learned, where) -> list[tuple[str, str]]:
    """What is written about one message, in an order that can happen."""
    publisher = [("invoke", id)]
    for n, outcome in enumerate(learned.split(", then ") if learned != "nothing" else []):
        publisher += [("invoke", id)] * (n > 0) + [(outcome, id)]
    handler = {"handled": [("start", id), ("effect", id), ("acked", id)], "started only": [("start", id)]}
    handler["handled again"] = [("start", id), ("effect", id)] + handler["handled"]
    return publisher + handler.get(where, [])


def shuffled(draw, histories) -> list[tuple[str, str]]:
    """The histories of all messages mixed, each in its own order."""
    mixed, histories = [], [list(history) for history in histories if history]
    while histories:
        chosen = draw(st.sampled_from(histories))
        mixed.append(chosen.pop(0))
        histories = [history for history in histories if history]
    return mixed


@quick
@given(fates=fates, strangers=st.integers(0, 4), data=st.data())
def test_finds_exactly_what_was_planted(path, fates, strangers, data):
    path.unlink(missing_ok=True)
    ids = {f"order-{n}": fate for n, fate in enumerate(fates)}
    foreign = [f"stranger-{n}" for n in range(strangers)]
    ledger = Ledger(path, sync=False)
    for what, id in shuffled(data.draw, [steps(id, *fate) for id, fate in ids.items()] + [[("effect", id)] for id in foreign]):
        getattr(ledger, what)(id)

    def having(learned, where):
        return {id for id, fate in ids.items() if fate[0] in learned and fate[1] in where}

    verdict = ledger.verdict(dead=having(LEARNED, ["dead"]), ready=having(LEARNED, ["ready"]))

    confirmed, gone = ["ok", "unknown, then ok", "fail, then ok"], ["nowhere", "started only"]
    assert Counter(verdict.lost) == Counter(having(confirmed, gone))
    assert Counter(verdict.unexpected) == Counter(foreign)
    assert Counter(verdict.duplicated) == Counter(having(LEARNED, ["handled again"]))
    assert Counter(verdict.recovered) == Counter(having(["unknown"], set(WHERE) - set(gone)))
    assert verdict.valid == (not verdict.lost and not verdict.unexpected)
    assert verdict.counts["sent"] == len(ids)


@quick
@given(ids=st.lists(st.text(min_size=1), unique=True, min_size=1, max_size=20), cut=st.integers(1, 60))
def test_a_line_cut_short_loses_no_other(path, ids, cut):
    """A writer is killed within a line; others write on."""
    path.unlink(missing_ok=True)
    before, after = Ledger(path, sync=False), Ledger(path, sync=False)
    for id in ids:
        before.ok(id)
    whole = path.read_bytes()
    before.ok("cut short")
    part = path.read_bytes()[: len(whole) + cut]
    finished = part.endswith(b"}") or part.endswith(b"}\n")
    path.write_bytes(part)
    assert [e.id for e in before.entries()] == ids + ["cut short"] * finished
    after.effect("later")
    assert [e.id for e in before.entries()][-1] == "later"
    assert len(before.entries()) == len(ids) + finished + 1


@pytest.mark.parametrize("rubbish", [b"\xff\xfe\n", b"[1]\n", b"null\n", b'{"at": 1}\n', b'{"at": 1, "what": "dances", "id": "x"}\n', b"{"])
def test_rubbish_is_passed_over(path, rubbish):
    ledger = Ledger(path)
    ledger.invoke(1)
    with path.open("ab") as file:
        file.write(rubbish)
    ledger.ok(1)
    assert [e.what for e in ledger.entries()] == ["invoke", "ok"]


def test_many_processes_write_to_one_path_and_one_is_killed(path):
    program = "import sys; from rabbitlab.ledger import Ledger\nledger = Ledger(sys.argv[1], sync=False)\nn = 0\nwhile True:\n"
    program += "    ledger.invoke(f'{sys.argv[2]}-{n}'); n += 1\n    if n == 300: print('!', flush=True); n < 301 or exit()\n"
    program += "    if n == 600 and sys.argv[2] != '0': break\n"
    writers = [subprocess.Popen([sys.executable, "-c", program, str(path), str(n)], stdout=subprocess.PIPE) for n in range(4)]
    for writer in writers:
        writer.stdout.readline()
    os.kill(writers[0].pid, signal.SIGKILL)
    for writer in writers:
        writer.wait()
        writer.stdout.close()
    found = Counter(e.id.partition("-")[0] for e in Ledger(path).entries())
    assert [found[str(n)] for n in (1, 2, 3)] == [600] * 3
    assert found["0"] >= 300
    assert len(path.read_bytes().split()) >= sum(found.values())


def test_a_path_is_found_where_none_is_given():
    ledger = Ledger()
    ledger.invoke("a")
    assert Ledger(ledger.path).entries() == ledger.entries()
    ledger.path.unlink()


def test_a_verdict_prints_readably(path):
    ledger = Ledger(path)
    for id in ("a", "b"):
        ledger.invoke(id)
        ledger.ok(id)
    ledger.effect("a")
    ledger.effect("a")
    assert str(ledger.verdict()).splitlines() == [
        "NOT valid: lost 1 (b), unexpected 0",
        "  sent 2, confirmed 2, refused 0, unknown 0, handled 1, dead 0, ready 0",
        "  handled more than once: 1 (a)",
    ]
    assert str(ledger.verdict(ready=["b"])).startswith("valid: lost 0, unexpected 0")


class TestTimeline:
    """What is drawn is a well-formed picture of the run, small enough for a page."""

    FAULTS = (
        SimpleNamespace(name="rabbit2 <killed> & 'gone'", began=100.0, ended=110.0),
        SimpleNamespace(name="rabbit1 paused", began=105.0, ended=None),
        SimpleNamespace(name="connections closed", began=100.0, ended=100.0),
    )

    def ledger(self, path, monkeypatch):
        ledger = Ledger(path, sync=False)
        clock = iter(range(10_000_000))
        monkeypatch.setattr(module.time, "monotonic", lambda: 100 + next(clock) / 1000)
        for n in range(3000):
            ledger.invoke(n)
            ledger.ok(n)
            for _ in range(1 + (n == 20)):
                if n not in (7, 8):
                    ledger.effect(n)
        return ledger

    def test_names_rows_and_faults_and_marks_what_was_lost_and_what_came_twice(self, path, monkeypatch):
        ledger = self.ledger(path, monkeypatch)
        timeline = ledger.timeline(self.FAULTS, title="A run")
        texts = [element.text for element in ET.fromstring(timeline.svg).iter() if element.tag.endswith("text")]
        assert {"A run", "sent", "confirmed", "handled", "handled again", "then lost"} <= {text and text.strip() for text in texts}
        assert {fault.name for fault in self.FAULTS} <= set(texts)
        assert "confirmed, then lost: 2" in str(timeline)
        assert "rabbit1 paused" in str(timeline)
        assert "lost" not in str(ledger.timeline(verdict=ledger.verdict(dead=[7], ready=["8"])))
        assert len(timeline.svg) < 60_000

    def test_is_a_picture_in_a_notebook_and_a_file(self, path, tmp_path, monkeypatch):
        timeline = self.ledger(path, monkeypatch).timeline()
        assert timeline._repr_mimebundle_()["image/svg+xml"].startswith("<svg")
        assert ET.parse(timeline.save(tmp_path / "made" / "timeline.svg")).getroot().tag.endswith("svg")
        assert "<svg" in timeline.save(tmp_path / "timeline.html").read_text()

    def test_names_of_faults_at_one_time_do_not_meet(self, path, monkeypatch):
        faults = [SimpleNamespace(name=f"fault {n}", began=101.0 + n / 100, ended=101.1 + n) for n in range(4)]
        svg = ET.fromstring(self.ledger(path, monkeypatch).timeline(faults).svg)
        lines = [element.get("y") for element in svg.iter() if element.tag.endswith("text") and element.text.startswith("fault ")]
        assert len(set(lines)) == 4

    def test_an_empty_ledger_has_a_picture(self, path):
        ET.fromstring(Ledger(path).timeline().svg)
