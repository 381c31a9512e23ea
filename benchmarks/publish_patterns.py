"""Our reliable publisher, and nothing else."""

import time

from benchmarks.contender import BODY, WINDOW, task, tell
from rabbitlab.patterns.publisher import ReliablePublisher


def main() -> None:
    """Publish as asked."""
    asked = task()
    with ReliablePublisher(asked.url, window=WINDOW) as publisher:
        publisher.send(BODY, routing_key=asked.queue)  # it is connected
        sent, began = 0, time.perf_counter()
        while asked.wants_more(sent, began):
            publisher.publish(BODY, routing_key=asked.queue, message_id=str(sent))
            sent += 1
        assert publisher.flush() == []
        tell(sent, began)


if __name__ == "__main__":
    main()
