"""Page to notebook, keeping the outputs of the cells that did not change."""

from nbformat import NotebookNode
from rich.console import Console

from rabbitlab.lessons import notebook
from rabbitlab.lessons.welcome import Welcome
from rabbitlab.units import Unit


def build(units: list[Unit]) -> int:
    """Make the notebook of each unit; see :func:`rabbitlab.lessons.build`."""
    console, changed = Console(), 0
    for unit in units:
        made, unrun = built(unit)
        if notebook.write(made, unit.notebook):
            changed += 1
            more = f", {unrun} cells to run: ./lab lessons record {unit.short}" if unrun else ""
            console.print(f"{notebook.shown(unit.notebook)} made{more}", highlight=False, soft_wrap=True)
    refresh_welcome()
    console.print(f"{len(units)} notebooks, {changed} changed.", highlight=False)
    return 0


def refresh_welcome() -> None:
    """Let the welcome page name the lessons as they are now."""
    welcome = Welcome()
    if welcome.source.exists():
        notebook.write(built(welcome)[0], welcome.notebook)


def built(unit: Unit) -> tuple[NotebookNode, int]:
    """The notebook that the page of *unit* says, with the outputs that still belong to it.

    Returns:
        The notebook, and how many of its cells have not been run.
    """
    made = notebook.from_page(unit)
    if unit.notebook.exists():
        carry_over(notebook.read(unit.notebook), made)
    return made, sum(cell.execution_count is None for cell in notebook.code_cells(made))


def carry_over(old: NotebookNode, new: NotebookNode) -> None:
    """Give the cells of *new* the outputs that the same cells have in *old*. A cell whose tags changed is another cell."""
    known = {cell.get("id"): cell for cell in notebook.code_cells(old)}
    for cell in notebook.code_cells(new):
        before = known.get(cell.id)
        if before is not None and before.source == cell.source and before.metadata.get("tags") == cell.metadata.get("tags"):
            cell.outputs, cell.execution_count = before.outputs, before.execution_count
