"""Counts the half second from the start, and not from the last order.

Fails: test_it_stays_while_orders_come
Says: The time that the work takes is no silence
"""

import json
import time

import pika


def pack_orders(parameters, n, pack):
    packed, end = 0, time.monotonic() + 0.5
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        while packed < n and time.monotonic() < end:
            method, _, body = channel.basic_get(queue="orders")
            if method is None:
                connection.sleep(0.02)
                continue
            pack(json.loads(body))
            channel.basic_ack(delivery_tag=method.delivery_tag)
            packed += 1
    return packed
