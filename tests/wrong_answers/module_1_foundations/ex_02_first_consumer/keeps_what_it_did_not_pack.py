"""Never closes its connection, so that the orders sent ahead stay with it.

Fails: test_the_rest_stays_ready
Says: RabbitMQ held 3 as delivered to you
"""

import json

import pika


def pack_orders(parameters, n, pack):
    connection = pika.BlockingConnection(parameters)
    channel = connection.channel()
    packed = 0
    for method, _, body in channel.consume(queue="orders", inactivity_timeout=0.5):
        if method is None:
            break
        pack(json.loads(body))
        channel.basic_ack(delivery_tag=method.delivery_tag)
        packed += 1
        if packed == n:
            break
    return packed
