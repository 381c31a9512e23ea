"""Which node to try next, and when: every node once, without a pause, and then a pause before the next round."""

import copy
import time
from collections.abc import Callable

from pika.connection import Parameters

from .retry import Backoff

STEADY = 10.0  # seconds that a connection has to last for its loss to be the first failure again
GRUDGE = 60.0  # seconds for which a node that failed is tried after the others
HASTE = 0.4  # of its time to take a connection: as much has a node that has not failed of late, where there are others to try


class Failures:
    """Which nodes have failed of late, for the order in which they are tried and the time that each is given.

    A paused node takes the connection of TCP and says nothing, which costs whoever tries it all the time that it is given. So each has
    little time at first, and all of it once there was no connection to be had within that: it may be far away, or busy.

    Where connections were lost, the first one is the likely culprit. Nodes that failed after it may be well: as long as its queues have no
    new leader, they pass on to it what they are told, and have no answer either.
    """

    def __init__(self) -> None:
        self._first: dict[str, float] = {}
        self._latest: dict[str, float] = {}
        self._unreached: set[str] = set()

    def add(self, node: str, reached: bool = True) -> None:
        """Its connection was lost; or could not be made, where it was not *reached*."""
        now = time.monotonic()
        if not self._recent(node, now):
            self._first[node] = now
        self._latest[node] = now
        (self._unreached.discard if reached else self._unreached.add)(node)

    def last(self, nodes: list[Parameters]) -> list[Parameters]:
        """The nodes in their order, each with its time. Those that have failed of late come after the others: at the very end the ones that
        could not be reached, before them the culprit, before that the latest to fail."""
        now = time.monotonic()
        recent = [address(node) for node in nodes if self._recent(address(node), now)]
        culprit = min(recent, key=self._first.__getitem__, default="")

        def rank(node: Parameters) -> tuple[bool, bool, float]:
            name = address(node)
            failed = name in recent
            return failed and name in self._unreached, name == culprit, self._latest[name] if failed else 0.0

        return [node if len(nodes) == 1 or address(node) in recent else _hasty(node) for node in sorted(nodes, key=rank)]

    def _recent(self, node: str, now: float) -> bool:
        return now - self._latest.get(node, now - 2 * GRUDGE) < GRUDGE


class Rounds:
    """The order in which nodes are tried.

    A connection that is lost at once, again and again, is tried ever less often, as one that cannot be made: only a confirmed message
    (:meth:`worked`) or some time (:data:`STEADY`) makes the next loss a first one.

    Args:
        nodes: Gives all nodes, in the order of a new round.
        backoff: Between two rounds.
    """

    def __init__(self, nodes: Callable[[], list[Parameters]], backoff: Backoff):
        self._nodes, self._backoff = nodes, backoff
        self._left: list[Parameters] = []
        self._failures = 0
        self._failed = Failures()
        self._node = ""  # that was tried last

    def next(self) -> Parameters:
        """The node to try now; where there are several, one that has not failed just now."""
        if not self._left:
            self._left = self._failed.last(self._nodes())
        node = self._left.pop(0)
        self._node = address(node)
        return node

    def failed(self, lasted: float | None) -> float | None:
        """A connection was lost, or could not be made.

        Args:
            lasted: Seconds that it was there; None for one that never was.

        Returns:
            Seconds until the next attempt; None when the back-off allows no more.
        """
        self._failed.add(self._node, reached=lasted is not None)
        if lasted is not None:
            self._left = []
            if lasted > STEADY:
                self._failures = 0
        if self._left:
            return 0.0
        self._failures += 1
        if self._failures == self._backoff.attempts:
            return None
        return self._backoff.seconds(self._failures - 1)

    def worked(self) -> None:
        """A message was confirmed."""
        self._failures = 0


def _hasty(node: Parameters) -> Parameters:
    node = copy.copy(node)
    node.socket_timeout = node.stack_timeout = HASTE * node.stack_timeout if node.stack_timeout else None
    return node


def address(node: Parameters) -> str:
    """``"127.0.0.1:5672"``."""
    return f"{node.host}:{node.port}"
