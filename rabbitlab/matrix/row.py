"""A row of the fault matrix: its name, its numbers, and the play that makes the fault."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

MESSAGES = 3000  # a run, at least

Play = Callable[..., Iterator[None]]


@dataclass(frozen=True)
class Row:
    """One kind of fault.

    Attributes:
        name: By which it is asked for: ``kill-leader``.
        title: In the table.
        play: Given a scene, starts its programs and makes the fault; at its ``yield`` everything is sent, drained and judged; then it
            looks at what only this row must show.
        limit: The longest gap between two effects around the fault, in seconds; None where there is no promise of it.
        after: Where the fault lets nothing through, only the time after it counts: from the moment at which all was well again
            (``ended``), or at which what it had taken away was seen to be back (``well``).
        alone: Whether it breaks the cluster for others, and so needs it for itself.
        policy: Definitions of a policy on the work queue.
        publisher: Options of the publisher program.
        consumer: Options of the consumer program.
    """

    name: str
    title: str
    play: Play
    limit: float | None = None
    after: str = ""
    alone: bool = False
    policy: dict = field(default_factory=dict)
    publisher: dict = field(default_factory=dict)
    consumer: dict = field(default_factory=dict)


ROWS: dict[str, Row] = {}


def row(name: str, title: str, **more) -> Callable[[Play], Play]:
    """Enter a play into the matrix, under *name*; the rest is as of :class:`Row`."""

    def enter(play: Play) -> Play:
        ROWS[name] = Row(name, title, play, **more)
        return play

    return enter
