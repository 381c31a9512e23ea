"""Lets pika repeat the connecting, which repeats a refused login as well.

Fails: test_a_wrong_password_is_tried_once
Says: and your program knocked again
"""

import json

import pika
from pika.exceptions import AMQPConnectionError


def send_with_care(parameters, orders, tries=5):
    parameters.connection_attempts = tries
    parameters.retry_delay = 0.2
    sent, connection = 0, None
    try:
        for order in orders:
            while True:
                if connection is None or connection.is_closed:
                    connection = pika.BlockingConnection(parameters)
                    channel = connection.channel()
                    channel.confirm_delivery()
                try:
                    channel.basic_publish(exchange="", routing_key="orders", body=json.dumps(order))
                    break
                except AMQPConnectionError as error:
                    print("lost the connection:", error)
            sent += 1
    finally:
        if connection and connection.is_open:
            connection.close()
    return sent
