"""Prove every unit on the live cluster: the lesson runs and shows what was recorded, the solution passes, the stub fails as "not started",
and each wrong answer fails on its own check with its own feedback.

A course can rot in each of these ways without anybody noticing; this is where it is noticed.
"""

import ast
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from rabbitlab import cluster, units
from rabbitlab.errors import Mendable
from rabbitlab.units import ROOT, Unit

WORKERS = max(2, (os.cpu_count() or 2))  # notebooks and tests at a time
GRADINGS = WORKERS + 1  # at a time: one of them waits for RabbitMQ, or for its turn on the cluster
GRADED_WITHIN = 900  # seconds: one answer
RUN_WITHIN = 1800  # seconds: all notebooks
ENDED_WITHIN = 60  # seconds: a pytest that was interrupted
_PERCENT = re.compile(r"\[ *(\d+)%\]")  # in each line of a pytest that is not quiet


@dataclass(frozen=True)
class Proof:
    """One thing that was shown about a unit.

    Attributes:
        unit: Its key.
        what: ``notebook``, ``fresh``, ``solution``, ``stub`` or ``wrong answer <name>``.
        ok: Whether it held.
        saw: What was seen where it did not.
        seconds: How long it took.
    """

    unit: str
    what: str
    ok: bool
    saw: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Mistake:
    """What a wrong answer says of itself, in its docstring: the check that it must fail and a piece of the feedback it must get."""

    fails: str
    says: str


def mistake(path: Path) -> Mistake:
    """Read the two promises of the wrong answer at *path*.

    Raises:
        Mendable: where one is missing.
    """
    file = path / "__init__.py" if path.is_dir() else path
    lines = (_docstring(file) or "").splitlines()
    said = {}
    for line in lines:
        name, _, text = line.strip().partition(":")
        if name in ("Fails", "Says"):
            said[name] = text.strip()
    if not said.get("Fails") or not said.get("Says"):
        raise Mendable(f"{file.relative_to(ROOT)} must say in its docstring which check it Fails: and what the feedback Says:.")
    return Mistake(said["Fails"], said["Says"])


def run(keys: Iterable[str], json_file: str | None = None, notebooks: Path | None = None) -> int:
    """Prove the units that *keys* name, all when there are none; print a table and a score.

    Args:
        keys: Keys, shortened keys or module numbers.
        json_file: Where to write the proofs, too.
        notebooks: A JUnit file of a ``pytest --nbval`` that has run them already, so that none is run twice.

    Returns:
        0 when everything held, else 1.
    """
    if not cluster.is_running():
        raise Mendable(cluster.NOT_RUNNING)
    chosen = [unit for key in (list(keys) or [""]) for unit in units.find(key)]
    chosen = [unit for unit in dict.fromkeys(chosen) if unit.kind != "quiz"]
    proofs = _prove(chosen, notebooks)
    if json_file:
        held = sum(p.ok for p in proofs)
        report = {"held": held, "missed": len(proofs) - held, "proofs": [asdict(p) for p in proofs]}
        Path(json_file).write_text(json.dumps(report, indent=2) + "\n")
    _print(chosen, proofs)
    return 0 if proofs and all(p.ok for p in proofs) else 1


def tasks(unit: Unit) -> list[tuple[str, Callable[[], Proof]]]:
    """What a grader must say of the unit's solution, its stub and each wrong answer, as calls to make in any order."""
    todo = [("solution", lambda: _solution(unit)), ("stub", lambda: _stub(unit))]
    todo += [(f"wrong answer {path.stem}", lambda path=path: _wrong(unit, path)) for path in unit.wrong_answers]
    return todo


def grade(unit: Unit, answer: Path) -> dict:
    """Mark *answer* with the unit's grader, in a process of its own.

    Returns:
        What the grader wrote as JSON: ``verdict``, ``passed``, ``checks``, ``seconds``.
    """
    with tempfile.TemporaryDirectory() as scratch:
        results = Path(scratch) / "results.json"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "rabbitlab.grading.plugin", "-p", "no:cacheprovider"]
        command += [str(unit.grader), "--answer", str(answer), "--results", str(results)]
        environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        try:
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=GRADED_WITHIN)
        except subprocess.TimeoutExpired:
            return _broken(f"no end within {GRADED_WITHIN} s")
        return json.loads(results.read_text()) if results.exists() else _broken(done.stdout[-2000:] + done.stderr[-2000:])


def _broken(output: str) -> dict:
    """What is told of a grader that said nothing of the answer."""
    return {"verdict": "grader broken", "passed": False, "checks": [], "output": output}


