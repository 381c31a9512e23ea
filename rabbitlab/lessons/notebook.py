"""Make a notebook from a page. The same page always gives the same notebook, byte for byte."""

import hashlib
import os
import re
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

from rabbitlab import units
from rabbitlab.errors import Mendable
from rabbitlab.lessons import page
from rabbitlab.units import Unit

METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
_ALERTS = {"NOTE": "info", "TIP": "success", "IMPORTANT": "info", "WARNING": "warning", "CAUTION": "danger"}
_CALLOUT = re.compile(r"^> \[!(?P<kind>[A-Z]+)\][ \t]*\n(?P<body>(?:>.*\n?)*)", re.MULTILINE)
_LITERAL = re.compile(r"^[ >]*(`{3,}|~{3,}).*?^[ >]*\1`*[ \t]*$|(?<!`)(`+)(?!`)[^\n]*?(?<!`)\2(?!`)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?P<before>\]\()(?P<target>[^)\s]+)(?P<after>[^)]*\))")


def from_page(unit: Unit) -> NotebookNode:
    """The notebook of *unit* as its page says, nothing run yet.

    Raises:
        Mendable: for blocks that would not become what the page shows, with their lines.
    """
    text = text_of(unit)
    _refuse(unit, page.problems(text))
    body = page.without_front_matter(text).strip("\n") + "\n"
    read = jupytext.reads(body, fmt="md")
    cells, seen = [], {}
    for cell in read.cells:
        source = cell.source if cell.cell_type == "code" else as_notebook_prose(cell.source.strip("\n"), unit)
        tags = {"tags": list(cell.metadata["tags"])} if cell.metadata.get("tags") else {}
        made = {"cell_type": cell.cell_type, "id": _cell_id(unit, cell.cell_type, cell.source, seen), "metadata": tags, "source": source}
        cells.append(made | ({"execution_count": None, "outputs": []} if cell.cell_type == "code" else {}))
    notebook = nbformat.from_dict({"cells": cells, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5})
    _refuse_other_cells(unit, notebook, text)
    return notebook


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The cells that run."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def text_of(unit: Unit) -> str:
    """The source of *unit*; for the welcome page, with its list of lessons."""
    return unit.text() if hasattr(unit, "text") else unit.source.read_text(encoding="utf-8")


def code_lines(unit: Unit) -> list[int]:
    """For each code cell of *unit*, the line of its page on which the block opens."""
    return [fence.line for fence in page.fences(text_of(unit)) if fence.runs]


def read(path: Path) -> NotebookNode:
    """A notebook from its file.

    Raises:
        Mendable: when the file is missing, or no notebook.
    """
    try:
        return nbformat.read(path, as_version=4)
    except FileNotFoundError:
        raise Mendable(f"{shown(path)}: the notebook is missing.") from None
    except (nbformat.reader.NotJSONError, nbformat.ValidationError) as error:
        raise Mendable(f"{shown(path)}: this is not a notebook ({type(error).__name__}). Delete it first.") from None


def write(notebook: NotebookNode, path: Path) -> bool:
    """Write *notebook* to *path* whole or not at all; say whether that changed anything."""
    text = nbformat.writes(notebook, version=4).rstrip("\n") + "\n"
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    half_done = path.with_name(f".{path.name}.{os.getpid()}")
    half_done.write_text(text, encoding="utf-8")
    os.replace(half_done, path)
    return True


def shown(path: Path) -> str:
    """*path* as a reader of a message knows it: from the root of the course."""
    return str(path.relative_to(units.ROOT)) if path.is_relative_to(units.ROOT) else str(path)


def as_notebook_prose(text: str, unit: Unit) -> str:
    """A page's prose as it reads in JupyterLab: callouts drawn, links leading to notebooks where there are any."""
    return _outside_literals(_CALLOUT.sub(_alert, text), lambda part: _LINK.sub(lambda link: _relinked(link, unit), part))


def _alert(callout: re.Match) -> str:
    kind = callout["kind"]
    body = "\n".join(line[1:].removeprefix(" ") for line in callout["body"].splitlines())
    return f'<div class="alert alert-block alert-{_ALERTS.get(kind, "info")}">\n\n**{kind.capitalize()}.**\n{body}\n\n</div>\n'


def _outside_literals(text: str, change) -> str:
    """*text* with *change* applied to all that is neither a fenced block nor a code span."""
    parts, end = [], 0
    for literal in _LITERAL.finditer(text):
        parts += [change(text[end : literal.start()]), literal[0]]
        end = literal.end()
    return "".join(parts) + change(text[end:])


def _relinked(link: re.Match, unit: Unit) -> str:
    """A relative link of the page, leading to the same place from the notebook."""
    target, mark, anchor = link["target"].partition("#")
    if re.match(r"[a-z][a-z0-9+.-]*:|/", link["target"]):
        return link[0]
    place = (unit.source.parent / target).resolve() if target else unit.source.resolve()
    if mark and place.suffix == ".md":
        anchor = _heading_in_jupyter(place, anchor)
    lesson = next((u for u in units.every(place.parent.name) if u.shows_outputs and u.page == place), None)
    relative = os.path.relpath(lesson.notebook if lesson else place, unit.notebook.parent).replace(os.sep, "/") if target else ""
    return f"{link['before']}{relative}{mark}{anchor}{link['after']}"


def _heading_in_jupyter(place: Path, anchor: str) -> str:
    """The anchor that JupyterLab gives the heading which the site calls *anchor*."""
    from markdown.extensions.toc import slugify

    if not place.exists():
        return anchor
    without_code = re.sub(r"^```.*?^```", "", place.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for heading in re.findall(r"^#+ +(.+?)(?: +#+)?$", without_code, flags=re.MULTILINE):
        plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip()
        if slugify(plain, "-") == anchor:
            return plain.replace(" ", "-")
    return anchor


def _cell_id(unit: Unit, kind: str, source: str, seen: dict) -> str:
    """The same cell of the same unit always has the same id, wherever it moves to."""
    nth = seen[kind, source] = seen.get((kind, source), 0) + 1
    return hashlib.sha256(f"{unit.key}\0{kind}\0{source}\0{nth}".encode()).hexdigest()[:12]


def _refuse(unit: Unit, found: list[tuple[int, str]]) -> None:
    if found:
        raise Mendable("\n".join(f"{shown(unit.source)}:{line}: {sentence}" for line, sentence in found))


def _refuse_other_cells(unit: Unit, notebook: NotebookNode, text: str) -> None:
    """jupytext and this module must see the same cells, or a message would name a wrong line."""
    ours = [fence for fence in page.fences(text) if fence.runs]
    theirs = code_cells(notebook)
    for fence, cell in zip(ours, theirs, strict=False):
        if fence.source.strip("\n") != cell.source.strip("\n"):
            _refuse(unit, [(fence.line, "this block would not become the cell that it looks like: is a fence before it left open?")])
    if len(ours) != len(theirs):
        _refuse(unit, [(1, f"{len(ours)} blocks should run and {len(theirs)} cells came out: is a fence left open?")])
