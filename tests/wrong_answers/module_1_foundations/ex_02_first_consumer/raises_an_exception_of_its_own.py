"""Turns what pack() raises into a RuntimeError.

Fails: test_an_order_survives_a_stumble
Says: what reached the caller of pack_orders was RuntimeError
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
            try:
                pack(json.loads(body))
            except Exception as error:
                raise RuntimeError("could not pack") from error
            channel.basic_ack(delivery_tag=method.delivery_tag)
            packed += 1
            if packed == n:
                break
    return packed
