"""Never closes the connection.

Fails: test_no_connection_is_left_open
Says: 1 connection of it stayed open
"""

import json

import pika


def send_orders(parameters, orders):
    connection = pika.BlockingConnection(parameters)
    channel = connection.channel()
    channel.queue_declare(queue="orders", durable=True)
    channel.confirm_delivery()
    for order in orders:
        channel.basic_publish(exchange="", routing_key="orders", body=json.dumps(order))
    return len(orders)
