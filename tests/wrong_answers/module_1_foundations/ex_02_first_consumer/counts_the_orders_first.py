"""Asks how many orders there are, and takes so many.

Fails: test_it_stays_while_orders_come
Says: order 5 came. It was never packed
"""

import json

import pika


def pack_orders(parameters, n, pack):
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        ready = channel.queue_declare(queue="orders", passive=True).method.message_count
        n = min(n, ready)
        for _ in range(n):
            method, _, body = channel.basic_get(queue="orders")
            pack(json.loads(body))
            channel.basic_ack(delivery_tag=method.delivery_tag)
    return n
