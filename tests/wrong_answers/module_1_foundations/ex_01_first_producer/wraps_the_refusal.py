"""Raises an exception of its own in place of pika's.

Fails: test_a_refused_order_does_not_count_as_sent
Says: pika's own NackError was expected to come through
"""

import json

import pika


def send_orders(parameters, orders):
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.queue_declare(queue="orders", durable=True)
        channel.confirm_delivery()
        for order in orders:
            try:
                channel.basic_publish(exchange="", routing_key="orders", body=json.dumps(order))
            except pika.exceptions.NackError as error:
                raise RuntimeError(f"refused: {order}") from error
    return len(orders)
