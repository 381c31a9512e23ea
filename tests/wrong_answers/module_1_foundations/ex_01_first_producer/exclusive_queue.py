"""Declares the queue exclusive, so that it goes with the connection.

Fails: test_each_order_becomes_one_message
Says: There is no queue `orders`
"""

import json

import pika


def send_orders(parameters, orders):
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.queue_declare(queue="orders", exclusive=True)
        channel.confirm_delivery()
        for order in orders:
            channel.basic_publish(exchange="", routing_key="orders", body=json.dumps(order))
    return len(orders)
