"""Lets RabbitMQ take each order as done when it is sent.

Fails: test_a_refused_order_stays
Says: Order 2 is in no queue
"""

import json

import pika

COUNTRIES = ("de", "fr", "it")
EVENTS = ("placed", "paid", "shipped", "cancelled")


def route_orders(parameters, idle=0.5):
    routed = 0
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_qos(prefetch_count=10)
        for method, properties, body in channel.consume(queue="orders.raw", inactivity_timeout=idle, auto_ack=True):
            if method is None:
                break
            channel.basic_publish(exchange="happened", routing_key=_key(body), body=body, properties=properties, mandatory=True)
            routed += 1
    return routed


def _key(body):
    try:
        order = json.loads(body)
    except ValueError:
        order = None
    if not isinstance(order, dict):
        order = {}
    return f"order.{_word(order.get('country'), COUNTRIES)}.{_word(order.get('event'), EVENTS)}"


def _word(given, known):
    word = given.strip().lower() if isinstance(given, str) else None
    return word if word in known else "other"
