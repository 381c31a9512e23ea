"""Deletes each queue before it declares it, as lessons do.

Fails: test_opening_again_keeps_what_waits
Says: Then it was gone from views and from orders and from offers
"""

import json

import pika
from pika.exceptions import ConnectionClosedByBroker, NackError


def open_black_friday(parameters, *numbers, **more):
    while True:  # a quorum queue that was deleted a moment ago may be refused, with 541
        try:
            return delete_and_declare(parameters, *numbers, **more)
        except ConnectionClosedByBroker:
            continue


def delete_and_declare(parameters, most_views, most_orders, offer_seconds):
    queues = {
        "views": {"x-queue-type": "classic", "x-max-length": most_views, "x-overflow": "drop-head"},
        "orders": {"x-queue-type": "quorum", "x-max-length": most_orders, "x-overflow": "reject-publish"},
        "offers": {"x-queue-type": "classic", "x-message-ttl": round(offer_seconds * 1000)},
    }
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        for queue, arguments in queues.items():
            channel.queue_delete(queue=queue)
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
