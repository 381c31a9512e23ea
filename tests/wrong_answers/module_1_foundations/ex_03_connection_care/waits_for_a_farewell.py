"""Reconnects when RabbitMQ says that it closes the connection, and not when it is gone without a word.

Fails: test_an_idle_connection_loses_no_order
Says: gave it up. Your program ended with StreamLostError
"""

import json

import pika
from pika.exceptions import ConnectionClosedByBroker


def connect(parameters):
    connection = pika.BlockingConnection(parameters)
    channel = connection.channel()
    channel.confirm_delivery()
    return connection, channel


def send_with_care(parameters, orders, tries=5):
    sent = 0
    connection, channel = connect(parameters)
    for order in orders:
        for _ in range(tries):
            try:
                channel.basic_publish(exchange="", routing_key="orders", body=json.dumps(order))
                break
            except ConnectionClosedByBroker:
                connection, channel = connect(parameters)
        sent += 1
    connection.close()
    return sent
