"""Acknowledges once, for the last order, and thinks that this is for all of them.

Fails: test_each_order_is_packed
Says: order 1, order 2 lay in the queue again
"""

import json

import pika


def pack_orders(parameters, n, pack):
    packed, tag = 0, None
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        for method, _, body in channel.consume(queue="orders", inactivity_timeout=0.5):
            if method is None:
                break
            pack(json.loads(body))
            packed, tag = packed + 1, method.delivery_tag
            if packed == n:
                break
        if tag:
            channel.basic_ack(delivery_tag=tag)
    return packed
