"""kombu, over py-amqp with publisher confirms, which it awaits after each message."""

import time

import kombu

from benchmarks.contender import BODY, PERSISTENT, task, tell


def main() -> None:
    """Publish as asked."""
    asked = task()
    url = asked.url.replace("amqp://", "pyamqp://")
    with kombu.Connection(url, transport_options={"confirm_publish": True}) as connection:
        producer = connection.Producer()
        producer.publish(BODY, routing_key=asked.queue)  # it is connected
        sent, began = 0, time.perf_counter()
        while asked.wants_more(sent, began):
            producer.publish(
                BODY,
                routing_key=asked.queue,
                content_type="application/octet-stream",
                content_encoding="binary",
                delivery_mode=PERSISTENT,
                message_id=str(sent),
            )
            sent += 1
        tell(sent, began)


if __name__ == "__main__":
    main()
