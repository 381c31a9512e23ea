"""Keeps one connection for the whole file, and closes it after the first call.

Fails: test_a_second_call_sends_its_own_orders
Says: ConnectionWrongStateError
"""

import json

import pika

connection = None


def send_orders(parameters, orders):
    global connection
    if connection is None:
        connection = pika.BlockingConnection(parameters)
    channel = connection.channel()
    channel.queue_declare(queue="orders", durable=True)
    channel.confirm_delivery()
    for order in orders:
        channel.basic_publish(exchange="", routing_key="orders", body=json.dumps(order))
    connection.close()
    return len(orders)
