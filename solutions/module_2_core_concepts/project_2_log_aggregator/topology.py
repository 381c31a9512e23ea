"""Where the lines of all services go: one exchange, four queues."""

import pika

LOUD = ("warning", "error", "critical")
BINDINGS = {
    "logs.archive": ["#"],
    "logs.alerts": ["*.error", "*.critical"],
    "logs.screen": [f"*.{level}" for level in LOUD],
    "logs.payments": ["payments.*"],
}


def declare(parameters, screen=50):
    """Declare the exchange ``logs`` and the four queues, and bind them. Called again, it changes nothing.

    It is called whenever one of the programs begins: what is there stays, and so do the messages in it and the bindings that others have
    made.

    A line's routing key is ``<source>.<level>``: ``till.error``. One line goes to each queue that it is for, once:

    * ``logs.archive``, a stream, gets every line;
    * ``logs.alerts``, a quorum queue, gets every ``error`` and every ``critical``;
    * ``logs.screen``, a classic queue, gets every ``warning``, ``error`` and ``critical``, and keeps the newest *screen* of them;
    * ``logs.payments``, a quorum queue, gets every line of the source ``payments``, of whatever level.

    Args:
        parameters: The ``pika.ConnectionParameters`` to connect with.
        screen: How many lines ``logs.screen`` keeps.
    """
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
            channel.queue_declare(queue=queue, durable=True, arguments=arguments[queue])
            for key in keys:
                channel.queue_bind(queue=queue, exchange="logs", routing_key=key)
