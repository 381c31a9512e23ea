"""Packs every order and acknowledges none.

Fails: test_each_order_is_packed
Says: order 1, order 2, order 3 lay in the queue again
"""

import json

import pika


def pack_orders(parameters, n, pack):
    packed = 0
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        for method, _, body in channel.consume(queue="orders", inactivity_timeout=0.5):
            if method is None:
                break
            pack(json.loads(body))
            packed += 1
            if packed == n:
                break
    return packed
