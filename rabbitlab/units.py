"""One name finds everything: the units of the course and the files each of them has.

A unit's key is its module folder and its file stem, ``module_1_foundations/ex_01_first_producer``. On the command line it may be
shortened to what is unique: ``1/ex_01``, ``1/project``, ``1/01``; a bare number is the whole module.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".lab"  # certificates, progress, what runs: ignored by git


class UnknownUnit(LookupError):
    """No unit, or more than one, has this name."""


@dataclass(frozen=True)
class Unit:
    """A lesson, a reference page beside a lesson, an exercise, a project or a quiz.

    Attributes:
        module: ``module_1_foundations``.
        stem: ``ex_01_first_producer``.
    """

    module: str
    stem: str

    @property
    def key(self) -> str:
        return f"{self.module}/{self.stem}"

    @property
    def short(self) -> str:
        """The shortest handy name: ``1/ex_01``, ``1/project``, ``1/04``, ``4/reference_01``."""
        first = self.stem.split("_")[0]
        handy = f"{first}_{self.stem.split('_')[1]}" if first in ("ex", "reference") else first
        return f"{self.module.split('_')[1]}/{handy}"

    @property
    def kind(self) -> str:
        """``lesson``, ``reference``, ``exercise``, ``project`` or ``quiz``."""
        kinds = {"ex": "exercise", "project": "project", "quiz": "quiz", "reference": "reference"}
        return kinds.get(self.stem.split("_")[0], "lesson")

    @property
    def shows_outputs(self) -> bool:
        """Whether the page itself is what is run and recorded: a lesson, or the reference page that takes what a lesson has no room for."""
        return self.kind in ("lesson", "reference")

    @property
    def graded(self) -> bool:
        return self.kind in ("exercise", "project")

    @cached_property
    def page(self) -> Path:
        """What a reader reads: the lesson, the brief, the quiz."""
        folder = ROOT / "docs" / self.module
        return (folder / "exercises" if self.kind == "exercise" else folder) / f"{self.stem}.md"

    @property
    def notebook(self) -> Path:
        """The lesson to run, or the walkthrough that proves the solution."""
        return ROOT / ("solutions" if self.graded else "notebooks") / self.module / f"{self.stem}.ipynb"

    @property
    def source(self) -> Path:
        """The Markdown that the notebook is made from."""
        return self.notebook.with_suffix(".md") if self.graded else self.page

    @property
    def stub(self) -> Path:
        """The learner's file; for a project, the folder of its package."""
        return self._code("exercises")

    @property
    def pristine(self) -> Path:
        """The stub as the course gives it, whatever the learner has made of theirs."""
        return self._code("exercises/.pristine")

    @property
    def solution(self) -> Path:
        return self._code("solutions")

    @property
    def grader(self) -> Path:
        return ROOT / "exercises" / self.module / f"test_{self.stem}.py"

    @property
    def hints(self) -> Path:
        """Three hints, each under a ``##`` heading."""
        return ROOT / "exercises" / self.module / f"{self.stem}.hints.md"

    @property
    def wrong_answers(self) -> list[Path]:
        """Programs (or packages, for a project) that the grader must reject, each with its one mistake."""
        folder = ROOT / "tests" / "wrong_answers" / self.module / self.stem
        return sorted(p for p in folder.glob("*") if p.suffix == ".py" or (p / "__init__.py").exists())

    def _code(self, folder: str) -> Path:
        path = ROOT / folder / self.module / self.stem
        return path if self.kind == "project" else path.with_name(f"{self.stem}.py")


def modules() -> list[str]:
    """The names of the module folders, in order."""
    return sorted(p.name for p in (ROOT / "docs").glob("module_*") if p.is_dir())


def every(module: str | None = None) -> list[Unit]:
    """Every unit that has a page, in the order of the course: lessons, reference pages, exercises, quiz, project."""
    found = []
    for name in modules():
        if module in (None, name):
            folder = ROOT / "docs" / name
            pages = sorted(folder.glob("[0-9]*.md")) + sorted(folder.glob("reference_*.md")) + sorted(folder.glob("exercises/ex_*.md"))
            pages += sorted(folder.glob("quiz_*.md")) + sorted(folder.glob("project_*.md")) + sorted(folder.glob("capstone_*.md"))
            found += [Unit(name, page.stem) for page in pages]
    return found


def find(name: str) -> list[Unit]:
    """The units that *name* means: one for a key, all of a module for a bare number, every unit for an empty name.

    Args:
        name: A key, whole or shortened (``1/ex_01``), a module's number, or the path of any of the unit's files.

    Raises:
        UnknownUnit: with the names that would do.
    """
    units = every()
    if not name:
        return units
    wanted = _as_key(name)
    if wanted.isdigit():
        in_module = [u for u in units if u.module.startswith(f"module_{wanted}_")]
        if in_module:
            return in_module
        raise UnknownUnit(f"There is no module {name}. Modules: {', '.join(m.split('_')[1] for m in modules())}.")
    module, _, stem = wanted.partition("/")
    hits = [u for u in units if _matches(u, module, stem)]
    if len(hits) == 1:
        return hits
    if hits:
        raise UnknownUnit(f"{name} could be any of: {', '.join(u.short for u in hits)}.")
    raise UnknownUnit(f"There is no unit called {name}. Try one of: {', '.join(u.short for u in units)}.")


def find_one(name: str) -> Unit:
    """The one unit that *name* means.

    Raises:
        UnknownUnit: when it means none, or a whole module.
    """
    hits = find(name)
    if len(hits) != 1:
        raise UnknownUnit(f"{name} is a whole module. Name one unit: {', '.join(u.short for u in hits)}.")
    return hits[0]


def _as_key(name: str) -> str:
    """A path below the repository becomes a key; a key stays what it is."""
    path = Path(name)
    parts = [p for p in path.with_suffix("").parts if p not in ("exercises", "solutions", "docs", "notebooks", ".", "/")]
    for i, part in enumerate(parts):
        if part.startswith("module_") and i + 1 < len(parts):
            return f"{part}/{parts[i + 1].removeprefix('test_')}"
    return name.strip("/")


def _matches(unit: Unit, module: str, stem: str) -> bool:
    return (module in (unit.module, unit.module.split("_")[1])) and (unit.stem == stem or unit.stem.startswith(stem)) and bool(stem)
