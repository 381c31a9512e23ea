"""The notebook on which JupyterLab opens. Its list of lessons is made from the units, so that it cannot go stale."""

import os
from pathlib import Path

from rabbitlab import units
from rabbitlab.lessons.page import number, title

NAME = "welcome"
_LIST = "[[lessons]]"


class Welcome:
    """Has what the pipeline asks of a unit: a key, a source and a notebook. It is no lesson and has no page on the site."""

    key = short = NAME
    kind = "welcome"

    @property
    def source(self) -> Path:
        return units.ROOT / "jupyter" / "welcome.md"

    @property
    def notebook(self) -> Path:
        return units.ROOT / "notebooks" / "welcome.ipynb"

    def text(self) -> str:
        """The source with the list of lessons in it."""
        return self.source.read_text(encoding="utf-8").replace(_LIST, "\n\n".join(_of_module(name) for name in units.modules()).strip())


def _of_module(name: str) -> str:
    """A module's heading with its lessons and exercises; nothing for a module that has none yet."""
    lines = [_line(unit) for unit in units.every(name)]
    if not any(unit.kind == "lesson" for unit in units.every(name)):
        return ""
    overview = units.ROOT / "docs" / name / "README.md"
    heading = _link(title(overview), overview) if overview.exists() else name
    return "\n".join([f"## {heading}", "", *lines])


def _line(unit: units.Unit) -> str:
    if unit.kind == "lesson":
        return f"- {number(unit)} {_link(title(unit.page), unit.notebook)}"
    if unit.kind == "reference":
        return f"- {_link(title(unit.page), unit.notebook)}"
    if unit.kind == "quiz":
        return f"- {title(unit.page)}: on the site"
    answer = unit.stub / "__init__.py" if unit.stub.is_dir() else unit.stub
    mine = f", your answer: {_link(f'`{unit.stub.name}`', answer)}" if answer.exists() else ""
    return f"- {_link(title(unit.page), unit.page)}{mine}"


def _link(words: str, place: Path) -> str:
    return f"[{words}]({Path(os.path.relpath(place, Welcome().source.parent)).as_posix()})"
