"""kombu over py-amqp, an acknowledgement after each message."""

import time

import kombu

from benchmarks.contender import PREFETCH, task, tell


def main() -> None:
    """Consume as asked."""
    asked = task()
    handled, began = 0, 0.0

    def handle(message) -> None:
        nonlocal handled, began
        began = began or time.perf_counter()
        message.ack()
        handled += 1

    with kombu.Connection(asked.url.replace("amqp://", "pyamqp://")) as connection:
        queue = kombu.Queue(asked.queue, no_declare=True)
        with connection.Consumer(queue, on_message=handle, prefetch_count=PREFETCH):
            while handled < asked.number:
                connection.drain_events(timeout=30)
            tell(handled, began)


if __name__ == "__main__":
    main()
