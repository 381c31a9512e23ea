"""Lets RabbitMQ take every order as acknowledged at the moment when it is sent.

Fails: test_the_rest_stays_ready
Says: it is sent
"""

import json

import pika


def pack_orders(parameters, n, pack):
    packed = 0
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        for method, _, body in channel.consume(queue="orders", auto_ack=True, inactivity_timeout=0.5):
            if method is None:
                break
            pack(json.loads(body))
            packed += 1
            if packed == n:
                break
    return packed
