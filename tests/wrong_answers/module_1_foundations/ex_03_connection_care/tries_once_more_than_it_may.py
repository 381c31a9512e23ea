"""Counts the tries that follow the first one.

Fails: test_it_gives_up_when_nobody_answers
Says: three times, and RabbitMQ's port closed at once each time. It knocked a fourth time
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
            for attempt in range(tries + 1):
                try:
                    if connection is None or connection.is_closed:
                        connection, channel = connect(parameters)
                    channel.basic_publish(exchange="", routing_key="orders", body=json.dumps(order))
                    break
                except ProbableAuthenticationError:
                    raise
                except AMQPConnectionError:
                    if attempt == tries:
                        raise
                    time.sleep(0.2)
            sent += 1
    finally:
        if connection and connection.is_open:
            connection.close()
    return sent
