"""Where orders wait, and where those go that nobody can handle. This file is given.

In production an administrator makes the queues, and the programs have no right to. Here each program makes them when it is started from
the shell; the functions that you write find them there.
"""

import os

import pika

QUEUE = "shop.orders"
DEAD = "shop.orders.dead"
LOCAL_CLUSTER = ",".join(f"amqp://guest:guest@localhost:{port}/%2F" for port in (5672, 5673, 5674))
ARGUMENTS = {
    "x-queue-type": "quorum",
    # The safety net: a message that failed 21 times is parked, and no message leaves before the other queue has it.
    "x-delivery-limit": 20,
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": DEAD,
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
    # A consumer that cannot be reached keeps its messages for three seconds. The default is a minute.
    "x-consumer-disconnected-timeout": 3000,
}


def addresses():
    """The nodes to connect to, as a list of URLs: those in the environment variable AMQP_URLS, or the local cluster."""
    return os.environ.get("AMQP_URLS", LOCAL_CLUSTER).split(",")


def declare(urls):
    """Make both queues. Where they are already, nothing changes.

    Args:
        urls: The nodes, any of which will do.
    """
    with pika.BlockingConnection([pika.URLParameters(url) for url in urls]) as connection:
        channel = connection.channel()
        # A letter keeps its count of failures: with a limit, the first look at one that has 21 would destroy it (lesson 4.2).
        channel.queue_declare(queue=DEAD, durable=True, arguments={"x-queue-type": "quorum", "x-delivery-limit": -1})
        channel.queue_declare(queue=QUEUE, durable=True, arguments=ARGUMENTS)
