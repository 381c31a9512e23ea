"""What the bench shows while it runs, and in the end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from rabbitlab.bench.contenders import ALL, LIMIT, Contender
from rabbitlab.bench.report import Report

WIDTH = 44  # characters of a title
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
            bar.update(task, description=f"{what:<{WIDTH}}", completed=begun)
            begun += 1

        yield step
        bar.update(task, description="", completed=steps)


@contextmanager
def share(what: str) -> Iterator[Callable[[float], None]]:
    """A bar for one thing that takes long; call what it gives with the part that is done, from 0 to 1."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(f"{what:<{WIDTH}}", total=1.0)
        yield lambda part: bar.update(task, completed=part)
        bar.update(task, completed=1.0)


def show(report: Report) -> None:
    """Two tables of rates, one of seconds, and the targets."""
    for head, group in (("Publishing", [c for c in ALL if c.publishes]), ("Consuming", [c for c in ALL if not c.publishes])):
        console.print()
        console.print(_table(head, group, report))
    console.print()
    console.print(_seconds(report))
    console.print()
    for one in report.judged:
        console.print(f"{'met   ' if one.met else 'MISSED'}  {one}", style="green" if one.met else "red")


def _table(head: str, group: list[Contender], report: Report) -> Table:
    table = _columns(f"{head}, messages a second", "of the limit")
    for contender in group:
        rates = report.rates[contender.name]
        ratio = median(report.ratios(contender.name, LIMIT))
        figures = [f"{figure:,.0f}" for figure in (min(rates), median(rates), max(rates))]
        table.add_row(contender.title, *figures, f"{ratio:.0%}", style="bold cyan" if contender.ours else None)
    return table


def _seconds(report: Report) -> Table:
    table = _columns("Seconds", "times limit")
    for what, took in report.timings.items():
        figures = [f"{figure:,.1f}" for figure in (min(took), median(took), max(took))]
        table.add_row(what, *figures, f"{median(report.multiples(what)):,.1f}")
    return table


def _columns(head: str, ratio: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(head, min_width=WIDTH)
    for column in ("min", "median", "max", ratio):
        table.add_column(column, justify="right")
    return table
