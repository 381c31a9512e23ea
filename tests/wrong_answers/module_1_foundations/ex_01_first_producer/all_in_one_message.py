"""Sends the whole list as one message.

Fails: test_each_order_becomes_one_message
Says: holds 1 message.
"""

import json

import pika


def send_orders(parameters, orders):
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.queue_declare(queue="orders", durable=True)
        channel.confirm_delivery()
        channel.basic_publish(exchange="", routing_key="orders", body=json.dumps(orders))
    return len(orders)
