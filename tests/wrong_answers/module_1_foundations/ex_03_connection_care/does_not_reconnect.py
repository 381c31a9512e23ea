"""Sends with confirms over one connection, and has no plan for the day when it is lost.

Fails: test_a_closed_connection_loses_no_order
Says: ended with ConnectionClosedByBroker
"""

import json

import pika


def send_with_care(parameters, orders, tries=5):
    sent = 0
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for order in orders:
            channel.basic_publish(exchange="", routing_key="orders", body=json.dumps(order))
            sent += 1
    return sent
