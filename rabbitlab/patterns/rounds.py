"""Which node to try next, and when: every node once, without a pause, and then a pause before the next round."""

from collections.abc import Callable

from pika.connection import Parameters

from .retry import Backoff

STEADY = 10.0  # seconds that a connection has to last for its loss to be the first failure again


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
        self._last = ""

    def next(self) -> Parameters:
        """The node to try now; where there are several, not the one tried last."""
        if not self._left:
            self._left = self._nodes()
            if address(self._left[0]) == self._last:
                self._left.append(self._left.pop(0))
        node = self._left.pop(0)
        self._last = address(node)
        return node

    def failed(self, lasted: float | None) -> float | None:
        """A connection was lost, or could not be made.

        Args:
            lasted: Seconds that it was there; None for one that never was.

        Returns:
            Seconds until the next attempt; None when the back-off allows no more.
        """
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


def address(node: Parameters) -> str:
    """``"127.0.0.1:5672"``."""
    return f"{node.host}:{node.port}"
