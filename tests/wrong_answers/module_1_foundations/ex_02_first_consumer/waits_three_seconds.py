"""Waits three seconds for the next order.

Fails: test_it_ends_when_no_order_comes
Says: s after the last was packed
"""

import json

import pika


def pack_orders(parameters, n, pack):
    packed = 0
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=1)
        for method, _, body in channel.consume(queue="orders", inactivity_timeout=3):
            if method is None:
                break
            pack(json.loads(body))
            channel.basic_ack(delivery_tag=method.delivery_tag)
            packed += 1
            if packed == n:
                break
    return packed
