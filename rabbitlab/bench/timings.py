"""What takes seconds: grading an exercise; on request, every notebook, and the start of the cluster."""

import subprocess
import sys
import time
from collections.abc import Callable

from rabbitlab import cluster, units, verify
from rabbitlab.errors import Mendable
from rabbitlab.nodes import PROFILES
from rabbitlab.units import ROOT

GRADED = "1/ex_01"


def measure(rounds: int, everything: bool, say: Callable[[str], None]) -> dict[str, list[float]]:
    """Seconds of each, round by round.

    Args:
        rounds: How often; the notebooks, which take minutes, once.
        everything: Also what takes long or stops the cluster.
        say: Is given what happens.
    """
    say(f"grading the solution of {GRADED}")
    took = {f"grading {GRADED}": [_timed(_grade) for _ in range(rounds)]}
    if everything:
        say("validating every notebook")
        took["validating every notebook"] = [_timed(_validate)]
        say("stopping and starting the cluster")
        profiles = _running_profiles()
        took["starting the cluster"] = [_timed(lambda: cluster.up(profiles=profiles), before=cluster.down) for _ in range(rounds)]
    return took


def _timed(act: Callable[[], object], before: Callable[[], object] = lambda: None) -> float:
    before()
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _grade() -> None:
    unit = units.find_one(GRADED)
    got = verify.grade(unit, unit.solution)
    if not got["passed"]:
        raise Mendable(f"The solution of {GRADED} does not pass. To see why: ./lab verify {GRADED}")


def _validate() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval", "-n", str(verify.WORKERS), "notebooks"]
    if subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL).returncode != 0:
        raise Mendable("A notebook does not give what is recorded in it. To see which: ./lab verify")


def _running_profiles() -> tuple[str, ...]:
    """The compose profiles that run, so that they run again afterwards."""
    there = cluster.containers()
    return tuple(profile for profile, services in PROFILES.items() if any(service in there for service in services))
