"""Connects anew for each order, and closes the last connection only.

Fails: test_each_order_is_sent_before_the_next
Says: it had 4 connections open
"""

import json

import pika


def connect(parameters):
    connection = pika.BlockingConnection(parameters)
    channel = connection.channel()
    channel.confirm_delivery()
    return connection, channel


def send_with_care(parameters, orders, tries=5):
    sent, connection = 0, None
    for order in orders:
        connection, channel = connect(parameters)
        channel.basic_publish(exchange="", routing_key="orders", body=json.dumps(order))
        sent += 1
    if connection:
        connection.close()
    return sent
