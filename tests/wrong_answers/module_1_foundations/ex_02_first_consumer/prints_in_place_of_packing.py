"""Prints the orders, as the lesson does.

Fails: test_each_order_is_packed
Says: pack() was never called
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
            print("packs", json.loads(body))
            channel.basic_ack(delivery_tag=method.delivery_tag)
            packed += 1
            if packed == n:
                break
    return packed
