"""The learner's loop: check, watch, hint, reset, progress."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import typer

from rabbitlab import units
from rabbitlab.errors import Mendable
from rabbitlab.grading import progress as kept
from rabbitlab.units import Unit

HINTS = 3
NOT_JUDGED = ("no_cluster", "interrupted", "broken", "not_started")


def check(key: str) -> int:
    """Grade the learner's answer, note the try, and say what comes next.

    Args:
        key: A unit: ``1/ex_01``.

    Returns:
        0 when all checks passed, else 1.
    """
    unit = _graded(key)
    code, results = _grade(unit)
    if results is None:
        return code or 1
    if results.verdict not in NOT_JUDGED:
        kept.record(unit.key, results.passed, results.seconds)
    _say_what_is_next(unit, results)
    return code


def watch(poll: bool = False) -> None:
    """Grade each answer when it is saved, until Ctrl-C.

    Args:
        poll: Look at the files every half second, where file events do not arrive (network drives, Windows drives under WSL).
    """
    from watchfiles import DefaultFilter
    from watchfiles import watch as changes_in

    folder = units.ROOT / "exercises"
    typer.echo("Save an exercise and it is graded. Ctrl-C ends.")
    try:
        changes = changes_in(
            folder, watch_filter=DefaultFilter(), debounce=400, force_polling=poll or _needs_polling() or None, poll_delay_ms=500
        )
        for changed in changes:
            for unit in saved(Path(path) for _, path in changed):
                subprocess.run([sys.executable, "-m", "rabbitlab", "check", unit.key], cwd=units.ROOT)
    except KeyboardInterrupt:
        typer.echo("\nNo longer watching.")


def hint(key: str) -> None:
    """Show the next of three hints; after the third, the third again and where else to look."""
    unit = _graded(key)
    hints = _hints(unit)
    with kept.changing(unit.key) as done:
        repeated = done.hints >= len(hints)
        done.hints = min(done.hints + 1, len(hints))
        number = done.hints
    _show_hint(number, *hints[number - 1])
    if number < len(hints):
        typer.echo(f"\nThe next one: ./lab hint {unit.short}")
    else:
        also = "That was the last hint already. " if repeated else ""
        typer.echo(f"\n{also}Further help: the brief, {_shown(unit.page)}; the solution and its notebook, {_shown(unit.solution)}")


def reset(key: str, yes: bool = False) -> None:
    """Put the stub back, after asking; the learner's file or folder stays as a backup beside it.

    Args:
        key: A unit.
        yes: Do not ask.

    Raises:
        Mendable: there is no stub to put back.
    """
    unit = _graded(key)
    if not unit.pristine.exists():
        raise Mendable(f"There is no {_shown(unit.pristine)} to put back. Get it from the course's repository.")
    if _same(unit.stub, unit.pristine):
        typer.echo(f"{_shown(unit.stub)} is as the course gave it: there is nothing to put back.")
        return
    backup = _backup(unit.stub)
    if unit.stub.exists():
        if not yes:
            typer.confirm(f"Put the stub back in place of {_shown(unit.stub)}? Yours is kept as {backup.name}.", abort=True)
        unit.stub.rename(backup)
        typer.echo(f"Your answer is kept: {_shown(backup)}")
    _copy(unit.pristine, unit.stub)
    typer.echo(f"The stub is back: {_shown(unit.stub)}")


def progress() -> None:
    """Print a table of all units: what was tried, what passed, in what time, with how many hints."""
    from rich.console import Console
    from rich.table import Table

    known = kept.load()
    table = Table("unit", "", "state", "tries", "best time", "hints", box=None, pad_edge=False, header_style="bold")
    module = ""
    for unit in units.every():
        if unit.module != module:
            module = unit.module
            table.add_row("", f"[bold]{_titled(module)}[/bold]")
        table.add_row(*_row(unit, known.get(unit.key, kept.Done())))
    graded = [u for u in units.every() if u.graded]
    passed = sum(known.get(u.key, kept.Done()).passed for u in graded)
    console = Console()
    console.print(table)
    console.print(f"\n{passed} of {len(graded)} exercises and projects passed.", highlight=False)


def saved(paths: Iterable[Path]) -> list[Unit]:
    """The units whose answer, or grader, is among *paths*; backups and compiled files are none."""
    paths = [p for p in paths if p.suffix == ".py" and not any(".bak" in part or part == "__pycache__" for part in p.parts)]
    return [u for u in units.every() if u.graded and any(p in (u.stub, u.grader) or u.stub in p.parents for p in paths)]


def _graded(key: str) -> Unit:
    unit = units.find_one(key)
    if not unit.graded:
        graded = ", ".join(u.short for u in units.every(unit.module) if u.graded)
        raise Mendable(f"{unit.short} is a {unit.kind}, which is not graded. Graded in this module: {graded or 'nothing yet'}.")
    if not unit.grader.exists():
        raise Mendable(f"{unit.short} has no grader yet: {_shown(unit.grader)} is in preparation.")
    return unit


class _Keeper:
    """Keeps the results of a pytest run that is over."""

    results = None

    def pytest_unconfigure(self, config):
        grading = config.pluginmanager.get_plugin("rabbitlab-grading")
        self.results = grading.results[0] if grading and grading.results else None


def _grade(unit: Unit):
    """Run the grader in this process; returns (exit status, results or None)."""
    import pytest

    from rabbitlab.grading import plugin

    keeper = _Keeper()
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # the plugins of the notebooks and the site cost two seconds
    try:
        arguments = [str(unit.grader), "--noconftest", "-p", "no:cacheprovider", f"--rootdir={units.ROOT}"]
        code = int(pytest.main(arguments, plugins=[plugin, keeper]))
    finally:
        del os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"]
    return code, keeper.results


def _say_what_is_next(unit: Unit, results) -> None:
    if results.passed:
        following = _after(unit)
        typer.echo(f"Next: {following.short}, {_shown(following.page)}" if following else "That was the last unit of the course.")
    elif results.verdict == "not_started":
        typer.echo(f"The brief: {_shown(unit.page)}")
    elif results.verdict not in NOT_JUDGED:
        shown = kept.load().get(unit.key, kept.Done()).hints
        which = "shows the third hint again" if shown >= HINTS else f"shows hint {shown + 1} of {HINTS}"
        typer.echo(f"./lab hint {unit.short} {which}.")


def _after(unit: Unit) -> Unit | None:
    course = [found for module in units.modules() for found in _as_read(module)]
    place = course.index(unit) + 1
    return course[place] if place < len(course) else None


def _as_read(module: str) -> list[Unit]:
    """A module's units as they are read: an exercise comes behind the last lesson that leads to it; what is only looked up has no turn."""
    found = [unit for unit in units.every(module) if unit.kind != "reference"]
    lessons = [unit for unit in found if unit.kind == "lesson"]
    texts = [lesson.page.read_text(encoding="utf-8") for lesson in lessons]

    def place(unit: Unit) -> int:
        if unit in lessons:
            return lessons.index(unit)
        leading = [number for number, text in enumerate(texts) if f"exercises/{unit.stem}.md" in text]
        return leading[-1] if leading else len(lessons)

    return sorted(found, key=place)


