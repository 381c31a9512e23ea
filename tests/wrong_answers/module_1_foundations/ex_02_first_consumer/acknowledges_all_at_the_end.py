"""Saves acknowledgements: one for all of them, after the last was packed.

Fails: test_an_order_survives_a_stumble
Says: Packed by then: order 1, order 2. In the queue afterwards: order 1
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
            channel.basic_ack(delivery_tag=tag, multiple=True)
    return packed
