"""Publishes, and keeps the order in paid as well.

Fails: test_paid_orders_reach_shipping
Says: 6 unacknowledged
"""

import json
import random
import time

import pika
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPError, NackError, UnroutableError


def publish(channel, exchange, routing_key, properties, body):
    while True:
        try:
            channel.basic_publish(exchange=exchange, routing_key=routing_key, body=body, properties=properties, mandatory=True)
            return
        except NackError:
            channel.connection.sleep(0.3)


def carry(connection):
    channel = connection.channel()
    channel.confirm_delivery()
    channel.basic_qos(prefetch_count=10)
    for method, properties, body in channel.consume(queue="paid"):
        try:
            publish(channel, "shipping", json.loads(body)["country"], properties, body)
        except UnroutableError:
            publish(channel, "", "shipping.unroutable", properties, body)


def relay(nodes):
    while True:
        try:
            with pika.BlockingConnection(random.sample(nodes, len(nodes))) as connection:
                carry(connection)
        except (AMQPError, AMQPConnectorException) as error:
            print(type(error).__name__, error)
        time.sleep(0.3)
