"""Tries a refused order three times, then leaves it unacknowledged and goes on.

Fails: test_a_full_queue_is_waited_for
Says: nor tell you that there is room
"""

import json
import random
import time

import pika
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPError, NackError, UnroutableError


def publish(channel, exchange, routing_key, properties, body):
    for attempt in range(3):
        try:
            channel.basic_publish(exchange=exchange, routing_key=routing_key, body=body, properties=properties, mandatory=True)
            return True
        except NackError:
            channel.connection.sleep(0.3)
    return False


def carry(connection):
    channel = connection.channel()
    channel.confirm_delivery()
    channel.basic_qos(prefetch_count=10)
    for method, properties, body in channel.consume(queue="paid"):
        try:
            taken = publish(channel, "shipping", json.loads(body)["country"], properties, body)
        except UnroutableError:
            taken = publish(channel, "", "shipping.unroutable", properties, body)
        if taken:
            channel.basic_ack(delivery_tag=method.delivery_tag)


def relay(nodes):
    while True:
        try:
            with pika.BlockingConnection(random.sample(nodes, len(nodes))) as connection:
                carry(connection)
        except (AMQPError, AMQPConnectorException) as error:
            print(type(error).__name__, error)
        time.sleep(0.3)