def _prove(chosen: list[Unit], notebooks: Path | None) -> list[Proof]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from rabbitlab import lessons

    todo = {unit: [call for _, call in tasks(unit)] for unit in chosen if unit.graded}
    with_notebook = [unit for unit in chosen if unit.source.exists()]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    proofs: list[Proof] = []
    with Progress(*columns, transient=True) as progress:
        bar = progress.add_task("verify", total=sum(map(len, todo.values())) + 2 * len(with_notebook))
        proofs += [_fresh(unit, lessons) for unit in with_notebook]
        progress.advance(bar, len(with_notebook))
        progress.update(bar, description="notebooks")
        begun = len(with_notebook)
        proofs += _notebooks(with_notebook, notebooks, lambda part: progress.update(bar, completed=begun + int(part * begun)))
        progress.update(bar, completed=2 * begun)
        for unit, proof in _graded(todo):
            progress.update(bar, advance=1, description=unit.short)
            proofs.append(proof)
    return proofs


def _graded(todo: dict[Unit, list[Callable[[], Proof]]]) -> Iterator[tuple[Unit, Proof]]:
    """Make the calls, several at a time, each of another unit as long as there are some: gradings of one unit may wait for each other."""
    running: dict[Future, Unit] = {}
    with ThreadPoolExecutor(GRADINGS) as pool:
        while running or any(todo.values()):
            left = [unit for unit in todo if todo[unit]]
            others = [unit for unit in left if unit not in running.values()]
            if left and len(running) < GRADINGS and (others or set(left) == set(running.values())):
                unit = max(others or left, key=lambda unit: len(todo[unit]))
                running[pool.submit(todo[unit].pop(0))] = unit
                continue
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(done), done.result()


def _fresh(unit: Unit, lessons) -> Proof:
    problems = lessons.differences(unit)
    return Proof(unit.key, "fresh", not problems, "; ".join(problems))


def _notebooks(chosen: list[Unit], junit: Path | None, far: Callable[[float], None] = lambda part: None) -> list[Proof]:
    """Run the notebooks once, all together, and read the result of each from pytest's own report; *far* as in :func:`run_notebooks`."""
    missing = [Proof(u.key, "notebook", False, f"there is no {u.notebook.relative_to(ROOT)}") for u in chosen if not u.notebook.exists()]
    present = [u for u in chosen if u.notebook.exists()]
    if not present:
        return missing
    with tempfile.TemporaryDirectory() as scratch:
        if junit is None:
            junit = Path(scratch) / "notebooks.xml"
            run_notebooks([u.notebook for u in present], far, junit)
        return missing + [_from_junit(unit, junit) for unit in present]