def _hints(unit: Unit) -> list[tuple[str, str]]:
    """(heading, text) of each hint."""
    if not unit.hints.exists():
        raise Mendable(f"There are no hints for {unit.short} yet: {_shown(unit.hints)} is in preparation.")
    parts = re.split(r"(?m)^## +(.*)$", unit.hints.read_text(encoding="utf-8"))[1:]
    return list(zip(parts[::2], (text.strip() for text in parts[1::2]), strict=True))


def _show_hint(number: int, heading: str, text: str) -> None:
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console()
    console.print(f"[bold]Hint {number} of {HINTS}: {heading}[/bold]\n", highlight=False)
    console.print(Markdown(text.replace("](../../", "]("), hyperlinks=False))  # paths as seen from the course's folder


def _backup(path: Path) -> Path:
    """``ex_01.20260131-120000.bak.py``, or a folder ``project_1.20260131-120000.bak``: neither is collected by pytest nor seen by git."""
    stamp = f"{datetime.now():%Y%m%d-%H%M%S}"
    for more in ("", *(f"-{n}" for n in range(2, 100))):
        backup = path.with_name(f"{path.stem}.{stamp}{more}.bak{path.suffix}")
        if not backup.exists():
            return backup
    raise Mendable(f"There are a hundred backups of {_shown(path)} from this second. Delete some.")


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copyfile(source, target)


def _same(mine: Path, pristine: Path) -> bool:
    """True when the answer holds what the course gave, file by file."""
    return mine.exists() and _files(mine) == _files(pristine)


def _files(path: Path) -> dict[str, bytes]:
    found = [p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts] if path.is_dir() else [path]
    return {str(p.relative_to(path)): p.read_bytes() for p in found}


def _row(unit: Unit, done: kept.Done) -> tuple[str, ...]:
    name = unit.stem.replace("_", " ")
    if not unit.graded:
        return unit.short, name, "", "", "", ""
    colour = {"passed": "green", "tried": "yellow"}.get(done.state, "dim")
    best = f"{done.best:.1f} s" if done.best else ""
    hints = f"{done.hints} of {HINTS}" if done.hints else ""
    return unit.short, name, f"[{colour}]{done.state}[/{colour}]", str(done.tries or ""), best, hints


def _titled(module: str) -> str:
    """``module_1_foundations`` as a reader says it: "Module 1: foundations"."""
    _, number, name = module.split("_", 2)
    return f"Module {number}: {name.replace('_', ' ')}"


def _needs_polling() -> bool:
    """True on a Windows drive under WSL, from which no file events come."""
    version = Path("/proc/version")
    return units.ROOT.parts[1:2] == ("mnt",) and version.exists() and "microsoft" in version.read_text().lower()


def _shown(path: Path) -> str:
    return str(path.relative_to(units.ROOT)) if path.is_relative_to(units.ROOT) else str(path)
