"""Compare pages with their notebooks, without running anything."""

from dataclasses import dataclass
from itertools import zip_longest

from nbformat import NotebookNode
from rich.console import Console
from rich.markup import escape

from rabbitlab.errors import Mendable
from rabbitlab.lessons import notebook, sanitize
from rabbitlab.units import Unit


@dataclass(frozen=True)
class Finding:
    """One difference.

    Attributes:
        where: File and line.
        what: A sentence.
        mend: The command that mends it.
        stale: Whether the notebook's cells differ from the page's, rather than their outputs being absent or unclean.
    """

    where: str
    what: str
    mend: str
    stale: bool = False


def check(units: list[Unit]) -> int:
    """Print every finding in *units*; see :func:`rabbitlab.lessons.check`."""
    console = Console()
    found = {unit: findings(unit) for unit in units}
    for unit_findings in filter(None, found.values()):
        console.print(escape(described(unit_findings)), style="red", highlight=False, soft_wrap=True)
    wrong = sum(bool(unit_findings) for unit_findings in found.values())
    console.print(f"{len(units)} notebooks, {wrong} not as their pages say.", highlight=False)
    return 1 if wrong else 0


def described(found: list[Finding]) -> str:
    """Each finding on a line, and under those of one unit the command that mends them."""
    lines = []
    for finding, following in zip_longest(found, found[1:]):
        lines.append(f"{finding.where}: {finding.what}")
        if following is None or following.mend != finding.mend:
            lines.append(f"    {finding.mend}")
    return "\n".join(lines)


def findings(unit: Unit) -> list[Finding]:
    """What keeps the notebook of *unit* from being its page, run."""
    mend = f"./lab lessons record {unit.short}"
    try:
        page, committed = notebook.from_page(unit), notebook.read(unit.notebook)
    except Mendable as error:
        where, _, what = str(error).partition(": ")
        return [Finding(where, what, mend, stale=True)]
    lines = notebook.code_lines(unit)
    differing = _different_cells(unit, page, committed, lines, mend)
    return differing or _not_recorded(unit, committed, lines, mend) or _other_form(unit, page, committed, mend)


def _different_cells(unit: Unit, page: NotebookNode, committed: NotebookNode, lines: list[int], mend: str) -> list[Finding]:
    """The first cell that differs; all that follow would only repeat it."""
    code = 0
    for said, kept in zip_longest(page.cells, committed.cells):
        code += said is not None and said.cell_type == "code"
        if said is None or kept is None or _essence(said) != _essence(kept):
            line = lines[code - 1] if code else 1
            name = (
                f"cell {code}"
                if said is not None and said.cell_type == "code"
                else f"the text after cell {code}"
                if code
                else "the text at the top"
            )
            what = f"{name} differs from {notebook.shown(unit.notebook)}: {_difference(said, kept)}"
            return [Finding(f"{notebook.shown(unit.source)}:{line}", what, mend, stale=True)]
    return []


def _essence(cell: NotebookNode) -> tuple:
    return cell.cell_type, cell.source, cell.metadata.get("tags")


def _difference(said: NotebookNode | None, kept: NotebookNode | None) -> str:
    """The first line that differs, as the page and as the notebook have it."""
    if said is None or kept is None:
        return "the notebook has cells that the page has not." if said is None else "the notebook has fewer cells than the page."
    if said.cell_type != kept.cell_type:
        return f"the page has {said.cell_type} where the notebook has {kept.cell_type}."
    for ours, theirs in zip_longest(said.source.splitlines(), kept.source.splitlines(), fillvalue=""):
        if ours != theirs:
            return f"the page says {ours.strip()!r}, the notebook {theirs.strip()!r}."
    return f"the page tags it {said.metadata.get('tags', [])}, the notebook {kept.metadata.get('tags', [])}."


def _not_recorded(unit: Unit, committed: NotebookNode, lines: list[int], mend: str) -> list[Finding]:
    """Cells never run, run out of order, failed, or saved as JupyterLab saves them."""
    found = []
    for number, (cell, line) in enumerate(zip(notebook.code_cells(committed), lines, strict=True), start=1):
        error = next((output for output in cell.outputs if output.output_type == "error"), None)
        if cell.execution_count is None:
            what = f"cell {number} was never run."
        elif error is not None and "raises-exception" not in cell.metadata.get("tags", []):
            what = f"cell {number} failed with {error.ename}: {error.evalue}"
        elif cell.execution_count != number:
            what = f"cell {number} was run as number {cell.execution_count}: its outputs come from another run."
        elif sanitize.outputs(cell.outputs) != [dict(output) for output in cell.outputs]:
            what = f"cell {number} was not recorded by ./lab lessons record: its outputs show what belongs to one run or one machine."
        else:
            continue
        found.append(Finding(f"{notebook.shown(unit.source)}:{line}", what, mend))
    return found


def _other_form(unit: Unit, page: NotebookNode, committed: NotebookNode, mend: str) -> list[Finding]:
    """What is left: ids and metadata, which an editor of notebooks writes and the program does not."""
    ours, theirs = [(cell.id, cell.metadata) for cell in page.cells], [(cell.get("id"), cell.metadata) for cell in committed.cells]
    if ours == theirs and page.metadata == committed.metadata:
        return []
    return [Finding(notebook.shown(unit.notebook), "its metadata was changed by an editor; nobody edits a notebook by hand.", mend)]
