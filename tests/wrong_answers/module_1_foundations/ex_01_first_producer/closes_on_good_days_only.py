"""Closes the connection in the last line, which an exception does not reach.

Fails: test_no_connection_is_left_open
Says: RabbitMQ refused an order, and the exception came out of send_orders; the program went on, and 1 connection of it stayed open
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
    connection.close()
    return len(orders)
