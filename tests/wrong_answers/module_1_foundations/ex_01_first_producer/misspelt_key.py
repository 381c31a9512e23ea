"""Declares `orders` and publishes to `order`.

Fails: test_each_order_becomes_one_message
Says: and it is empty
"""

import json

import pika


def send_orders(parameters, orders):
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.queue_declare(queue="orders", durable=True)
        channel.confirm_delivery()
        for order in orders:
            channel.basic_publish(exchange="", routing_key="order", body=json.dumps(order))
    return len(orders)
