"""Looks after its connection all day, and leaves it open in the evening.

Fails: test_no_connection_is_left_at_the_end
Says: 1 connection of your program was still open
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
    return sent
