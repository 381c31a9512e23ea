"""Writes the order down as Python would print it, which is not JSON.

Fails: test_each_body_is_an_order_as_json
Says: could not read it as JSON
"""

import pika


def send_orders(parameters, orders):
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.queue_declare(queue="orders", durable=True)
        channel.confirm_delivery()
        for order in orders:
            channel.basic_publish(exchange="", routing_key="orders", body=str(order))
    return len(orders)
