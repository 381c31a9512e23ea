"""Tries again whatever the error is, a refused login too.

Fails: test_a_wrong_password_is_tried_once
Says: and your program knocked again
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
    sent, connection = 0, None
    try:
        for order in orders:
            for attempt in range(tries):
                try:
                    if connection is None or connection.is_closed:
                        connection, channel = connect(parameters)
                    channel.basic_publish(exchange="", routing_key="orders", body=json.dumps(order))
                    break
                except AMQPConnectionError:
                    if attempt == tries - 1:
                        raise
                    time.sleep(0.2)
            sent += 1
    finally:
        if connection and connection.is_open:
            connection.close()
    return sent
