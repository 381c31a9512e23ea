"""Exercise 4.1, solved: relay paid orders to shipping.

Brief  docs/module_4_production/exercises/ex_01_reliability.md
Proof  solutions/module_4_production/ex_01_reliability.md
"""

import json
import random
import time

import pika
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPError, NackError, UnroutableError

PAUSE = 0.3  # seconds between two tries
AT_ONCE = 10  # orders that RabbitMQ sends us before we have acknowledged the first


def relay(nodes):
    """Carry each order from the queue ``paid`` to the exchange ``shipping``, for ever, and lose none.

    All queues and exchanges are there: declare nothing. An order goes on as it came, with the body and the properties that it had, its
    ``message_id`` among them. Its routing key is what its JSON gives as ``country``.

    Acknowledge an order when RabbitMQ has confirmed it in its next place, and no sooner. Its next place is the queue that the exchange
    sends it to. If there is none, put it into the queue ``shipping.unroutable``, once. If the queue refuses it, try again until it is
    taken. That an order arrives twice is allowed where a connection was lost, and only there.

    When a connection is lost, when the broker ends your consumer, when ``paid`` is missing for a moment: begin anew, with any of *nodes*
    that answers, and close what is left of the old connection. Between two tries of anything, pause for a tenth of a second at least and
    a second at most.

    Args:
        nodes: A list of ``pika.ConnectionParameters``, one for each node. Some of them may not answer.

    Returns:
        Never.
    """
    while True:
        try:
            # pika always begins with the first of the list: many relays would meet on one node.
            with pika.BlockingConnection(random.sample(nodes, len(nodes))) as connection:
                _carry_orders(connection)
            print("the broker has ended our consumer")
        except (AMQPError, AMQPConnectorException) as error:
            print(f"{type(error).__name__}: {error}")
        time.sleep(PAUSE)


def _carry_orders(connection):
    """Carry orders until the broker ends our consumer, or the connection or the queue is gone."""
    channel = connection.channel()
    channel.confirm_delivery()
    channel.basic_qos(prefetch_count=AT_ONCE)
    for method, properties, body in channel.consume(queue="paid"):
        try:
            _publish(channel, "shipping", json.loads(body)["country"], properties, body)
        except UnroutableError:
            _publish(channel, "", "shipping.unroutable", properties, body)
        # The order has its next keeper, so its last one may forget it. Were this line higher up, a crash in between would lose the order.
        channel.basic_ack(delivery_tag=method.delivery_tag)


def _publish(channel, exchange, routing_key, properties, body):
    """Return when RabbitMQ has confirmed the message; wait while a queue is full."""
    while True:
        try:
            channel.basic_publish(exchange=exchange, routing_key=routing_key, body=body, properties=properties, mandatory=True)
            return
        except NackError:
            channel.connection.sleep(PAUSE)
