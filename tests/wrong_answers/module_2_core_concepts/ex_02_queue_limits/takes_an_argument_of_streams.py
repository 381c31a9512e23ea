"""Takes the age of a stream for the lifetime of messages in a classic queue.

Fails: test_the_newest_views_stay
Says: A kind of queue takes some arguments and not others
"""

import json

import pika
from pika.exceptions import NackError


def open_black_friday(parameters, most_views, most_orders, offer_seconds):
    queues = {
        "views": {"x-queue-type": "classic", "x-max-length": most_views, "x-overflow": "drop-head"},
        "orders": {"x-queue-type": "quorum", "x-max-length": most_orders, "x-overflow": "reject-publish"},
        "offers": {"x-queue-type": "classic", "x-max-age": f"{offer_seconds}s"},
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
