"""Closes its connection after the last order, and not when an exception comes by.

Fails: test_no_connection_is_left_after_an_error
Says: When it reached our caller, 1 connection
"""

import json
import time

import pika
from pika.exceptions import AMQPConnectionError, ProbableAuthenticationError


def connect(parameters):
    connection = pika.BlockingConnection(parameters)
    channel = connection.channel()
    channel.confirm_delivery()
    return connection, channel


def send_with_care(parameters, orders, tries=5):
    sent, connection = 0, None
    for order in orders:
        for attempt in range(tries):
            try:
                if connection is None or connection.is_closed:
                    connection, channel = connect(parameters)
                channel.basic_publish(exchange="", routing_key="orders", body=json.dumps(order))
                break
            except ProbableAuthenticationError:
                raise
            except AMQPConnectionError:
                if attempt == tries - 1:
                    raise
                time.sleep(0.2)
        sent += 1
    if connection and connection.is_open:
        connection.close()
    return sent
