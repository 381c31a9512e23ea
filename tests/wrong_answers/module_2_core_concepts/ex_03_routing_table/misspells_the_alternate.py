"""Gives the argument the `x-` that the arguments of queues have: RabbitMQ takes it, and does nothing.

Fails: test_a_key_that_is_not_in_the_table_is_kept
Says: the arguments of your exchange_declare, letter by letter
"""

import pika

CLASSIC = {"x-queue-type": "classic"}


def lay_out(parameters, table):
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        for exchange, kind, alternate in (
            ("returns.unrouted", "fanout", {}),
            ("returns.moving", "direct", {"alternate-exchange": "returns.unrouted"}),
            ("returns", "direct", {"x-alternate-exchange": "returns.moving"}),
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
