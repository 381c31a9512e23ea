"""Catches the refusal, and returns the true number of orders that were accepted.

Fails: test_a_refused_order_does_not_count_as_sent
Says: send_orders returned 2; no exception came out
"""

import json

import pika


def send_orders(parameters, orders):
    sent = 0
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.queue_declare(queue="orders", durable=True)
        channel.confirm_delivery()
        for order in orders:
            try:
                channel.basic_publish(exchange="", routing_key="orders", body=json.dumps(order))
                sent += 1
            except pika.exceptions.NackError:
                print(f"refused: {order}")
    return sent
