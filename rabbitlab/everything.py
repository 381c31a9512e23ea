"""./lab test: everything that must hold before a change lands, in one run with one closing line."""

import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from rabbitlab import browsers, cluster, verify
from rabbitlab.nodes import PROFILES
from rabbitlab.units import ROOT, STATE

console = Console(highlight=False)
THE_SITE = "tests/lessons/test_site.py::test_the_whole_site_is_built_strictly_within_ten_seconds"
SIDE_BY_SIDE = ["-n", str(verify.WORKERS), "--dist", "loadfile", "tests"]
ON_THE_CLUSTER = "cluster and not browser and not restarts"
READER = ["-p", "tests.slow_reader", "--reader-pause", "200"]  # seconds, before each cell while a connection is open
PYTEST = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-o", "junit_family=xunit1", "--durations=15", "--durations-min=10"]


def run(yes: bool = False) -> int:
    """Lint, types, strict site build, restarts of the cluster, package tests, notebooks as a slow reader runs them, verify, browser tests.

    Starts the cluster with all its profiles (monitoring, TLS) where it does not run, and leaves it running.

    Args:
        yes: Install what is missing without asking.

    Returns:
        0 when nothing failed, else 1.
    """
    STATE.mkdir(exist_ok=True)
    if not cluster.is_whole(PROFILES):  # a cluster that another copy of the course has started is taken over, too
        cluster.up(yes=yes, profiles=PROFILES)
    browsers.ensure(yes=yes)
    score = _Score()
    with tempfile.TemporaryDirectory() as scratch:
        reports = Path(scratch)
        score.command("lint", ["ruff", "check", "."])
        score.command("format", ["ruff", "format", "--check", "."])
        score.command("types", ["mypy"])  # strictly, and of the patterns alone: pyproject.toml
        score.pytest("site", [THE_SITE], reports / "site.xml")  # it measures processor time, so with nothing beside it
        # Before the tests that send much: a node that starts with a long log to read is short of memory for some twenty seconds.
        score.pytest("restarts", ["-m", "restarts", "tests"], reports / "restarts.xml")
        score.pytest("tests and notebooks", ["--nbval", *READER, "-n", str(verify.WORKERS), "--deselect", THE_SITE], reports / "nbval.xml")
        score.pytest("tests on the cluster", ["-m", ON_THE_CLUSTER, *SIDE_BY_SIDE], reports / "cluster.xml")
        score.verify(reports / "verify.json", notebooks=reports / "nbval.xml")
        score.pytest("browser", ["-m", "browser", *SIDE_BY_SIDE], reports / "browser.xml")
    console.print(f"\n{score.passed} passed, {score.failed} failed")
    return 1 if score.failed or not score.passed else 0


class _Score:
    def __init__(self) -> None:
        self.passed = self.failed = 0

    def command(self, what: str, arguments: list[str]) -> None:
        """One check: a program that must end with 0."""
        with _step(what):
            done = subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT)
            self._add(1, int(done.returncode != 0))

    def pytest(self, what: str, arguments: list[str], report: Path) -> None:
        with _step(what):
            done = subprocess.run([*PYTEST, *arguments, f"--junitxml={report}"], cwd=ROOT)
            self._report(report, done.returncode)

    def verify(self, report: Path, notebooks: Path) -> None:
        import json

        with _step("verify"):
            verify.run([], json_file=str(report), notebooks=notebooks)
            proofs = json.loads(report.read_text())
            self._add(proofs["held"] + proofs["missed"], proofs["missed"])

    def _report(self, report: Path, status: int) -> None:
        """Count what pytest reports; a run that failed without a report, or ran nothing, is a failure of its own."""
        cases = list(ET.parse(report).iter("testcase")) if report.exists() else []
        failed = sum(any(part.tag in ("failure", "error") for part in case) for case in cases)
        ran = sum(not any(part.tag == "skipped" for part in case) for case in cases)
        if status != 0 and not failed:
            ran, failed = ran + 1, 1
        self._add(ran, failed)

    def _add(self, ran: int, failed: int) -> None:
        self.passed += ran - failed
        self.failed += failed
        console.print(f"{ran - failed} passed, {failed} failed", style="red" if failed else "green")


@contextmanager
def _step(what: str) -> Iterator[None]:
    began = time.monotonic()
    console.rule(f"[bold]{what}", align="left")
    yield
    console.print(f"{time.monotonic() - began:.0f} s", style="dim")
