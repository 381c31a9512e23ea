"""What a grader loads into Prometheus is gone afterwards, however it ends; and what Prometheus says against it can be read."""

import re
import signal
import subprocess
import sys
import time

import pytest

from rabbitlab import cluster
from rabbitlab.errors import Mendable
from rabbitlab.grading import prometheus
from rabbitlab.grading.prometheus import FOLDER, Prometheus, wait_for
from rabbitlab.units import ROOT, find_one
from tests import needs

SCRAPE = "scrape_configs:\n  - job_name: nobody\n    static_configs:\n      - targets: [rabbit1:15692]\n"
RULES = "groups:\n  - name: nobody\n    rules:\n      - alert: NobodyElseUsesThisName\n        expr: vector(1)\n"


def test_what_prometheus_says_is_one_line_without_our_paths():
    file = "/etc/prometheus/yours/x.candidate"
    said = f"Checking {file}\n  FAILED:\n{file}: 4:17: \x1b[1mparse error\x1b[0m: unclosed\n"
    assert prometheus._in_one_line(said) == "4:17: parse error: unclosed"


def test_times_of_prometheus_have_nanoseconds():
    assert prometheus._unix("2026-11-22T01:00:00.123456789Z") == pytest.approx(1795309200.123456)


def test_a_prometheus_that_is_not_there_is_mendable(monkeypatch):
    monkeypatch.setattr(prometheus, "PROMETHEUS_PORT", 1)
    monkeypatch.setattr("rabbitlab.containers.state", lambda service: "missing")
    with pytest.raises(Mendable, match=r"\./lab up --monitoring"):
        Prometheus("test")


class Paused:
    """A container that can be paused; *interrupted* as soon as it is."""

    def __init__(self, interrupted=False):
        self.status, self._interrupted = "running", interrupted

    def pause(self):
        self.status = "paused"
        if self._interrupted:
            raise KeyboardInterrupt

    def unpause(self):
        assert self.status == "paused", "Docker refuses that"
        self.status = "running"


@pytest.fixture
def pausing(monkeypatch):
    """Let a Prometheus be this container."""

    def be(container: Paused) -> Prometheus:
        monkeypatch.setattr("rabbitlab.containers.of", lambda service: container)
        monkeypatch.setattr("rabbitlab.containers.state", lambda service: container.status)
        return object.__new__(Prometheus)  # without a look at one that runs

    return be


def test_it_goes_on_when_the_pause_itself_is_interrupted(pausing):
    container = Paused(interrupted=True)
    with pytest.raises(KeyboardInterrupt), pausing(container).looking_away():
        pytest.fail("the body ran")
    assert container.status == "running"


def test_whoever_lets_it_go_on_first_does_no_harm(pausing):
    container = Paused()
    with pausing(container).looking_away():
        container.unpause()
    assert container.status == "running"


@pytest.fixture
def mine():
    try:
        found = Prometheus("test")
    except Mendable as mendable:
        needs.missing(str(mendable))
    yield found
    found.close()


def files() -> list[str]:
    return sorted(file.name for file in FOLDER.glob("*") if file.name.startswith(("test.", "ex_03.")))


@pytest.mark.cluster
@pytest.mark.faults  # one Prometheus for all: nobody else may load anything meanwhile
class TestLive:
    def test_a_rule_is_loaded_told_and_gone(self, mine):
        assert mine.load(SCRAPE, RULES) == ""
        assert wait_for(lambda: mine.told("NobodyElseUsesThisName"), within=10)
        mine.close()
        assert files() == []
        assert mine.told("NobodyElseUsesThisName") == []  # although Alertmanager may keep it for a while

    def test_broken_files_are_complained_of_and_not_loaded(self, mine):
        assert "unclosed left parenthesis" in mine.complaint("rules", RULES.replace("vector(1)", "vector(1"))
        assert "yaml" in mine.complaint("config", SCRAPE.replace("    static", "   static"))
        assert mine.complaint("config", SCRAPE) == mine.complaint("rules", RULES) == ""
        assert "found multiple scrape configs" in mine.load(SCRAPE.replace("nobody", "rabbitmq"), RULES)
        assert files() == []

    def test_an_alert_of_the_same_name_in_another_file_is_named(self, mine):
        with Prometheus("test.other") as other:
            other.load(SCRAPE.replace("nobody", "other"), RULES.replace("name: nobody", "name: other"))
            with pytest.raises(Mendable, match=r"test\.other\.rules\.yml"):
                mine.load(SCRAPE, RULES)

    def test_another_copy_of_the_course_is_told_that_its_files_are_not_read(self, mine, monkeypatch, tmp_path):
        monkeypatch.setattr(cluster, "ROOT", tmp_path)
        with pytest.raises(Mendable, match=rf"another copy of the course \({re.escape(str(ROOT))}\).*\./lab up --monitoring"):
            Prometheus.need()

    def test_it_sees_nothing_while_it_looks_away_and_a_killed_run_does_not_keep_it_so(self, mine):
        from rabbitlab import containers

        with mine.looking_away():
            assert containers.state("prometheus") == "paused"
            Prometheus.need()
            assert containers.state("prometheus") == "running"
            containers.of("prometheus").pause()
        assert containers.state("prometheus") == "running"


@pytest.mark.cluster
@pytest.mark.faults  # the grading inherits this test's turn
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_grading_leaves_nothing_in_prometheus(mine, number):
    unit = find_one("4/ex_03")
    command = [sys.executable, "-m", "pytest", "-q", str(unit.grader), "--answer", str(unit.solution), "-p", "no:cacheprovider"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as grading:
        end = time.monotonic() + 120
        while not (FOLDER / "ex_03.rules.yml").exists() and grading.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        assert grading.poll() is None, grading.stdout.read()
        grading.send_signal(number)
        said = grading.communicate(timeout=60)[0]
    assert "Interrupted" in said
    assert not (FOLDER / "ex_03.rules.yml").exists()
