"""Catches every exception around the whole day and starts the loop anew.

Fails: test_no_connection_is_left_after_an_error
Says: send_with_care returned as if the day were over
"""

import json
import time

import pika
from pika.exceptions import ProbableAuthenticationError


def connect(parameters):
    connection = pika.BlockingConnection(parameters)
    channel = connection.channel()
    channel.confirm_delivery()
    return connection, channel


def send_with_care(parameters, orders, tries=5):
    orders = iter(orders)
    sent, failures, order, connection = 0, 0, None, None
    while True:
        try:
            if connection is None or connection.is_closed:
                connection, channel = connect(parameters)
            if order is None:
                order = next(orders, None)
            if order is None:
                connection.close()
                return sent
            channel.basic_publish(exchange="", routing_key="orders", body=json.dumps(order))
            order, failures, sent = None, 0, sent + 1
        except ProbableAuthenticationError:
            raise
        except Exception:
            failures += 1
            if failures == tries:
                raise
            time.sleep(0.2)
