"""AMQPStorm, an acknowledgement after each message."""

import time

import amqpstorm

from benchmarks.contender import PREFETCH, task, tell


def main() -> None:
    """Consume as asked."""
    asked = task()
    where = {"port": asked.port, "virtual_host": asked.vhost}
    with amqpstorm.Connection(asked.host, asked.user, asked.password, **where) as connection, connection.channel() as channel:
        channel.basic.qos(prefetch_count=PREFETCH)
        handled, began = 0, 0.0

        def handle(message) -> None:
            nonlocal handled, began
            began = began or time.perf_counter()
            message.ack()
            handled += 1
            if handled == asked.number:
                tell(handled, began)
                channel.stop_consuming()

        channel.basic.consume(handle, queue=asked.queue)
        channel.start_consuming()


if __name__ == "__main__":
    main()
