"""Our resilient consumer, with a handler that does nothing."""

import itertools
import threading
import time

from benchmarks.contender import PREFETCH, task, tell
from rabbitlab.patterns.consumer import ResilientConsumer


def main() -> None:
    """Consume as asked."""
    asked = task()
    counter, done, began = itertools.count(1), threading.Event(), []

    def handle(message) -> None:
        number = next(counter)
        if number == 1:
            began.append(time.perf_counter())  # it is connected
        if number == asked.number:
            done.set()

    with ResilientConsumer(asked.url, asked.queue, handle, prefetch=PREFETCH):
        done.wait()
        tell(asked.number, began[0])


if __name__ == "__main__":
    main()
