"""Publishes without asking for receipts.

Fails: test_a_refused_order_does_not_count_as_sent
Says: as if all were well
"""

import json

import pika


def send_orders(parameters, orders):
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.queue_declare(queue="orders", durable=True)
        for order in orders:
            channel.basic_publish(exchange="", routing_key="orders", body=json.dumps(order))
    return len(orders)
