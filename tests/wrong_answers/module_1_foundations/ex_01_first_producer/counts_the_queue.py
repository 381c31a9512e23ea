"""Returns what the queue holds, and not what it has sent.

Fails: test_it_says_how_many_were_sent
Says: it returned 5
"""

import json

import pika


def send_orders(parameters, orders):
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.queue_declare(queue="orders", durable=True)
        channel.confirm_delivery()
        for order in orders:
            channel.basic_publish(exchange="", routing_key="orders", body=json.dumps(order))
        return channel.queue_declare(queue="orders", durable=True, passive=True).method.message_count
