"""Join acknowledgements: one ``basic.ack`` with ``multiple=True`` for a row of finished messages, and none for an unfinished one.

Each ``basic.ack`` is a frame to send, and a command for a quorum queue to agree on. Workers finish in any order, so a row is seldom
finished as a whole; only what is below the first gap may be acknowledged together.
"""

from collections.abc import Iterable


class AckJoiner:
    """Knows which delivery tags of one channel are settled, and how to settle more with few frames.

    Delivery tags of a channel are 1, 2, 3 and so on. ``multiple=True`` settles every tag up to the one named, so it may be used for a tag
    only where each one below is settled or is finished as well.
    """

    def __init__(self) -> None:
        self._floor = 0  # every tag up to here is settled
        self._above: set[int] = set()  # settled, with a gap below

    def settled(self, tag: int) -> None:
        """*tag* was rejected or given back, with a frame of its own that is sent before what the next :meth:`join` returns."""
        self._above.add(tag)
        self._climb()

    def join(self, finished: Iterable[int]) -> list[tuple[int, bool]]:
        """The acknowledgements that settle *finished* and nothing else, as ``(delivery_tag, multiple)``, to be sent in this order.

        No tag waits for another one: what has a gap below is acknowledged by itself, or one slow handler would fill the prefetch window.
        """
        fresh = set(finished)
        self._above |= fresh
        self._climb()
        joined = [tag for tag in fresh if tag <= self._floor]
        acks = [(max(joined), len(joined) > 1)] if joined else []
        return acks + [(tag, False) for tag in sorted(fresh - set(joined))]

    def _climb(self) -> None:
        while self._floor + 1 in self._above:
            self._floor += 1
            self._above.remove(self._floor)
