"""Takes one order at a time, each acknowledged as it is sent.

Fails: test_an_order_survives_a_stumble
Says: was never packed, and it is in no queue
"""

import json

import pika


def pack_orders(parameters, n, pack):
    packed = 0
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        while packed < n:
            method, _, body = channel.basic_get(queue="orders", auto_ack=True)
            if method is None:
                break
            pack(json.loads(body))
            packed += 1
    return packed
