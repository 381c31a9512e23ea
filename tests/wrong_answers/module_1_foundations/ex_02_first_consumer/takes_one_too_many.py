"""Looks at the number before it counts the order in hand.

Fails: test_the_rest_stays_ready
Says: pack() was handed order 1, order 2, order 3.
"""

import json

import pika


def pack_orders(parameters, n, pack):
    packed = 0
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=1)
        for method, _, body in channel.consume(queue="orders", inactivity_timeout=0.5):
            if method is None:
                break
            pack(json.loads(body))
            channel.basic_ack(delivery_tag=method.delivery_tag)
            if packed == n:
                break
            packed += 1
    return packed
