"""Makes a list of the orders before it sends the first.

Fails: test_the_till_goes_on_when_there_is_room_again
Says: before order 9 a packer looked into `orders`: none of the first eight was there
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
    orders = list(orders)
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for order in orders:
            try:
                channel.basic_publish(exchange="", routing_key="orders", body=json.dumps(order))
            except NackError:
                refused.append(order)
    return refused
