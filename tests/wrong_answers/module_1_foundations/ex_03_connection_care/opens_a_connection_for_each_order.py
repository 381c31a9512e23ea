"""Connects anew for each order, so that none is ever lost, and closes after it.

Fails: test_each_order_is_sent_before_the_next
Says: it had no connection open
"""

import json
import time

import pika
from pika.exceptions import AMQPConnectionError, ProbableAuthenticationError


def send_with_care(parameters, orders, tries=5):
    sent = 0
    for order in orders:
        for attempt in range(tries):
            try:
                with pika.BlockingConnection(parameters) as connection:
                    channel = connection.channel()
                    channel.confirm_delivery()
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
