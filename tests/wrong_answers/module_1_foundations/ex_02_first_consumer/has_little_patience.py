"""Waits a tenth of a second for the next order.

Fails: test_it_stays_while_orders_come
Says: order 5 came. It was never packed
"""

import json

import pika


def pack_orders(parameters, n, pack):
    packed = 0
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=1)
        for method, _, body in channel.consume(queue="orders", inactivity_timeout=0.1):
            if method is None:
                break
            pack(json.loads(body))
            channel.basic_ack(delivery_tag=method.delivery_tag)
            packed += 1
            if packed == n:
                break
    return packed
