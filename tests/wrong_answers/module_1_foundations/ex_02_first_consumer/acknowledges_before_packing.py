"""Acknowledges an order and packs it then.

Fails: test_an_order_survives_a_stumble
Says: Order 3 was never packed, and it is in no queue
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
            channel.basic_ack(delivery_tag=method.delivery_tag)
            pack(json.loads(body))
            packed += 1
            if packed == n:
                break
    return packed
