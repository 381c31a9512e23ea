"""AMQPStorm, which awaits the confirm of each message."""

import time

import amqpstorm

from benchmarks.contender import BODY, PERSISTENT, task, tell


def main() -> None:
    """Publish as asked."""
    asked = task()
    where = {"port": asked.port, "virtual_host": asked.vhost}
    with amqpstorm.Connection(asked.host, asked.user, asked.password, **where) as connection, connection.channel() as channel:
        channel.confirm_deliveries()
        sent, began = 0, time.perf_counter()
        while asked.wants_more(sent, began):
            properties = {"message_id": str(sent), "delivery_mode": PERSISTENT}
            channel.basic.publish(BODY, routing_key=asked.queue, properties=properties, mandatory=True)
            sent += 1
        tell(sent, began)


if __name__ == "__main__":
    main()
