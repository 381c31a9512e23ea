"""What takes seconds: grading an exercise, validating a notebook; on request, the start of the cluster, and every notebook."""

import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rabbitlab import cluster, units, verify
from rabbitlab.bench import rounds as played
from rabbitlab.errors import Mendable
from rabbitlab.nodes import PROFILES
from rabbitlab.units import ROOT

GRADED = "1/ex_01"
SHOWN = "1/04"
FLOOR = "a new process, one confirm (the limit)"  # the least that any of the others could take
EVERY = "validating every notebook"


def tasks(everything: bool) -> dict[str, Callable[[], float]]:
    """What is timed in each round: titles, and calls that do it and return the seconds.

    Args:
        everything: Also the start of the cluster, with the compose profiles that run now; it is stopped first.
    """
    some = {
        FLOOR: _confirm_one,
        f"grading {GRADED}": partial(_seconds, _grade),
        f"validating the notebook of {SHOWN}": partial(_seconds, partial(_validate, [units.find_one(SHOWN).notebook])),
    }
    return some | ({"starting the cluster": partial(_start, _running_profiles())} if everything else {})


def measure(rounds: int, everything: bool, step: Callable[[str], None]) -> dict[str, list[float]]:
    """Seconds of each, round by round.

    Args:
        rounds: How often.
        everything: See :func:`tasks`.
        step: Called with the title of each before it begins.

    Raises:
        Mendable: something does not pass, or does not start.
    """
    calls = tasks(everything)
    took: dict[str, list[float]] = {title: [] for title in calls}
    for _ in range(rounds):
        for title, call in calls.items():
            step(title)
            took[title].append(call())
    return took


def every_notebook(far: Callable[[float], None]) -> dict[str, list[float]]:
    """Seconds of validating all of them; once, for it takes minutes.

    Args:
        far: Given the part that is done, from 0 to 1.

    Raises:
        Mendable: one does not give what is recorded in it.
    """
    return {EVERY: [_seconds(partial(_validate, sorted((ROOT / "notebooks").rglob("*.ipynb")), far))]}


def _seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _confirm_one() -> float:
    with played.new_place() as place:
        return _seconds(lambda: played.told("publish_one_by_one", place, number=1))


def _grade() -> None:
    unit = units.find_one(GRADED)
    got = verify.grade(unit, unit.solution)
    if not got["passed"]:
        raise Mendable(f"The solution of {GRADED} does not pass. To see why: ./lab verify {GRADED}")


def _validate(notebooks: list[Path], far: Callable[[float], None] = lambda part: None) -> None:
    if verify.run_notebooks(notebooks, far) != 0:
        raise Mendable("A notebook does not give what is recorded in it. To see which: ./lab verify")


def _start(profiles: tuple[str, ...]) -> float:
    _lab("down")
    return _seconds(partial(_lab, "up", *(f"--{profile}" for profile in profiles)))


def _lab(*command: str) -> None:
    if subprocess.run([sys.executable, "-m", "rabbitlab", *command], cwd=ROOT, capture_output=True).returncode != 0:
        raise Mendable(f"./lab {' '.join(command)} failed. To see why, run it.")


def _running_profiles() -> tuple[str, ...]:
    """The compose profiles that run, so that they run again afterwards."""
    there = cluster.containers()
    return tuple(profile for profile, services in PROFILES.items() if any(service in there for service in services))
