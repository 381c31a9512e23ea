"""Lets UnroutableError through.

Fails: test_an_order_that_nobody_ships_is_set_aside
Says: ended with UnroutableError
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
        publish(channel, "shipping", json.loads(body)["country"], properties, body)
        channel.basic_ack(delivery_tag=method.delivery_tag)


def relay(nodes):
    while True:
        try:
            with pika.BlockingConnection(random.sample(nodes, len(nodes))) as connection:
                carry(connection)
        except UnroutableError:
            raise
        except (AMQPError, AMQPConnectorException) as error:
            print(type(error).__name__, error)
        time.sleep(0.3)
