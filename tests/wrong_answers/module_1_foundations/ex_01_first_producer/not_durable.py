"""Declares the queue as most tutorials do, without durable=True.

Fails: test_each_order_becomes_one_message
Says: 541 INTERNAL_ERROR
"""

import json

import pika


def send_orders(parameters, orders):
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.queue_declare(queue="orders")
        channel.confirm_delivery()
        for order in orders:
            channel.basic_publish(exchange="", routing_key="orders", body=json.dumps(order))
    return len(orders)
