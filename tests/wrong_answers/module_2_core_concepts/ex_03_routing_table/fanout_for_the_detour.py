"""Makes the stand-in of the move a fanout exchange, as stand-ins are in the lesson.

Fails: test_nothing_is_lost_and_nothing_twice
Says: a fanout exchange does not look at it
"""

import pika

CLASSIC = {"x-queue-type": "classic"}


def lay_out(parameters, table):
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        for exchange, kind, alternate in (
            ("returns.unrouted", "fanout", {}),
            ("returns.moving", "fanout", {"alternate-exchange": "returns.unrouted"}),
            ("returns", "direct", {"alternate-exchange": "returns.moving"}),
        ):
            channel.exchange_declare(exchange=exchange, exchange_type=kind, durable=True, arguments=alternate)
        channel.queue_declare(queue="returns.lost", durable=True, arguments=CLASSIC)
        channel.queue_bind(queue="returns.lost", exchange="returns.unrouted")
        for key, desk in table.items():
            channel.queue_declare(queue=desk, durable=True, arguments=CLASSIC)
            channel.queue_bind(queue=desk, exchange="returns", routing_key=key)


def move(parameters, key, source, target):
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.queue_bind(queue=target, exchange="returns.moving", routing_key=key)
        channel.queue_unbind(queue=source, exchange="returns", routing_key=key)
        channel.queue_bind(queue=target, exchange="returns", routing_key=key)
        channel.queue_unbind(queue=target, exchange="returns.moving", routing_key=key)
