"""Opens a new connection when one is lost, and goes on with the next order.

Fails: test_a_closed_connection_loses_no_order
Says: before order 11. Order 11 is in no queue
"""

import json
import time

import pika
from pika.exceptions import AMQPConnectionError, ProbableAuthenticationError


def send_with_care(parameters, orders, tries=5):
    orders = iter(orders)
    sent, failures, done = 0, 0, False
    while not done:
        try:
            with pika.BlockingConnection(parameters) as connection:
                channel = connection.channel()
                channel.confirm_delivery()
                for order in orders:
                    channel.basic_publish(exchange="", routing_key="orders", body=json.dumps(order))
                    sent, failures = sent + 1, 0
                done = True
        except ProbableAuthenticationError:
            raise
        except AMQPConnectionError:
            failures += 1
            if failures == tries:
                raise
            time.sleep(0.2)
    return sent
