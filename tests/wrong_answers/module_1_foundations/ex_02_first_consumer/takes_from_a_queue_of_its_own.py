"""Misspells the queue, and declares what it has misspelt.

Fails: test_each_order_is_packed
Says: took nothing from where `parameters` leads
"""

import json

import pika


def pack_orders(parameters, n, pack):
    packed = 0
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.queue_declare(queue="order", durable=True)
        channel.basic_qos(prefetch_count=1)
        for method, _, body in channel.consume(queue="order", inactivity_timeout=0.5):
            if method is None:
                break
            pack(json.loads(body))
            channel.basic_ack(delivery_tag=method.delivery_tag)
            packed += 1
            if packed == n:
                break
    return packed
