"""Lets what comes meanwhile wait in an exclusive queue, and passes it on in the end: it goes with its program.

Fails: test_a_move_that_was_killed_is_ended_by_the_next
Says: in no queue
"""

import pika

CLASSIC = {"x-queue-type": "classic"}


def lay_out(parameters, table):
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        for exchange, kind, alternate in (
            ("returns.unrouted", "fanout", {}),
            ("returns.moving", "direct", {"alternate-exchange": "returns.unrouted"}),
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
        channel.confirm_delivery()
        channel.queue_declare(queue="returns.waiting", exclusive=True)
        channel.queue_bind(queue="returns.waiting", exchange="returns.moving", routing_key=key)
        channel.queue_unbind(queue=source, exchange="returns", routing_key=key)
        channel.queue_bind(queue=target, exchange="returns", routing_key=key)
        channel.queue_unbind(queue="returns.waiting", exchange="returns.moving", routing_key=key)
        while (found := channel.basic_get(queue="returns.waiting"))[0]:
            channel.basic_publish(exchange="", routing_key=target, body=found[2])
            channel.basic_ack(delivery_tag=found[0].delivery_tag)
