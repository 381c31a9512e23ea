"""As most tutorials do it: pika's BlockingConnection, a callback, an acknowledgement after each message."""

import time

import pika

from benchmarks.contender import PREFETCH, task, tell


def main(every: int = 1) -> None:
    """Consume as asked; acknowledge *every* so many messages."""
    asked = task()
    with pika.BlockingConnection(pika.URLParameters(asked.url)) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=PREFETCH)
        handled, began = 0, 0.0

        def handle(channel, method, properties, body) -> None:
            nonlocal handled, began
            began = began or time.perf_counter()
            handled += 1
            if handled % every == 0 or handled == asked.number:
                channel.basic_ack(delivery_tag=method.delivery_tag, multiple=every > 1)
            if handled == asked.number:
                channel.stop_consuming()

        channel.basic_consume(queue=asked.queue, on_message_callback=handle)
        channel.start_consuming()
        tell(handled, began)


if __name__ == "__main__":
    main()
