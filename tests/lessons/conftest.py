"""A course of one page, in a folder of its own."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from rabbitlab import healing, lock, units
from rabbitlab.lessons import building, notebook

MODULE = "module_1_foundations"


@dataclass
class Course:
    """A course that a test writes page by page.

    Attributes:
        root: Its folder.
    """

    root: Path

    def page(self, text: str, stem: str = "01_orders", folder: str = f"docs/{MODULE}") -> units.Unit:
        """Write a page and return its unit."""
        path = self.root / folder / f"{stem}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return units.Unit(MODULE, stem)

    def built(self, text: str, stem: str = "01_orders") -> units.Unit:
        """The same, with its notebook, not yet run."""
        unit = self.page(text, stem)
        notebook.write(building.built(unit)[0], unit.notebook)
        return unit

    def as_run(self, text: str, outputs: dict[int, list[dict]] | None = None, stem: str = "01_orders") -> units.Unit:
        """The same, with every cell run; *outputs* says what cells showed, counted from 1."""
        unit = self.built(text, stem)
        made = notebook.read(unit.notebook)
        for number, cell in enumerate(notebook.code_cells(made), start=1):
            cell.execution_count = number
            cell.outputs = [notebook.nbformat.from_dict(output) for output in (outputs or {}).get(number, [])]
        notebook.write(made, unit.notebook)
        return unit


@pytest.fixture
def course(tmp_path, tmp_path_factory, monkeypatch):
    """An empty course in a folder of its own, which the pipeline takes for the course. The true cluster is left to those who use it."""
    monkeypatch.setattr(units, "ROOT", tmp_path)
    monkeypatch.setattr(lock, "FOLDER", tmp_path_factory.mktemp("locks"))
    monkeypatch.setattr(healing, "before_use", lambda say: None)
    (tmp_path / "docs" / MODULE).mkdir(parents=True)
    return Course(tmp_path)


def printed(text: str) -> dict:
    """What ``print`` leaves in a notebook."""
    return {"output_type": "stream", "name": "stdout", "text": text}
