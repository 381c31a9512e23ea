"""Opens a new connection when one is lost; the first one must work, and the second.

Fails: test_a_broker_is_away_for_a_moment
Says: The first two times
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
    sent = 0
    connection, channel = connect(parameters)
    try:
        for order in orders:
            try:
                channel.basic_publish(exchange="", routing_key="orders", body=json.dumps(order))
            except AMQPConnectionError:
                time.sleep(0.2)
                connection, channel = connect(parameters)
                channel.basic_publish(exchange="", routing_key="orders", body=json.dumps(order))
            sent += 1
    finally:
        if connection.is_open:
            connection.close()
    return sent