def run_notebooks(paths: Iterable[Path], far: Callable[[float], None], junit: Path | None = None) -> int:
    """Validate notebooks: ``pytest --nbval``, several at a time.

    One that takes more than :data:`RUN_WITHIN` is interrupted: then its report says how far it came.

    Args:
        paths: The notebooks.
        far: Given the part of the cells that has been run, from 0 to 1, as it grows.
        junit: Where pytest writes its report, if anywhere.

    Returns:
        pytest's exit status: 0 when every cell gave what is recorded.
    """
    paths = list(paths)
    command = [sys.executable, "-m", "pytest", "-v", "--nbval", "-p", "no:cacheprovider"]
    command += ["-n", str(WORKERS)] if len(paths) > 1 else []  # workers take seconds to start
    command += [f"--junitxml={junit}"] if junit else []
    with subprocess.Popen(
        [*command, *map(str, paths)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace"
    ) as running:
        interrupt = threading.Timer(RUN_WITHIN, running.send_signal, [signal.SIGINT])
        kill = threading.Timer(RUN_WITHIN + ENDED_WITHIN, running.kill)
        try:
            for timer in (interrupt, kill):
                timer.start()
            for line in running.stdout:
                if told := _PERCENT.search(line):
                    far(int(told[1]) / 100)
            return running.wait()
        finally:
            for timer in (interrupt, kill):
                timer.cancel()
            running.kill()


def _from_junit(unit: Unit, junit: Path) -> Proof:
    cases = [case for case in _cases(junit) if unit.key in (case.get("classname") or "").replace(".", "/")]
    seconds = sum(float(case.get("time") or 0) for case in cases)
    if not cases:
        return Proof(unit.key, "notebook", False, "none of its cells was run")
    failed = [f"{case.get('name')}: {_message(case)}" for case in cases if len(case) and case[0].tag in ("failure", "error", "skipped")]
    cells = [cell for cell in json.loads(unit.notebook.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    if (ran := len({case.get("name") for case in cases})) < len(cells):
        failed.append(f"{ran} of its {len(cells)} cells were run")
    return Proof(unit.key, "notebook", not failed, "\n".join(failed), seconds)


def _cases(junit: Path) -> Iterable[ET.Element]:
    return ET.parse(junit).iter("testcase") if junit.exists() else ()


def _message(case: ET.Element) -> str:
    """What differs; the colours that nbval adds, and the cell's source, which the page shows, are left out."""
    text = re.sub(r"(\x1b|#x1B)\[\d+m", "", case[0].text or case[0].get("message") or "")
    return text.partition("Traceback:")[2].strip()[:2000] or text.strip()[-2000:]


def _solution(unit: Unit) -> Proof:
    return _marked(unit, "solution", unit.solution, lambda got: "" if got["passed"] else f"it was refused: {_first_feedback(got)}")


def _stub(unit: Unit) -> Proof:
    return _marked(unit, "stub", unit.pristine, lambda got: "" if got["verdict"] == "not_started" else f"read as {got['verdict']}")


@contextmanager
def whole(unit: Unit, path: Path) -> Iterator[Path]:
    """The wrong answer at *path* as a learner would have it: of a project, it holds only what differs from the solution."""
    if not path.is_dir():
        yield path
        return
    with tempfile.TemporaryDirectory() as scratch:
        laid_out = Path(scratch) / path.name
        for folder in (unit.solution, path):
            shutil.copytree(folder, laid_out, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        yield laid_out


def _wrong(unit: Unit, path: Path) -> Proof:
    promise = mistake(path)

    def judge(got: dict) -> str:
        failed = [check for check in got["checks"] if check["outcome"] == "failed"]
        if got.get("broken"):
            return "the check itself stumbled: " + " ".join(got["broken"].splitlines()[-8:])
        if got["passed"] or not failed:
            return "the grader accepted it" if got["passed"] else f"read as {got['verdict']}: {got.get('output', '')}"
        if failed[0]["name"] != promise.fails:
            return f"it failed {failed[0]['name']} first, not {promise.fails}: {_first_feedback(got)}"
        text = " ".join(failed[0]["feedback"].split())
        return "" if promise.says in text else f"the feedback does not say {promise.says!r}: {text}"

    with whole(unit, path) as answer:
        return _marked(unit, f"wrong answer {path.stem}", answer, judge)


def _marked(unit: Unit, what: str, answer: Path, judge: Callable[[dict], str]) -> Proof:
    if not answer.exists():
        return Proof(unit.key, what, False, f"there is no {answer.relative_to(ROOT)}")
    began = time.monotonic()
    saw = judge(grade(unit, answer))
    return Proof(unit.key, what, not saw, saw, round(time.monotonic() - began, 2))


def _first_feedback(got: dict) -> str:
    for check in got["checks"]:
        if check["outcome"] == "failed":
            return f"{check['name']}: {check['feedback'] or got['broken']}"
    return got.get("output", got["verdict"])


def _docstring(file: Path) -> str | None:
    """The first string of a file, also of one that is not valid Python (a wrong answer may be a syntax error)."""
    text = file.read_text()
    try:
        return ast.get_docstring(ast.parse(text))
    except SyntaxError:
        return text.split('"""')[1] if text.count('"""') >= 2 else None


def _print(chosen: list[Unit], proofs: list[Proof]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("unit", "notebook", "solution", "stub", "wrong answers", "seconds", box=None, pad_edge=False, header_style="bold")
    for unit in chosen:
        mine = [p for p in proofs if p.unit == unit.key]
        wrong = [p for p in mine if p.what.startswith("wrong")]
        table.add_row(
            unit.short,
            _mark([p for p in mine if p.what in ("notebook", "fresh")]),
            _mark([p for p in mine if p.what == "solution"]),
            _mark([p for p in mine if p.what == "stub"]),
            f"{sum(p.ok for p in wrong)} of {len(wrong)} refused" if wrong else "",
            f"{sum(p.seconds for p in mine):.1f}",
        )
    console = Console()
    console.print(table)
    for proof in proofs:
        if not proof.ok:
            console.print(Text(f"\n{proof.unit}: {proof.what}\n", style="bold red"), Text(proof.saw), sep="")
    held = sum(p.ok for p in proofs)
    console.print(f"\n{held} of {len(proofs)} held" + ("" if held == len(proofs) else f"; {len(proofs) - held} missed"), highlight=False)


def _mark(proofs: list[Proof]) -> str:
    if not proofs:
        return ""
    return "[green]yes[/green]" if all(p.ok for p in proofs) else "[red]no[/red]"
