"""What a learner has done, kept in ``.lab/progress.json``: tries, the best time, and how many hints were shown."""

import fcntl
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path

from rabbitlab import units
from rabbitlab.grading.results import write_whole


@dataclass
class Done:
    """What was done with one unit.

    Attributes:
        tries: How often it was graded, untouched stubs not counted.
        passed: Whether it ever passed.
        best: The shortest run that passed, in seconds; None before.
        hints: How many different hints were shown.
    """

    tries: int = 0
    passed: bool = False
    best: float | None = None
    hints: int = 0

    @property
    def state(self) -> str:
        """``not started``, ``tried`` or ``passed``."""
        if self.passed:
            return "passed"
        return "tried" if self.tries else "not started"


def load() -> dict[str, Done]:
    """What is known, by key. A file that cannot be read is renamed and said so: progress begins anew, and nothing is thrown away."""
    path = _path()
    if not path.exists():
        return {}
    try:
        return {key: _done(told) for key, told in json.loads(path.read_text(encoding="utf-8")).items()}
    except (ValueError, TypeError, AttributeError, OSError):
        aside = path.with_name(f"progress.{datetime.now():%Y%m%d-%H%M%S}.broken.json")
        path.replace(aside)
        print(f"{path.name} could not be read and is kept as {aside}; progress begins anew.", file=sys.stderr)
        return {}


@contextmanager
def changing(key: str) -> Iterator[Done]:
    """Change what is known of one unit; written when the block ends, by one process at a time."""
    path = _path()
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = load()
        done = known.setdefault(key, Done())
        yield done
        write_whole(path, json.dumps({k: asdict(d) for k, d in known.items()}, indent=1) + "\n")


def record(key: str, passed: bool, seconds: float) -> None:
    """Note one try.

    Args:
        key: The unit.
        passed: Whether all checks passed.
        seconds: How long the grading took.
    """
    with changing(key) as done:
        done.tries += 1
        if passed:
            done.passed = True
            done.best = round(min(seconds, done.best or seconds), 2)


def _path() -> Path:
    return units.STATE / "progress.json"


def _done(told: dict) -> Done:
    return Done(**{f.name: told[f.name] for f in fields(Done) if f.name in told})
