"""Returns the orders that were taken.

Fails: test_the_till_hears_of_each_refusal
Says: who hears no has to be told by somebody
"""

import json

import pika
from pika.exceptions import NackError


def open_black_friday(parameters, most_views, most_orders, offer_seconds):
    queues = {
        "views": {"x-queue-type": "classic", "x-max-length": most_views, "x-overflow": "drop-head"},
        "orders": {"x-queue-type": "quorum", "x-max-length": most_orders, "x-overflow": "reject-publish"},
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
                channel.basic_publish(exchange="", routing_key="orders", body=json.dumps(order).encode())
                refused.append(order)
            except NackError:
                pass
    return refused
