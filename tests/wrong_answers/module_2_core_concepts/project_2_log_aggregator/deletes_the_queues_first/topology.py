"""Where the lines of all services go: one exchange, four queues."""

import pika
from pika.exceptions import ConnectionClosedByBroker

LOUD = ("warning", "error", "critical")
BINDINGS = {
    "logs.archive": ["#"],
    "logs.alerts": ["*.error", "*.critical"],
    "logs.screen": [f"*.{level}" for level in LOUD],
    "logs.payments": ["payments.*"],
}


def declare(parameters, screen=50):
    while True:  # a quorum queue that was deleted a moment ago may be refused, with 541
        try:
            return delete_and_declare(parameters, screen)
        except ConnectionClosedByBroker:
            continue


def delete_and_declare(parameters, screen):
    arguments = {
        "logs.archive": {"x-queue-type": "stream"},
        "logs.alerts": {"x-queue-type": "quorum"},
        "logs.screen": {"x-queue-type": "classic", "x-max-length": screen, "x-overflow": "drop-head"},
        "logs.payments": {"x-queue-type": "quorum"},
    }
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.exchange_declare(exchange="logs", exchange_type="topic", durable=True)
        for queue, keys in BINDINGS.items():
            channel.queue_delete(queue=queue)
            channel.queue_declare(queue=queue, durable=True, arguments=arguments[queue])
            for key in keys:
                channel.queue_bind(queue=queue, exchange="logs", routing_key=key)
