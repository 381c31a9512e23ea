"""Collects the orders in a list of the file, and sends the whole list each time.

Fails: test_a_second_call_sends_its_own_orders
Says: holds 5 messages
"""

import json

import pika

to_send = []


def send_orders(parameters, orders):
    to_send.extend(orders)
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.queue_declare(queue="orders", durable=True)
        channel.confirm_delivery()
        for order in to_send:
            channel.basic_publish(exchange="", routing_key="orders", body=json.dumps(order))
    return len(orders)
