"""Takes a number of seconds times a thousand for a whole number: with 0.8 it is a float.

Fails: test_an_offer_is_good_for_its_time
Says: has no way to write a float
"""

import json

import pika
from pika.exceptions import NackError


def open_black_friday(parameters, most_views, most_orders, offer_seconds):
    queues = {
        "views": {"x-queue-type": "classic", "x-max-length": most_views, "x-overflow": "drop-head"},
        "orders": {"x-queue-type": "quorum", "x-max-length": most_orders, "x-overflow": "reject-publish"},
        "offers": {"x-queue-type": "classic", "x-message-ttl": offer_seconds * 1000},
    }
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        for queue, arguments in queues.items():
            channel.queue_declare(queue=queue, durable=True, arguments=arguments)


def take_orders(parameters, orders):
    refused = []
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for order in orders:
            try:
                channel.basic_publish(exchange="", routing_key="orders", body=json.dumps(order).encode())
            except NackError:
                refused.append(order)
    return refused
