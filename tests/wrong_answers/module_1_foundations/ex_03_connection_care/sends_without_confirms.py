"""Reconnects with care, and takes an order as sent when its bytes have left.

Fails: test_an_order_on_a_breaking_line_is_not_lost
Says: Order 11 is in no queue
"""

import json
import time

import pika
from pika.exceptions import AMQPConnectionError, ProbableAuthenticationError


def send_with_care(parameters, orders, tries=5):
    sent, connection = 0, None
    try:
        for order in orders:
            for attempt in range(tries):
                try:
                    if connection is None or connection.is_closed:
                        connection = pika.BlockingConnection(parameters)
                        channel = connection.channel()
                    channel.basic_publish(exchange="", routing_key="orders", body=json.dumps(order))
                    break
                except ProbableAuthenticationError:
                    raise
                except AMQPConnectionError:
                    if attempt == tries - 1:
                        raise
                    time.sleep(0.2)
            sent += 1
    finally:
        if connection and connection.is_open:
            connection.close()
    return sent
