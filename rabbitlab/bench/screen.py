"""What the bench shows while it runs, and in the end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from rabbitlab.bench.contenders import ALL, LIMIT, Contender
from rabbitlab.bench.report import Report

console = Console(highlight=False)


def say(sentence: str) -> None:
    """Something happens."""
    console.print(escape(sentence), style="dim")


@contextmanager
def progress(steps: int) -> Iterator[Callable[[str], None]]:
    """A bar; call what it gives before each step, with what is measured next."""
    with Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console) as bar:
        task, begun = bar.add_task("", total=steps), 0

        def step(what: str) -> None:
            nonlocal begun
            bar.update(task, description=f"{what:<44}", completed=begun)
            begun += 1

        yield step
        bar.update(task, description="", completed=steps)


def show(report: Report) -> None:
    """Two tables, the targets, and what takes seconds."""
    for head, group in (("Publishing", [c for c in ALL if c.publishes]), ("Consuming", [c for c in ALL if not c.publishes])):
        console.print()
        console.print(_table(head, group, report))
    console.print()
    for one in report.judged:
        console.print(f"{'met   ' if one.met else 'MISSED'}  {one}", style="green" if one.met else "red")
    console.print()
    for what, took in report.timings.items():
        console.print(f"{what}: {min(took):.1f} to {max(took):.1f} s, median {median(took):.1f} s")


def _table(head: str, group: list[Contender], report: Report) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(f"{head}, messages a second", min_width=44)
    for column in ("min", "median", "max", "of the limit"):
        table.add_column(column, justify="right")
    for contender in group:
        rates = report.rates[contender.name]
        ratio = median(report.ratios(contender.name, LIMIT))
        figures = [f"{figure:,.0f}" for figure in (min(rates), median(rates), max(rates))]
        table.add_row(contender.title, *figures, f"{ratio:.0%}", style="bold cyan" if contender.ours else None)
    return table
