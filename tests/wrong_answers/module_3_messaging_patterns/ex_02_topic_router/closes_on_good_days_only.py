"""Closes the connection when all is done, and not when something raises.

Fails: test_a_refused_order_stays
Says: 1 connection was of yours still open
"""

import json

import pika

COUNTRIES = ("de", "fr", "it")
EVENTS = ("placed", "paid", "shipped", "cancelled")
_open = []


def route_orders(parameters, idle=0.5):
    routed = 0
    connection = pika.BlockingConnection(parameters)
    _open.append(connection)
    channel = connection.channel()
    channel.confirm_delivery()
    while True:
        method, properties, body = channel.basic_get(queue="orders.raw")
        if method is None:
            break
        channel.basic_publish(exchange="happened", routing_key=_key(body), body=body, properties=properties, mandatory=True)
        channel.basic_ack(delivery_tag=method.delivery_tag)
        routed += 1
    connection.close()
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
