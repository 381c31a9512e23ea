"""Takes one order at a time, and goes home when there is none at this moment.

Fails: test_it_stays_while_orders_come
Says: order 5 came. It was never packed
"""

import json

import pika


def pack_orders(parameters, n, pack):
    packed = 0
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        while packed < n:
            method, _, body = channel.basic_get(queue="orders")
            if method is None:
                break
            pack(json.loads(body))
            channel.basic_ack(delivery_tag=method.delivery_tag)
            packed += 1
    return packed
