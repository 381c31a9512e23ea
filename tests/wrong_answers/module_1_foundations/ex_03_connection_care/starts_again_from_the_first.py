"""Sends all orders of the day again when the connection was lost, to be on the safe side.

Fails: test_a_closed_connection_loses_no_order
Says: came again, although RabbitMQ had them already
"""

import json
import time

import pika
from pika.exceptions import AMQPConnectionError


def connect(parameters):
    connection = pika.BlockingConnection(parameters)
    channel = connection.channel()
    channel.confirm_delivery()
    return connection, channel


def send_with_care(parameters, orders, tries=5):
    so_far = []
    connection, channel = connect(parameters)
    for order in orders:
        so_far.append(order)
        try:
            channel.basic_publish(exchange="", routing_key="orders", body=json.dumps(order))
        except AMQPConnectionError:
            time.sleep(0.2)
            connection, channel = connect(parameters)
            for earlier in so_far:
                channel.basic_publish(exchange="", routing_key="orders", body=json.dumps(earlier))
    connection.close()
    return len(so_far)
