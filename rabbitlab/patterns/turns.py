"""A semaphore that is fair: whoever has waited longest is next.

``threading.Semaphore`` promises no order. Under load a thread that comes back at once overtakes one that waits, again and again, until
the other's patience is over.
"""

import threading
from collections import deque
from dataclasses import dataclass, field


class Turns:
    """So many threads may have a turn at once; the others wait in line.

    Args:
        number: Of turns at once.
    """

    def __init__(self, number: int):
        self._lock = threading.Lock()
        self._free = number
        self._closed = False
        self._line: deque[_Waiting] = deque()

    def take(self, timeout: float) -> bool:
        """Wait in line, at most so many seconds, and say whether it is this thread's turn; it then has to be ended with :meth:`end`."""
        with self._lock:
            if self._free and not self._closed:  # so nobody is in line
                self._free -= 1
                return True
            if timeout <= 0 or self._closed:
                return False
            self._line.append(mine := _Waiting())
        try:
            mine.over.wait(timeout)
        except BaseException:  # Ctrl-C, perhaps in the moment in which it was this thread's turn
            if self._left(mine):
                self.end()
            raise
        return self._left(mine)

    def end(self) -> None:
        """This thread's turn is over; the next one in line has it now."""
        with self._lock:
            if self._line:
                self._line.popleft().call(True)
            else:
                self._free += 1

    def close(self) -> None:
        """No more turns: :meth:`take` returns False at once, also for all who are in line."""
        with self._lock:
            self._closed = True
            while self._line:
                self._line.popleft().call(False)

    def _left(self, mine: "_Waiting") -> bool:
        """Be in line no more; whether it is this thread's turn."""
        with self._lock:
            if mine in self._line:
                self._line.remove(mine)
            return mine.turn


@dataclass(eq=False)
class _Waiting:
    over: threading.Event = field(default_factory=threading.Event)
    turn: bool = False

    def call(self, turn: bool) -> None:
        self.turn = turn
        self.over.set()
