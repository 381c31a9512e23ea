"""Where invoices wait, where they end, and where their results go."""

import pika

QUEUES = ("invoices", "invoices.failed", "invoices.results")


def declare(parameters):
    """Declare the queues ``invoices``, ``invoices.failed`` and ``invoices.results``. Called again, it changes nothing.

    All three are quorum queues: no invoice and no result is to go with a node, and ``invoices`` is to heed priorities.

    Args:
        parameters: The ``pika.ConnectionParameters`` to connect with.
    """
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        for queue in QUEUES:
            channel.queue_declare(queue=queue, durable=True, arguments={"x-queue-type": "quorum"})
