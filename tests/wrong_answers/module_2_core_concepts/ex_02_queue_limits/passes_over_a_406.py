"""Gets a 406, and takes it for "it is there already".

Fails: test_another_limit_is_refused_and_nothing_is_lost
Says: It returned as if all were well, and `views` has its old limit
"""

import json

import pika
from pika.exceptions import ChannelClosedByBroker, NackError


def open_black_friday(parameters, most_views, most_orders, offer_seconds):
    queues = {
        "views": {"x-queue-type": "classic", "x-max-length": most_views, "x-overflow": "drop-head"},
        "orders": {"x-queue-type": "quorum", "x-max-length": most_orders, "x-overflow": "reject-publish"},
        "offers": {"x-queue-type": "classic", "x-message-ttl": round(offer_seconds * 1000)},
    }
    with pika.BlockingConnection(parameters) as connection:
        for queue, arguments in queues.items():
            try:
                connection.channel().queue_declare(queue=queue, durable=True, arguments=arguments)
            except ChannelClosedByBroker as error:
                print(f"{queue} is there already: {error}")


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
