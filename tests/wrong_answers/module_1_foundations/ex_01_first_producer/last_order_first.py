"""Takes the orders from the end of the list.

Fails: test_the_orders_stay_in_line
Says: Cem, Zoë, Ada
"""

import json

import pika


def send_orders(parameters, orders):
    sent = 0
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.queue_declare(queue="orders", durable=True)
        channel.confirm_delivery()
        while orders:
            channel.basic_publish(exchange="", routing_key="orders", body=json.dumps(orders.pop()))
            sent += 1
    return sent
