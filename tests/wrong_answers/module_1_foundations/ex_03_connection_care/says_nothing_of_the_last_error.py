"""Goes on with the next order when the last try has failed.

Fails: test_it_gives_up_when_nobody_answers
Says: no order got through; send_with_care returned 0
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
    try:
        for order in orders:
            for attempt in range(tries):
                try:
                    if connection is None or connection.is_closed:
                        connection, channel = connect(parameters)
                    channel.basic_publish(exchange="", routing_key="orders", body=json.dumps(order))
                    sent += 1
                    break
                except ProbableAuthenticationError:
                    raise
                except AMQPConnectionError as error:
                    print("try", attempt + 1, "failed:", error)
                    time.sleep(0.2)
    finally:
        if connection and connection.is_open:
            connection.close()
    return sent
