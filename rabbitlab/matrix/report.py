"""The results of a series as a table in Markdown, for the page that shows them: misses included, with what was missed."""

import os
from pathlib import Path

from rabbitlab.matrix import results
from rabbitlab.matrix.judging import HELD
from rabbitlab.matrix.row import Row

HEAD = "| fault | runs | messages | lost | unexpected | came twice | longest gap | at most | held |\n"
HEAD += "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"


def write(path: Path, rows: list[Row], found: list[dict], programs: str) -> None:
    """Write the table, and below it what it was made on and each run that did not hold.

    Args:
        path: Of the file.
        rows: In this order; one that was never played is left out.
        found: What :func:`results.read` gives.
        programs: Whose runs.
    """
    played = [(row, runs) for row in rows if (runs := results.of(found, row.name, programs))]
    lines = [_line(row, runs) for row, runs in played]
    misses = [f"- {row.title}, {one['at']}: {_why(one)}" for row, runs in played for one in runs if one["verdict"] != HELD]
    every = [one for _, runs in played for one in runs]
    days = sorted({one["at"][:10] for one in every})
    made = f"{len(every)} runs, {' to '.join(dict.fromkeys((days[0], days[-1])))}; {machine()}." if every else "No run yet."
    told = f"Of these, {len(misses)} did not hold:" if misses else "Every run held."
    path.write_text("\n".join([HEAD + "\n".join(lines), "", made, told, "", *misses]).rstrip() + "\n")


def machine() -> str:
    """What it runs on: processors, memory, and the versions that matter."""
    import platform
    from importlib.metadata import version

    import psutil

    from rabbitlab import broker

    memory = psutil.virtual_memory().total / 2**30
    node = broker.api("overview")
    return (
        f"RabbitMQ {node['rabbitmq_version']} on Erlang {node['erlang_version']}, three nodes on one machine with {os.cpu_count()} "
        f"processors and {memory:.0f} GiB; pika {version('pika')}, Python {platform.python_version()}"
    )


def _line(row: Row, runs: list[dict]) -> str:
    summed = results.summed(runs)
    after = " after" if row.after else ""
    limit = "" if summed["limit"] is None else f"{summed['limit']:g} s{after}"
    held = sum(one["verdict"] == HELD for one in runs)
    figures = (len(runs), sum(one["sent"] for one in runs), summed["lost"], summed["unexpected"], summed["duplicated"])
    counts = " | ".join(f"{figure:,}" for figure in figures)
    return f"| {row.title} | {counts} | {summed['gap']:.1f} s{after} | {limit} | {held} of {len(runs)} |"


def _why(run: dict) -> str:
    told = [*run["missed"], *(f"{what} {', '.join(ids)}" for what, ids in run["examples"].items() if ids)]
    return "; ".join(told) or run["verdict"]
