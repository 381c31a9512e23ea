"""What a run of the bench has found: spread of each figure, ratios within each round, targets met or missed."""

import json
import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

from rabbitlab import broker
from rabbitlab.bench.contenders import LIMIT, TARGETS, TITLES, Target
from rabbitlab.bench.timings import FLOOR

LIBRARIES = ("pika", "aio-pika", "kombu", "amqp", "AMQPStorm")


@dataclass(frozen=True)
class Judged:
    """A target, and how far it was reached.

    Attributes:
        target: The target.
        ratio: The median of the rounds.
    """

    target: Target
    ratio: float

    @property
    def met(self) -> bool:
        """Whether it was reached."""
        return self.ratio >= self.target.wanted

    def __str__(self) -> str:
        told = f"{self.target.text.format(self.ratio)}, {self._shown(self.target.wanted)} wanted: {self._by(self.target.wanted)}"
        return f"{told}; stretch {self._shown(self.target.stretch)}: {self._by(self.target.stretch)}" if self.target.stretch else told

    def _by(self, wanted: float) -> str:
        return f"{'met' if self.ratio >= wanted else 'missed'} by {abs(self.ratio / wanted - 1):.0%}"

    def _shown(self, ratio: float) -> str:
        return f"{ratio:.0%}" if "%" in self.target.text else f"{ratio:g}"


class Report:
    """The figures.

    Args:
        rates: Messages a second of each contender, round by round.
        timings: Seconds of what takes long, round by round.
        rounds: How many there were.
        seconds: For how long each has published.
    """

    def __init__(self, rates: dict[str, list[float]], timings: dict[str, list[float]], rounds: int, seconds: float):
        self.rates, self.timings = rates, timings
        self._rounds, self._seconds = rounds, seconds

    @property
    def judged(self) -> list[Judged]:
        """Every target."""
        return [Judged(target, median(self.ratios(target.one, target.other))) for target in TARGETS]

    @property
    def met(self) -> bool:
        """Whether every target is."""
        return all(judged.met for judged in self.judged)

    def ratios(self, one: str, other: str = LIMIT) -> list[float]:
        """How many times as fast one was as the other, in each round."""
        return [mine / theirs for mine, theirs in zip(self.rates[one], self.rates[other], strict=True)]

    def multiples(self, what: str) -> list[float]:
        """How many times as long as the least that anything could take, in each round; of what was timed once, to the median of that."""
        took, floor = self.timings[what], self.timings[FLOOR]
        least = floor if len(took) == len(floor) else [median(floor)]
        return [mine / theirs for mine, theirs in zip(took, least, strict=True)]

    def save(self, path: Path) -> None:
        """Everything, as JSON, with what it was measured on."""
        contenders = {
            name: {"title": TITLES[name], "rounds": rates, **_spread(rates), "ratios": _spread(self.ratios(name))}
            for name, rates in self.rates.items()
        }
        targets = [
            {"what": str(one), "ratio": one.ratio, "wanted": one.target.wanted, "stretch": one.target.stretch, "met": one.met}
            for one in self.judged
        ]
        told = {
            "rounds": self._rounds,
            "seconds": self._seconds,
            "machine": {"processors": os.cpu_count(), "system": platform.system(), "python": platform.python_version()},
            "versions": {"RabbitMQ": broker.version(), **{name: version(name) for name in LIBRARIES}},
            "messages_per_second": contenders,
            "targets": targets,
            "timings": {
                what: {"rounds": took, **_spread(took), "multiples": _spread(self.multiples(what))} for what, took in self.timings.items()
            },
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(told, indent=1) + "\n")


def _spread(figures: list[float]) -> dict[str, float]:
    return {"min": min(figures), "median": median(figures), "max": max(figures)}
