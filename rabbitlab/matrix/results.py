"""The results of a series: one line of JSON for each run, so that a series may end and go on another day."""

import json
from pathlib import Path

from rabbitlab.matrix.judging import HELD, INFRASTRUCTURE, MISSED, UNSAFE

WORST = (HELD, MISSED, UNSAFE)


def read(path: Path) -> list[dict]:
    """Every result so far; a line that its run could not finish is passed over."""
    if not path.exists():
        return []
    found = []
    for line in path.read_text().splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def append(path: Path, result: dict) -> None:
    """Add one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(result) + "\n")


def of(results: list[dict], row: str, programs: str) -> list[dict]:
    """Those of one row that count as a run."""
    return [one for one in results if one["row"] == row and one["programs"] == programs and one["verdict"] != INFRASTRUCTURE]


def summed(results: list[dict]) -> dict:
    """Several runs of a row in one: sums, the longest gap, and the worst verdict."""
    sums = {what: sum(one[what] for one in results) for what in ("lost", "unexpected", "duplicated")}
    worst = max((one["verdict"] for one in results), key=WORST.index)
    return {**sums, "runs": len(results), "gap": max(one["gap"] for one in results), "limit": results[-1]["limit"], "verdict": worst}
