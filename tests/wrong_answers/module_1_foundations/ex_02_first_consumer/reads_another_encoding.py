"""Decodes the body as Latin-1.

Fails: test_each_order_is_packed
Says: it has other letters
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
            pack(json.loads(body.decode("latin-1")))
            channel.basic_ack(delivery_tag=method.delivery_tag)
            packed += 1
            if packed == n:
                break
    return packed
