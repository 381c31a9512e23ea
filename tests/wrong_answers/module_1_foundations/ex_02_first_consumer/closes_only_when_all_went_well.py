"""Closes its connection after the last order, and not when pack() raises.

Fails: test_an_order_survives_a_stumble
Says: the program was still running
"""

import json

import pika


def pack_orders(parameters, n, pack):
    connection = pika.BlockingConnection(parameters)
    channel = connection.channel()
    channel.basic_qos(prefetch_count=1)
    packed = 0
    for method, _, body in channel.consume(queue="orders", inactivity_timeout=0.5):
        if method is None:
            break
        pack(json.loads(body))
        channel.basic_ack(delivery_tag=method.delivery_tag)
        packed += 1
        if packed == n:
            break
    connection.close()
    return packed
