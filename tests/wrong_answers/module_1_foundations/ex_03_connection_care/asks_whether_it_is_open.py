"""Asks pika before each order whether the connection is open, and relies on the answer.

Fails: test_a_closed_connection_loses_no_order
Says: before order 11. Your program ended with
"""

import json

import pika


def connect(parameters):
    connection = pika.BlockingConnection(parameters)
    channel = connection.channel()
    channel.confirm_delivery()
    return connection, channel


def send_with_care(parameters, orders, tries=5):
    sent = 0
    connection, channel = connect(parameters)
    for order in orders:
        if connection.is_closed or channel.is_closed:
            connection, channel = connect(parameters)
        channel.basic_publish(exchange="", routing_key="orders", body=json.dumps(order))
        sent += 1
    connection.close()
    return sent
