"""Acknowledges none and leaves its connection open, so that all stay with it.

Fails: test_each_order_is_packed
Says: had 3 of them marked as delivered and not acknowledged
"""

import json

import pika


def pack_orders(parameters, n, pack):
    connection = pika.BlockingConnection(parameters)
    channel = connection.channel()
    for number in range(n):
        method, _, body = channel.basic_get(queue="orders")
        if method is None:
            return number
        pack(json.loads(body))
    return n
