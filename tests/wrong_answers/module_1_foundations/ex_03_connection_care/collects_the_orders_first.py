"""Makes a list of all orders before it sends the first.

Fails: test_each_order_is_sent_before_the_next
Says: 0 of the four before it were in the queue
"""

import json
import time

import pika
from pika.exceptions import AMQPConnectionError, ProbableAuthenticationError


def send_with_care(parameters, orders, tries=5):
    waiting = list(orders)
    sent = 0
    for attempt in range(tries):
        try:
            with pika.BlockingConnection(parameters) as connection:
                channel = connection.channel()
                channel.confirm_delivery()
                while waiting:
                    channel.basic_publish(exchange="", routing_key="orders", body=json.dumps(waiting[0]))
                    waiting.pop(0)
                    sent += 1
            return sent
        except ProbableAuthenticationError:
            raise
        except AMQPConnectionError:
            if attempt == tries - 1:
                raise
            time.sleep(0.2)
    return sent
