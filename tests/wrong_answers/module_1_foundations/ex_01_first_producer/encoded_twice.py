"""Encodes the order, and then encodes the text.

Fails: test_each_body_is_an_order_as_json
Says: got a str in place of
"""

import json

import pika


def send_orders(parameters, orders):
    texts = [json.dumps(order) for order in orders]
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.queue_declare(queue="orders", durable=True)
        channel.confirm_delivery()
        for text in texts:
            channel.basic_publish(exchange="", routing_key="orders", body=json.dumps(text).encode())
    return len(orders)
