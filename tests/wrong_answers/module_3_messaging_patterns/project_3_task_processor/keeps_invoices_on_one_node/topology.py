"""Where invoices wait, where they end, and where their results go."""

import pika

QUEUES = ("invoices", "invoices.failed", "invoices.results")


def declare(parameters):
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        for queue in QUEUES:
            channel.queue_declare(queue=queue, durable=True, arguments={"x-queue-type": "classic", "x-max-priority": 10})
