"""Takes the queue's name for the name of an exchange.

Fails: test_each_order_becomes_one_message
Says: 404 NOT_FOUND - no exchange 'orders'
"""

import json

import pika


def send_orders(parameters, orders):
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.queue_declare(queue="orders", durable=True)
        channel.confirm_delivery()
        for order in orders:
            channel.basic_publish(exchange="orders", routing_key="orders", body=json.dumps(order))
    return len(orders)
