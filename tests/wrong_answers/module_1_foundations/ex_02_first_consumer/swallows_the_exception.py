"""Catches whatever pack() raises, prints it and goes home.

Fails: test_an_order_survives_a_stumble
Says: its caller never learnt of it
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
                print("could not pack:", error)
                break
            channel.basic_ack(delivery_tag=method.delivery_tag)
            packed += 1
            if packed == n:
                break
    return packed
