"""Deletes the queue before it begins, as the lesson's send() does in order to be repeatable.

Fails: test_orders_that_wait_are_still_there
Says: Dora and Eva's were gone
"""

import json

import pika


def send_orders(parameters, orders):
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.queue_delete(queue="orders")
        channel.queue_declare(queue="orders", durable=True)
        channel.confirm_delivery()
        for order in orders:
            channel.basic_publish(exchange="", routing_key="orders", body=json.dumps(order))
    return len(orders)
