"""Sends what to pack, and not for whom.

Fails: test_each_body_is_an_order_as_json
Says: that is none of the orders
"""

import json

import pika


def send_orders(parameters, orders):
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.queue_declare(queue="orders", durable=True)
        channel.confirm_delivery()
        for order in orders:
            channel.basic_publish(exchange="", routing_key="orders", body=json.dumps({"items": order["items"]}))
    return len(orders)
