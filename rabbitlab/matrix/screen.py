"""What a series of the fault matrix shows: what happens, and the table."""

import time

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rabbitlab.matrix import results
from rabbitlab.matrix.judging import HELD, INFRASTRUCTURE, MISSED, UNSAFE
from rabbitlab.matrix.row import Row

COLOURS = {HELD: "green", MISSED: "yellow", UNSAFE: "bold red", INFRASTRUCTURE: "magenta"}
console = Console(highlight=False)


class Progress:
    """Sentences, each with the seconds since the run began.

    Args:
        quiet: Say nothing.
    """

    def __init__(self, quiet: bool = False):
        self._quiet, self._began = quiet, time.monotonic()

    def begin(self, row: Row, number: int, seed: int) -> None:
        """A run begins."""
        self._began = time.monotonic()
        if not self._quiet:
            console.print(f"[bold]{row.name}[/] run {number + 1}, seed {seed}")

    def say(self, sentence: str) -> None:
        """Something happens."""
        if not self._quiet:
            console.print(f"  [dim]{time.monotonic() - self._began:6.1f} s[/] {escape(sentence)}")

    def end(self, result: dict) -> None:
        """A run has ended: its verdict, and why."""
        if self._quiet:
            return
        colour = COLOURS[result["verdict"]]
        told = [result.get("error", "")] if result["verdict"] == INFRASTRUCTURE else [*result["missed"], *_unsafe(result)]
        self.say(f"{result['verdict']}{': ' if any(told) else ''}{'; '.join(filter(None, told))}")
        if told and result.get("timeline"):
            console.print(f"  [{colour}]{escape(result['timeline'])}[/]")


def table(rows: list[Row], found: list[dict], programs: str) -> Table:
    """One line for each row that has a result."""
    drawn = Table(box=None, header_style="bold", pad_edge=False)
    drawn.add_column("fault", no_wrap=True)
    for head in ("runs", "lost", "unexpected", "duplicated", "longest gap", "limit"):
        drawn.add_column(head, justify="right")
    drawn.add_column("verdict", no_wrap=True)
    for row in rows:
        theirs = results.of(found, row.name, programs)
        failed = [one for one in found if one["row"] == row.name and one["programs"] == programs and one["verdict"] == INFRASTRUCTURE]
        if theirs:
            drawn.add_row(row.name, *_figures(results.summed(theirs), row), _verdict(results.summed(theirs)["verdict"]))
        elif failed:
            drawn.add_row(row.name, "0", *["-"] * 5, _verdict(INFRASTRUCTURE))
    return drawn


def _figures(summed: dict, row: Row) -> list[str]:
    after = " after" if row.after else ""
    limit = "-" if summed["limit"] is None else f"{summed['limit']:g} s{after}"
    whole = [str(summed[what]) for what in ("runs", "lost", "unexpected", "duplicated")]
    return [*whole, f"{summed['gap']:.1f} s{after}", limit]


def _verdict(word: str) -> str:
    return f"[{COLOURS[word]}]{word}[/]"


def _unsafe(result: dict) -> list[str]:
    return [f"{what} {', '.join(ids)}" for what, ids in result["examples"].items() if ids]
