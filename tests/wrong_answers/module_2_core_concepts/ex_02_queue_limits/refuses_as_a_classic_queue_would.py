"""Asks a quorum queue to refuse with a word that only a classic queue follows.

Fails: test_an_order_too_many_is_refused
Says: something that this kind of queue does not follow
"""

import json

import pika
from pika.exceptions import NackError


def open_black_friday(parameters, most_views, most_orders, offer_seconds):
    queues = {
        "views": {"x-queue-type": "classic", "x-max-length": most_views, "x-overflow": "drop-head"},
        "orders": {"x-queue-type": "quorum", "x-max-length": most_orders, "x-overflow": "reject-publish-dlx"},
        "offers": {"x-queue-type": "classic", "x-message-ttl": round(offer_seconds * 1000)},
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
                channel.basic_publish(exchange="", routing_key="orders", body=json.dumps(order))
            except NackError:
                refused.append(order)
    return refused
