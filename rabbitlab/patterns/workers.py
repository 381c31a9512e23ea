"""The threads on which handlers run, so that the connection's own thread always has time for heartbeats."""

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue


class Workers:
    """A fixed number of threads that do what is put in, in that order.

    They are daemon threads: a handler that never returns does not keep the process alive.

    Args:
        number: Of threads.
        name: The threads' names begin with it.
        work: Called with what was put in, unless that can be called, which is done then. Neither must raise.

    Attributes:
        number: Of threads.
    """

    def __init__(self, number: int, name: str, work: Callable[..., object]):
        self._todo: SimpleQueue[object] = SimpleQueue()
        self._work = work
        self.number = number
        self._since: dict[int, float] = {}
        self._threads = [threading.Thread(target=self._run, name=f"{name}-{n}", daemon=True) for n in range(1, number + 1)]
        self.put: Callable[[object], None] = self._todo.put

    def start(self) -> None:
        """Begin to work."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Have each thread end after what it is doing, and what was put in before."""
        for _ in self._threads:
            self._todo.put(None)

    def mine(self) -> bool:
        """Whether the caller is one of them."""
        return threading.current_thread() in self._threads

    def busy(self) -> list[float]:
        """Seconds for which each thread that does something has been doing it, longest first."""
        now = time.monotonic()
        return sorted((now - since for since in list(self._since.values())), reverse=True)

    def _run(self) -> None:
        me = threading.get_ident()
        while (item := self._todo.get()) is not None:
            self._since[me] = time.monotonic()
            if callable(item):
                item()
            else:
                self._work(item)
            del self._since[me]
